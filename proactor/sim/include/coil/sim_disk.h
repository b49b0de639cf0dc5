/* SPDX-License-Identifier: MIT */
/*
 * coil/sim_disk.h - the disks of simulated hosts, seen from outside: files put there and read
 * back, and a power loss.
 *
 * Each host has one disk. Programs see it as their file system (coil_openat(), coil_pread() ...).
 * At first there are /tmp, /run, /etc, devices in /dev, and the programs of the world.
 * What a program has written is what others see at once; what it has not synced may get lost, but
 * only when the power does, never because the program dies:
 *
 *     coil_sim_put_file(sim, "alpha", "/etc/config", text, size, 0644);
 *     coil_sim_run(sim, coil_s(3));
 *     coil_sim_cut_power(sim, "alpha");
 *     char *log = coil_sim_get_file(sim, "alpha", "/var/log", &size_bytes);
 *
 * After a power loss each page of 4 KiB that has been written since the last fsync(2) of its file
 * is the old one, the new one, or sectors of 512 bytes of each; a file that was growing may have
 * any size between. A name that was made, removed or moved since the last fsync(2) of its
 * directory, or of fewer than the last 256 such changes, may be what it was before; rename(2) is
 * undone as a whole or not at all. Where all this is decided by chance, the seed decides.
 */
#ifndef COIL_SIM_DISK_H
#define COIL_SIM_DISK_H

#include <coil/sim.h>

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

COIL_BEGIN_DECLS

/*
 * Make or replace the file at `path`, with the directories above it, on the disk of a host. It is
 * there to stay, as if synced, and no fault hits it. The bytes are copied; `mode` are permissions,
 * of which the bits of the owner count. 0; -ENOSPC: what fits is there; -ENOTDIR, -EISDIR,
 * -ENAMETOOLONG, -ELOOP; -EINVAL: something is there that is no regular file.
 */
COIL_API int coil_sim_put_file(coil_sim *sim, const char *host, const char *path, const void *bytes,
        size_t size_bytes, mode_t mode);

/*
 * A copy of what is in a file now, as a process would read it, with a zero behind it. The caller
 * frees it by coil_sim_free_file(), which takes NULL. `out_size_bytes` may be NULL. NULL: there is
 * no such regular file.
 */
COIL_API char *coil_sim_get_file(
        coil_sim *sim, const char *host, const char *path, size_t *out_size_bytes);
COIL_API void coil_sim_free_file(char *bytes);

/*
 * So many bytes fit on the disk of a host, in pages of 4 KiB; beyond them, -ENOSPC. At first
 * 16 GiB. What is there stays there, also if it is more.
 */
COIL_API void coil_sim_set_disk_size(coil_sim *sim, const char *host, uint64_t size_bytes);

COIL_END_DECLS

#endif
