/* SPDX-License-Identifier: MIT */
/*
 * programs.h - all conformance programs. What the kernel said to each is in <name>.txt.
 *
 * What bites in io_uring, and the programs that show it. The numbers are those of the project's
 * list of pitfalls; what cannot be shown through the seam says why.
 *
 *  1  rings are charged to RLIMIT_MEMLOCK   not for root, and the seam sets no limits: ring_test
 *  2  fork keeps rings alive                the seam cannot fork
 *  3  exit is asynchronous                  program_is_killed_while_accepting; exec is not:
 *                                           program_becomes_another; the rule that helps:
 *                                           listener_closed_while_accepting
 *  4  a cancellation's own completion       cancel_*, whose transcripts are sorted: either order
 *  5  results of cancellations              cancel_poll, cancel_recv, cancel_all, cancel_twice,
 *                                           cancel_of_completed, cancel_connect_unix,
 *                                           cancel_splice, child_wait_cancelled; LINK_TIMEOUT is
 *                                           not used
 *  6  user_data must be unique              cancel_ambiguous, user_data_reused
 *  7  cancelled with a success              cancel_recv_waitall(_tcp), cancel_send_waitall,
 *                                           cancel_too_late, multishot_accept_loses_nothing
 *  8  waitid takes the status               child_exits, child_is_killed, child_misused
 *  9  multishot stops at any time           multishot_ends_on_full_queue, accept_direct (-ENFILE),
 *                                           multishot_accept_ends_on_full_queue; cq_overflow,
 *                                           completes_only_in_enter
 * 10  ENOBUFS                               multishot_recv_without_buffers,
 *                                           multishot_recv_idle_without_buffers
 * 11  bundles                               not used
 * 12  incremental buffers                   buffers_incremental, _used_up, _shared
 * 13  zero-copy sends                       zero_copy_*, though Coil makes none
 * 14  short writes                          send_a_part, send_waitall, pipe_write_of_a_part
 * 15  close cancels nothing                 close_cancels_nothing, close_by_ring_cancels_nothing,
 *                                           close_direct_cancels_nothing, shutdown_completes_*
 * 16  DEFER_TASKRUN                         completes_only_in_enter, ring_of_another_thread
 * 17  O_NONBLOCK                            nonblocking_socket, nonblocking_accept
 * 18  worker threads                        cancel_connect_unix, cancel_splice
 * 19  EINTR                                 wait_interrupted
 * 20  links                                 not used
 * 21  io_uring is forbidden                 ring_test
 * 22  accuracy of timeouts                  wait_until, which asks only that none is early
 * 23  slots of direct descriptors           accept_direct, direct_misused, update_closes
 * 24  a ring closed while a recv is armed   Coil never does that
 *
 * Others, found here: poll_is_woken and poll_of_urgent_data (POLLPRI), reset_by_peer_unwatched,
 * port_in_time_wait, cancel_twice, wait_until (no -ETIME if a completion is there).
 */
#ifndef PROGRAMS_H
#define PROGRAMS_H

#include "stage.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
#define CONFORMANCE_PROGRAMS(PROGRAM) \
    /* queue.c */ \
    PROGRAM(nop_injected) \
    PROGRAM(cq_overflow) \
    PROGRAM(sq_full) \
    PROGRAM(queue_sizes) \
    PROGRAM(refused_entry) \
    PROGRAM(wait_until) \
    PROGRAM(wait_with_argument) \
    PROGRAM(wait_region_misused) \
    PROGRAM(wait_for_several) \
    PROGRAM(wait_hopefully) \
    PROGRAM(completes_only_in_enter) \
    PROGRAM(ring_of_another_thread) \
    PROGRAM(register_buffers) \
    /* cancel.c */ \
    PROGRAM(cancel_poll) \
    PROGRAM(cancel_recv) \
    PROGRAM(cancel_read_of_pipe) \
    PROGRAM(cancel_accept) \
    PROGRAM(cancel_connect_tcp) \
    PROGRAM(cancel_connect_unix) \
    PROGRAM(cancel_splice) \
    PROGRAM(cancel_in_one_batch) \
    PROGRAM(cancel_of_completed) \
    PROGRAM(cancel_too_late) \
    PROGRAM(cancel_twice) \
    PROGRAM(cancel_skip_success) \
    PROGRAM(cancel_all) \
    PROGRAM(cancel_ambiguous) \
    PROGRAM(cancel_recv_waitall) \
    PROGRAM(cancel_recv_waitall_tcp) \
    PROGRAM(cancel_send_waitall) \
    PROGRAM(user_data_reused) \
    PROGRAM(close_cancels_nothing) \
    PROGRAM(close_by_ring_cancels_nothing) \
    PROGRAM(shutdown_completes_recv) \
    PROGRAM(shutdown_completes_accept) \
    /* multishot.c */ \
    PROGRAM(multishot_recv) \
    PROGRAM(multishot_recv_tcp) \
    PROGRAM(multishot_recv_large) \
    PROGRAM(multishot_recv_without_buffers) \
    PROGRAM(multishot_recv_idle_without_buffers) \
    PROGRAM(multishot_recv_cancelled) \
    PROGRAM(multishot_ends_on_full_queue) \
    PROGRAM(buffers_incremental) \
    PROGRAM(buffers_incremental_used_up) \
    PROGRAM(buffers_incremental_shared) \
    PROGRAM(buffers_recycled) \
    PROGRAM(multishot_accept) \
    PROGRAM(multishot_accept_ends_on_full_queue) \
    PROGRAM(multishot_accept_loses_nothing) \
    PROGRAM(multishot_read_of_pipe) \
    PROGRAM(multishot_read_of_file) \
    PROGRAM(multishot_read_of_signals) \
    PROGRAM(multishot_read_without_buffers) \
    /* sockets.c */ \
    PROGRAM(send_and_recv) \
    PROGRAM(recv_waitall) \
    PROGRAM(recv_peek) \
    PROGRAM(send_a_part) \
    PROGRAM(send_waitall) \
    PROGRAM(zero_bytes) \
    PROGRAM(datagrams) \
    PROGRAM(gather_and_scatter) \
    PROGRAM(nonblocking_socket) \
    PROGRAM(nonblocking_accept) \
    PROGRAM(accept_without_waiting) \
    /* closes.c */ \
    PROGRAM(end_of_stream) \
    PROGRAM(end_of_stream_tcp) \
    PROGRAM(half_close) \
    PROGRAM(half_close_tcp) \
    PROGRAM(send_after_close_tcp) \
    PROGRAM(send_after_close) \
    PROGRAM(close_with_unread_bytes) \
    PROGRAM(close_with_unread_bytes_tcp) \
    PROGRAM(reset_by_peer) \
    PROGRAM(reset_by_peer_unwatched) \
    PROGRAM(send_is_reset) \
    PROGRAM(send_waitall_is_reset) \
    /* polls.c */ \
    PROGRAM(poll_is_woken) \
    PROGRAM(poll_is_woken_tcp) \
    PROGRAM(poll_of_urgent_data) \
    PROGRAM(poll_of_streams) \
    PROGRAM(poll_of_no_stream) \
    PROGRAM(multishot_poll) \
    PROGRAM(multishot_poll_of_ready) \
    PROGRAM(multishot_poll_coalesces) \
    PROGRAM(multishot_poll_hangup) \
    PROGRAM(multishot_poll_of_pipe) \
    PROGRAM(multishot_poll_of_listener) \
    PROGRAM(multishot_poll_of_room) \
    /* messages.c */ \
    PROGRAM(udp) \
    PROGRAM(udp_refused) \
    PROGRAM(packets) \
    PROGRAM(shutdown_of_both) \
    PROGRAM(shutdown_of_both_tcp) \
    PROGRAM(rights) \
    PROGRAM(rights_lost) \
    PROGRAM(rights_without_room) \
    PROGRAM(names_of_ends) \
    PROGRAM(sendmsg_now) \
    PROGRAM(shutdown_now) \
    PROGRAM(no_terminal) \
    /* listeners.c */ \
    PROGRAM(connect_refused) \
    PROGRAM(connect_twice) \
    PROGRAM(accept_address) \
    PROGRAM(accept_asked) \
    PROGRAM(accept_of_the_gone) \
    PROGRAM(listener_closes) \
    PROGRAM(listener_closed_while_accepting) \
    PROGRAM(accept_of_two) \
    PROGRAM(accept_of_two_and_cancelled) \
    PROGRAM(backlog) \
    PROGRAM(port_in_use) \
    PROGRAM(port_in_time_wait) \
    PROGRAM(port_in_time_wait_reused) \
    PROGRAM(reuseport) \
    PROGRAM(unix_path) \
    PROGRAM(unix_path_is_a_file) \
    PROGRAM(unix_abstract) \
    PROGRAM(unix_backlog) \
    /* refusals.c */ \
    PROGRAM(accept_of_the_reset) \
    PROGRAM(listener_shut_down) \
    PROGRAM(listener_misused) \
    PROGRAM(port_of_two) \
    PROGRAM(address_misused) \
    PROGRAM(interfaces) \
    PROGRAM(unix_misused) \
    PROGRAM(unix_accept_of_the_gone) \
    /* direct.c */ \
    PROGRAM(accept_direct) \
    PROGRAM(fixed_fd_install) \
    PROGRAM(direct_misused) \
    PROGRAM(close_direct_cancels_nothing) \
    PROGRAM(update_closes) \
    /* files.c */ \
    PROGRAM(file_read) \
    PROGRAM(file_position) \
    PROGRAM(file_append) \
    PROGRAM(file_hole) \
    PROGRAM(file_truncated) \
    PROGRAM(file_unlinked) \
    PROGRAM(file_renamed_over) \
    PROGRAM(file_statx) \
    PROGRAM(file_open_errors) \
    PROGRAM(file_access) \
    PROGRAM(file_fsync) \
    PROGRAM(file_splice) \
    PROGRAM(file_vectors) \
    PROGRAM(close_twice) \
    PROGRAM(file_seam) \
    PROGRAM(file_of_faulty_memory) \
    /* names.c */ \
    PROGRAM(name_of_directory) \
    PROGRAM(name_is_moved) \
    PROGRAM(name_is_linked) \
    PROGRAM(name_is_symbolic) \
    PROGRAM(file_resized) \
    /* directories.c */ \
    PROGRAM(directory_read) \
    PROGRAM(directory_misused) \
    /* watches.c */ \
    PROGRAM(watch_directory) \
    PROGRAM(watch_file) \
    PROGRAM(watch_rename) \
    PROGRAM(watch_misused) \
    PROGRAM(watch_ends) \
    PROGRAM(watch_overflow) \
    /* lookups.c */ \
    PROGRAM(getaddrinfo) \
    PROGRAM(random) \
    PROGRAM(recv_peek_now) \
    PROGRAM(recv_now_gives_all) \
    /* pipes.c */ \
    PROGRAM(pipe_capacity) \
    PROGRAM(pipe_write_of_a_part) \
    PROGRAM(pipe_buf) \
    PROGRAM(pipe_end) \
    PROGRAM(pipe_ends_while_waiting) \
    PROGRAM(pipe_without_reader) \
    PROGRAM(pipe_reader_goes) \
    PROGRAM(pipe_misused) \
    /* events.c */ \
    PROGRAM(eventfd) \
    PROGRAM(eventfd_poll) \
    PROGRAM(eventfd_of_two_readers) \
    PROGRAM(signalfd) \
    PROGRAM(signals_pending) \
    PROGRAM(signal_handler) \
    PROGRAM(wait_interrupted) \
    PROGRAM(eventfd_of_another_thread) \
    /* memory.c */ \
    PROGRAM(memory_is_mapped) \
    PROGRAM(memory_is_written) \
    PROGRAM(memory_is_passed) \
    PROGRAM(memory_misused) \
    /* children.c */ \
    PROGRAM(child_exits) \
    PROGRAM(child_is_reaped) \
    PROGRAM(child_is_killed) \
    PROGRAM(child_signal_to_zombie) \
    PROGRAM(child_wait_cancelled) \
    PROGRAM(child_waits_cancelled) \
    PROGRAM(child_of_many_waits) \
    PROGRAM(child_misused) \
    PROGRAM(child_exec_fails) \
    PROGRAM(child_is_remembered) \
    PROGRAM(child_leads_a_group) \
    PROGRAM(child_is_listed) \
    /* zero_copy.c */ \
    PROGRAM(zero_copy_send) \
    PROGRAM(zero_copy_refused) \
    PROGRAM(zero_copy_cancelled) \
    /* becoming.c */ \
    PROGRAM(program_becomes_another) \
    PROGRAM(program_becomes_another_by_thread) \
    PROGRAM(program_is_killed_while_accepting) \
    /* endings.c */ \
    PROGRAM(ends_cross) \
    PROGRAM(ends_cross_tcp) \
    PROGRAM(shutdown_of_receiving) \
    PROGRAM(shutdown_of_receiving_tcp) \
    PROGRAM(close_after_half_close) \
    PROGRAM(close_unread_after_half_close) \
    PROGRAM(shutdown_misused) \
    PROGRAM(reset_behind_bytes) \
    PROGRAM(reset_behind_end) \
    PROGRAM(reset_is_told_once) \
    PROGRAM(loss) \
    PROGRAM(loss_untold) \
    PROGRAM(loss_is_no_end) \
    PROGRAM(loss_of_others) \
    PROGRAM(reset_of_both) \
    PROGRAM(urgent_data) \
    PROGRAM(urgent_last_byte) \
    PROGRAM(urgent_twice) \
    PROGRAM(urgent_inline) \
    /* letters.c */ \
    PROGRAM(udp_of_peers) \
    PROGRAM(udp_misused) \
    PROGRAM(udp_flags) \
    PROGRAM(udp_multishot) \
    PROGRAM(udp_multishot_misused) \
    PROGRAM(udp_send_now) \
    PROGRAM(udp_refused_while_waiting) \
    PROGRAM(udp_shut_down) \
    PROGRAM(unix_letters) \
    PROGRAM(unix_letters_refused) \
    PROGRAM(unix_letters_wait) \
    /* shares.c */ \
    PROGRAM(reuseport_shares) \
    PROGRAM(reuseport_closes) \
    PROGRAM(reuseport_udp) \
    PROGRAM(append_of_two) \
    PROGRAM(append_and_cut) \
    PROGRAM(renamed_while_open) \
    PROGRAM(no_descriptors) \
    PROGRAM(accept_without_descriptors) \
    PROGRAM(accept_loses_descriptors) \
    PROGRAM(clone_without_descriptors) \
    /* splices.c */ \
    PROGRAM(splice_of_sockets) \
    PROGRAM(splice_of_sockets_tcp) \
    PROGRAM(splice_to_the_gone) \
    PROGRAM(splice_of_pipes) \
    /* stops.c */ \
    PROGRAM(child_is_stopped) \
    PROGRAM(child_is_signalled_while_stopped) \
    PROGRAM(child_stops_and_goes_on) \
    PROGRAM(child_of_two_pidfds) \
    /* lateness.c */ \
    PROGRAM(cancel_too_late_recv) \
    PROGRAM(cancel_too_late_accept) \
    PROGRAM(cancel_too_late_wait) \
    PROGRAM(cq_overflow_of_polls) \
    PROGRAM(cq_overflow_and_on) \
    PROGRAM(cq_overflow_skips)
/* clang-format on */

#define CONFORMANCE_DECLARE(name) void play_##name(struct stage *stage);
CONFORMANCE_PROGRAMS(CONFORMANCE_DECLARE)
#undef CONFORMANCE_DECLARE

#endif
