/* SPDX-License-Identifier: MIT */
/* The system calls here are real ones: this is the code around the simulation. */
#include "job.h"

#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { OCCURRENCES_MAX = 100000, OUTPUT_BYTES = 128 * 1024 };

#define LAST_WORDS coil_s(5) /* So long one that is told to end may take to report. */

static size_t result_bytes(void)
{
    return sizeof(sim_result) + OCCURRENCES_MAX * sizeof(sim_occurrence);
}

coil_time sim_real_now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return coil_time_after(coil_s(time.tv_sec), time.tv_nsec);
}

void sim_job_init(sim_job *job)
{
    *job = (sim_job){.output = -1};
    job->result = mmap(NULL, result_bytes(), PROT_READ | PROT_WRITE,
            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (job->result == MAP_FAILED)
        sim_fail(NULL, "no memory for the result of a run");
}

void sim_job_rest(sim_job *job)
{
    if (job->output >= 0)
        (void)close(job->output);
    job->output = -1;
}

void sim_job_fini(sim_job *job)
{
    if (job->pid > 0) {
        (void)kill(job->pid, SIGKILL);
        (void)waitpid(job->pid, NULL, 0);
    }
    sim_job_rest(job);
    (void)munmap(job->result, result_bytes());
}

/* -------------------------------------------------------------------------------- the child -- */

_Noreturn static void run_child(const sim_job *job, const sim_settings *settings)
{
    sigset_t none;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(job->output, STDOUT_FILENO);
    (void)dup2(job->output, STDERR_FILENO);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    report_crashes();
    sim_run(&job->what, settings, job->result);
    (void)fflush(NULL);
    _exit(0);
}

int sim_job_start(
        sim_job *job, const sim_case *what, const sim_settings *settings, coil_duration timeout)
{
    job->what = *what;
    memset(job->result, 0, sizeof(*job->result));
    job->result->occurrences.room = OCCURRENCES_MAX;
    job->output = memfd_create("output of a simulation", MFD_CLOEXEC);
    if (job->output < 0)
        return -errno;
    (void)fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0)
        run_child(job, settings);
    if (pid < 0) {
        const int error = errno;
        sim_job_rest(job);
        return -error;
    }
    job->pid = pid;
    job->deadline = coil_time_after(sim_real_now(), timeout);
    job->end = coil_time_after(job->deadline, LAST_WORDS);
    return 0;
}

/* ------------------------------------------------------------------------------- the parent -- */

/* It has ended without having said how. */
static void explain(sim_result *result, int status)
{
    if (result->verdict != SIM_UNKNOWN)
        return;
    result->verdict = SIM_FAILED;
    if (WIFSIGNALED(status)) {
        result->likeness = (uint64_t)WTERMSIG(status);
        (void)snprintf(result->text, sizeof(result->text), "the process was killed by SIG%s",
                sigabbrev_np(WTERMSIG(status)));
    } else {
        result->likeness = 256 + (uint64_t)WEXITSTATUS(status);
        (void)snprintf(result->text, sizeof(result->text), "the process has called exit(%d)",
                WEXITSTATUS(status));
    }
}

/*
 * How long it could have run, but had no processor, since its start: that other programs keep the
 * machine busy is nothing that the run could be blamed for. proc(5), schedstat: nanoseconds on a
 * processor, and waiting for one. 0 if the kernel does not keep count.
 */
static coil_duration time_without_processor(pid_t pid)
{
    char text[96] = "";
    char path[48];
    int64_t waited = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    const ssize_t size = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers. */
    return size > 0 && sscanf(text, "%*u %" SCNd64, &waited) == 1 ? waited : 0;
}

/* Ask one whose time is over how far it has come; end it if that takes long, too. */
static void see_to_time(sim_job *job)
{
    coil_time now = sim_real_now();
    if (now < job->deadline)
        return;
    now -= time_without_processor(job->pid);
    if (now >= job->end) {
        (void)kill(job->pid, SIGKILL);
    } else if (now >= job->deadline) {
        (void)kill(job->pid, SIGALRM);
        job->deadline = job->end;
    }
}

bool sim_job_poll(sim_job *job)
{
    int status;
    const pid_t pid = waitpid(job->pid, &status, WNOHANG);

    if (pid == job->pid) {
        job->pid = 0;
        explain(job->result, status);
        return true;
    }
    see_to_time(job);
    return false;
}

void sim_job_wait(sim_job *job)
{
    const struct timespec moment = {.tv_nsec = 200000};
    while (!sim_job_poll(job))
        (void)nanosleep(&moment, NULL);
}

void sim_job_print(const sim_job *job, FILE *stream)
{
    struct stat status;
    char *text = sim_new(OUTPUT_BYTES);

    if (fstat(job->output, &status) == 0) {
        const off_t from = status.st_size > OUTPUT_BYTES ? status.st_size - OUTPUT_BYTES : 0;
        const ssize_t count = pread(job->output, text, OUTPUT_BYTES, from);
        if (count > 0)
            (void)fwrite(text, 1, (size_t)count, stream);
    }
    sim_delete(text);
}
