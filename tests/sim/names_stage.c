/* SPDX-License-Identifier: MIT */
#include "names_stage.h"

#include "disk.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

/* A process without a thread: only its working directory and its descriptors are of interest. */
static sim_process *nobody(coil_sim *sim, const char *host)
{
    return sim_process_create(sim_host_named(sim, host), NULL);
}

static int done(sim_process *process, int rc)
{
    sim_process_end(process, CLD_EXITED, 0);
    sim_process_reap(process);
    return rc;
}

int stage_rename(coil_sim *sim, const char *host, const char *from, const char *to)
{
    const sim_path_pair paths = {AT_FDCWD, from, AT_FDCWD, to};
    sim_process *process = nobody(sim, host);
    return done(process, sim_rename(process, &paths, 0));
}

int stage_unlink(coil_sim *sim, const char *host, const char *path)
{
    sim_process *process = nobody(sim, host);
    return done(process, sim_unlink(process, AT_FDCWD, path, 0));
}

int stage_mkdir(coil_sim *sim, const char *host, const char *path)
{
    sim_process *process = nobody(sim, host);
    return done(process, sim_mkdir(process, AT_FDCWD, path, 0755));
}

int stage_write(coil_sim *sim, const char *host, const char *path, const char *text)
{
    const sim_opening opening = {AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644};
    const struct iovec part = {(char *)(uintptr_t)text, strlen(text)};
    sim_io io = {.parts = &part, .part_count = 1, .size_bytes = part.iov_len, .offset = 0};
    sim_process *process = nobody(sim, host);
    sim_file *file = NULL;

    int rc = sim_open(process, &opening, &file);
    if (rc == 0)
        rc = (int)sim_file_write(file, &io);
    sim_file_drop(file);
    return done(process, rc < 0 ? rc : 0);
}

int stage_sync(coil_sim *sim, const char *host, const char *path)
{
    const sim_opening opening = {AT_FDCWD, path, O_RDONLY, 0};
    sim_process *process = nobody(sim, host);
    sim_file *file = NULL;

    int rc = sim_open(process, &opening, &file);
    if (rc == 0)
        rc = file->type->sync(file, false);
    sim_file_drop(file);
    return done(process, rc);
}
