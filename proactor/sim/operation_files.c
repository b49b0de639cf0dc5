/* SPDX-License-Identifier: MIT */
#include "operation_table.h"

#include "disk.h"
#include "ring.h"
#include "splice.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <sys/sysmacros.h>

/* ----------------------------------------------------------------------------- their memory -- */

/* The paths of an entry, or the second file of a splice. */
typedef struct files_extra {
    sim_extra extra;
    sim_file *from; /* Of a splice: held, or NULL. */
    char first[PATH_MAX];
    char second[PATH_MAX];
} files_extra;

static files_extra *extra_of(sim_request *request)
{
    return request->extra == NULL ? NULL : coil_container_of(request->extra, files_extra, extra);
}

/* getname() of the kernel: the errors of memory and length come at submission. */
static int copy_path(char copy[PATH_MAX], uint64_t address)
{
    const char *path = sim_memory_at(address);
    if (path == NULL)
        return -EFAULT;
    const size_t size = strnlen(path, PATH_MAX);
    if (size >= PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(copy, path, size + 1);
    return 0;
}

static files_extra *make_extra(sim_request *request)
{
    files_extra *extra = sim_new(sizeof(*extra));
    extra->extra.name = "files";
    request->extra = &extra->extra;
    return extra;
}

static int prepare_path(sim_request *request)
{
    files_extra *extra = make_extra(request);
    extra->extra.path = extra->first;
    return copy_path(extra->first, request->sqe.addr);
}

static int prepare_two_paths(sim_request *request)
{
    files_extra *extra = make_extra(request);
    extra->extra.path = extra->first;
    extra->extra.other = extra->second;
    int rc = copy_path(extra->first, request->sqe.addr);
    return rc < 0 ? rc : copy_path(extra->second, request->sqe.addr2);
}

static void release(sim_request *request)
{
    files_extra *extra = extra_of(request);
    if (extra != NULL)
        sim_file_drop(extra->from);
}

/* --------------------------------------------------------------------------------- openat -- */

/* A direct descriptor is never inherited, so O_CLOEXEC makes no sense: -EINVAL in the kernel. */
static int prepare_openat(sim_request *request)
{
    if (request->sqe.file_index != 0 && (request->sqe.open_flags & O_CLOEXEC) != 0)
        return -EINVAL;
    return prepare_path(request);
}

static int attempt_openat(sim_request *request)
{
    sim_process *process = sim_request_process(request);
    const sim_opening opening = {request->sqe.fd, extra_of(request)->first,
            (int)request->sqe.open_flags, request->sqe.len};
    sim_file *file = NULL;

    const int rc = sim_open(process, &opening, &file);
    if (rc < 0)
        return rc;
    const int fd = sim_request_install(request, file);
    if (fd >= 0 && request->sqe.file_index == 0 && (request->sqe.open_flags & O_CLOEXEC) == 0)
        process->descriptors[fd].close_on_exec = false;
    return fd;
}

const sim_operation sim_operation_openat = {.name = "openat",
        .prepare = prepare_openat,
        .attempt = attempt_openat,
        .release = release,
        .by_worker = true};

/* ---------------------------------------------------------------------------------- statx -- */

static struct statx_timestamp timestamp(const struct timespec *time)
{
    return (struct statx_timestamp){.tv_sec = time->tv_sec, .tv_nsec = (uint32_t)time->tv_nsec};
}

static void fill_statx(struct statx *out_status, const struct stat *status)
{
    *out_status = (struct statx){
            .stx_mask = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID,
            .stx_blksize = (uint32_t)status->st_blksize,
            .stx_nlink = (uint32_t)status->st_nlink,
            .stx_uid = status->st_uid,
            .stx_gid = status->st_gid,
            .stx_mode = (uint16_t)status->st_mode,
            .stx_ino = status->st_ino,
            .stx_size = (uint64_t)status->st_size,
            .stx_blocks = (uint64_t)status->st_blocks,
            .stx_atime = timestamp(&status->st_atim),
            .stx_btime = timestamp(&status->st_ctim),
            .stx_ctime = timestamp(&status->st_ctim),
            .stx_mtime = timestamp(&status->st_mtim),
            .stx_rdev_major = major(status->st_rdev),
            .stx_rdev_minor = minor(status->st_rdev),
            .stx_dev_major = major(status->st_dev),
            .stx_dev_minor = minor(status->st_dev),
    };
}

/* Observed: EINVAL for flags and masks that are not known, before the path is looked at. */
static int prepare_statx(sim_request *request)
{
    const unsigned known = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH |
                           AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC;
    if ((request->sqe.len & STATX__RESERVED) != 0 || (request->sqe.statx_flags & ~known) != 0)
        return -EINVAL;
    return prepare_path(request);
}

static int attempt_statx(sim_request *request)
{
    struct statx *out_status = sim_memory_at(request->sqe.addr2);
    struct stat status;
    const int rc = sim_stat(sim_request_process(request), request->sqe.fd, extra_of(request)->first,
            (int)request->sqe.statx_flags, &status);
    if (rc < 0)
        return rc;
    if (out_status == NULL)
        return -EFAULT;
    fill_statx(out_status, &status);
    return 0;
}

static unsigned statx_answers(const sim_request *request, struct iovec out_parts[SIM_ANSWERS_MAX])
{
    out_parts[0] = (struct iovec){sim_memory_at(request->sqe.addr2), sizeof(struct statx)};
    return out_parts[0].iov_base != NULL;
}

const sim_operation sim_operation_statx = {.name = "statx",
        .prepare = prepare_statx,
        .attempt = attempt_statx,
        .answers = statx_answers,
        .release = release,
        .by_worker = true};

/* ---------------------------------------------------------------------- syncing, resizing -- */

static int prepare_fsync(sim_request *request)
{
    return (request->sqe.fsync_flags & ~(unsigned)IORING_FSYNC_DATASYNC) != 0 ? -EINVAL : 0;
}

/* The disk takes its time; what is written in the meantime may reach it, too. */
static int attempt_fsync(sim_request *request)
{
    sim_file *file = request->file;
    const bool data_only = (request->sqe.fsync_flags & IORING_FSYNC_DATASYNC) != 0;

    if (file->type->sync == NULL)
        return -EINVAL; /* fsync(2): a pipe, a socket, a device. */
    if (!request->has_begun) {
        request->has_begun = true;
        return sim_request_wait_until(
                request, sim_now(file->world) + sim_draw_latency(file->world, SIM_LATENCY_DISK));
    }
    return file->type->sync(file, data_only);
}

const sim_operation sim_operation_fsync = {.name = "fsync",
        .prepare = prepare_fsync,
        .attempt = attempt_fsync,
        .needs_file = true,
        .by_worker = true};

static int attempt_ftruncate(sim_request *request)
{
    return sim_file_truncate(request->file, (int64_t)request->sqe.off);
}

const sim_operation sim_operation_ftruncate = {
        .name = "ftruncate", .attempt = attempt_ftruncate, .needs_file = true, .by_worker = true};

static int attempt_fallocate(sim_request *request)
{
    return sim_file_allocate(request->file, (int)request->sqe.len, (int64_t)request->sqe.off,
            (int64_t)request->sqe.addr);
}

const sim_operation sim_operation_fallocate = {
        .name = "fallocate", .attempt = attempt_fallocate, .needs_file = true, .by_worker = true};

/* ---------------------------------------------------------------------------------- names -- */

static sim_path_pair pair_of(sim_request *request)
{
    const files_extra *extra = extra_of(request);
    return (sim_path_pair){request->sqe.fd, extra->first, (int)request->sqe.len, extra->second};
}

static int attempt_renameat(sim_request *request)
{
    const sim_path_pair paths = pair_of(request);
    return sim_rename(sim_request_process(request), &paths, request->sqe.rename_flags);
}

static int attempt_linkat(sim_request *request)
{
    const sim_path_pair paths = pair_of(request);
    return sim_hard_link(sim_request_process(request), &paths, (int)request->sqe.hardlink_flags);
}

static int attempt_unlinkat(sim_request *request)
{
    return sim_unlink(sim_request_process(request), request->sqe.fd, extra_of(request)->first,
            (int)request->sqe.unlink_flags);
}

static int attempt_mkdirat(sim_request *request)
{
    return sim_mkdir(sim_request_process(request), request->sqe.fd, extra_of(request)->first,
            request->sqe.len);
}

static int attempt_symlinkat(sim_request *request)
{
    const files_extra *extra = extra_of(request);
    return sim_symlink(sim_request_process(request), extra->first, request->sqe.fd, extra->second);
}

const sim_operation sim_operation_renameat = {.name = "renameat",
        .prepare = prepare_two_paths,
        .attempt = attempt_renameat,
        .release = release,
        .by_worker = true};
const sim_operation sim_operation_linkat = {.name = "linkat",
        .prepare = prepare_two_paths,
        .attempt = attempt_linkat,
        .release = release,
        .by_worker = true};
const sim_operation sim_operation_unlinkat = {.name = "unlinkat",
        .prepare = prepare_path,
        .attempt = attempt_unlinkat,
        .release = release,
        .by_worker = true};
const sim_operation sim_operation_mkdirat = {.name = "mkdirat",
        .prepare = prepare_path,
        .attempt = attempt_mkdirat,
        .release = release,
        .by_worker = true};
const sim_operation sim_operation_symlinkat = {.name = "symlinkat",
        .prepare = prepare_two_paths,
        .attempt = attempt_symlinkat,
        .release = release,
        .by_worker = true};

/* --------------------------------------------------------------------------------- splice -- */

/*
 * What a blocked thread of the kernel is left with when its request is cancelled: an errno that is
 * meant to stay inside of the kernel, but does not (observed: cancel_splice). The cancellation
 * itself says -EALREADY there.
 */
enum { RESTART_SYSTEM_CALL = 512 };

static int splice_cancelled(sim_request *request)
{
    return request->in_worker ? -RESTART_SYSTEM_CALL : -ECANCELED;
}

static int prepare_splice(sim_request *request)
{
    const bool is_direct = (request->sqe.splice_flags & SPLICE_F_FD_IN_FIXED) != 0;
    const int fd = request->sqe.splice_fd_in;
    sim_file *from = is_direct ? sim_direct_file(request->ring, (unsigned)fd)
                               : sim_descriptor_file(sim_request_process(request), fd);
    if (from == NULL)
        return -EBADF;
    make_extra(request)->from = sim_file_hold(from);
    return 0;
}

static int attempt_splice(sim_request *request)
{
    const sim_splicing splicing = {
            .from = extra_of(request)->from,
            .to = request->file,
            .from_offset = (int64_t)request->sqe.splice_off_in,
            .to_offset = (int64_t)request->sqe.off,
            .size_bytes = request->sqe.len,
            .flags = request->sqe.splice_flags,
            .process = sim_request_process(request),
    };
    sim_file *blocked = NULL;
    const ssize_t count = sim_splice(&splicing, &blocked);
    if (count != -EAGAIN || blocked == NULL || !sim_splice_waits(&splicing))
        return (int)count;
    request->in_worker = true; /* A thread of the kernel waits, which a cancellation interrupts. */
    sim_request_wait(request, &blocked->waiters);
    return SIM_AGAIN;
}

const sim_operation sim_operation_splice = {.name = "splice",
        .prepare = prepare_splice,
        .attempt = attempt_splice,
        .cancelled = splice_cancelled,
        .release = release,
        .needs_file = true,
        .by_worker = true};
