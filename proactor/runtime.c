/* SPDX-License-Identifier: MIT */
#include <coil/runtime.h>

#include "loop_private.h"

#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/loop_thread.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/signalfd.h>

enum { GRACE_S = 30, CPUS_MAX = 1024, NAME_BYTES = 16, SIGNAL_PAUSE_MS = 100 };

typedef struct member {
    coil_worker worker;
    coil_loop_thread thread;
    coil_post begin;
    coil_post stop;
    coil_post hurry;
} member;

struct coil_runtime {
    coil_runtime_options options;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    size_t main_count; /* Those that have not ended. */
    bool is_stopped;   /* A loop has been told so. */
    int error;
    unsigned stop_count; /* Any thread. */
    coil_duration grace; /* Of the first stop. */
    unsigned next;
    int signal_fd;
    unsigned count;
    member members[];
};

static sigset_t stop_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    return set;
}

/* ----------------------------------------------------------------------------- on the loops -- */

static void run_stop(coil_post *post)
{
    member *self = coil_container_of(post, member, stop);
    coil_runtime *runtime = self->worker.runtime;

    coil_shutdown_begin(coil_shutdown_of(self->worker.loop), runtime->grace);
    (void)pthread_mutex_lock(&runtime->mutex);
    runtime->is_stopped = true;
    coil_kernel_cond_broadcast(&runtime->changed);
    (void)pthread_mutex_unlock(&runtime->mutex);
}

static void run_hurry(coil_post *post)
{
    member *self = coil_container_of(post, member, hurry);
    coil_shutdown_begin(coil_shutdown_of(self->worker.loop), 0);
}

static void main_ended(member *self, int result)
{
    coil_runtime *runtime = self->worker.runtime;
    bool is_failure = result < 0 && result != -ECANCELED;

    (void)pthread_mutex_lock(&runtime->mutex);
    if (is_failure && runtime->error == 0)
        runtime->error = result;
    runtime->main_count--;
    coil_kernel_cond_broadcast(&runtime->changed);
    (void)pthread_mutex_unlock(&runtime->mutex);
    if (is_failure && __atomic_load_n(&runtime->stop_count, __ATOMIC_RELAXED) == 0)
        coil_runtime_stop(runtime, runtime->options.grace);
}

static bool has_failed(coil_runtime *runtime)
{
    (void)pthread_mutex_lock(&runtime->mutex);
    const bool has = runtime->error != 0;
    (void)pthread_mutex_unlock(&runtime->mutex);
    return has;
}

coil_async(int, work, (member *) self)
{
    coil_vars(int result);

    my->result = -ECANCELED;
    coil_defer(main_ended(self, my->result));
    if (has_failed(self->worker.runtime))
        return my->result; /* Another main, before this one could begin. */
    coil_await(
            my->result, coil_shutdown_supervise(self->worker.runtime->options.main, &self->worker));
    return my->result;
}

static void run_begin(coil_post *post)
{
    member *self = coil_container_of(post, member, begin);
    if (coil_spawn(coil_loop_root(self->worker.loop), work(self)) == NULL)
        main_ended(self, -ENOMEM);
}

coil_async(int, watch_signals, (coil_runtime *) runtime)
{
    coil_vars(struct signalfd_siginfo arrived; ssize_t count);

    for (;;) {
        coil_await(my->count, coil_read(runtime->signal_fd, &my->arrived, sizeof(my->arrived)));
        if (my->count == -ECANCELED)
            return -ECANCELED;
        if (my->count > 0) {
            coil_runtime_stop(runtime, runtime->options.grace);
        } else { /* Memory is short. Who does not listen any more could only be killed. */
            coil_await(coil_sleep(coil_ms(SIGNAL_PAUSE_MS)));
        }
    }
}

static int prepare(coil_loop_thread *thread)
{
    member *self = coil_container_of(thread, member, thread);
    coil_runtime *runtime = self->worker.runtime;
    coil_group *root = coil_loop_root(thread->loop);

    self->worker.loop = thread->loop;
    if (runtime->signal_fd >= 0 && self->worker.index == 0 &&
            coil_spawn(root, watch_signals(runtime)) == NULL)
        return -ENOMEM;
    return 0;
}

/* -------------------------------------------------------------------------------- lifecycle -- */

static int start_member(coil_runtime *runtime, unsigned index, int cpu, char *out_reason)
{
    member *self = &runtime->members[index];
    char name[NAME_BYTES];
    (void)snprintf(name, sizeof(name), "coil/%u", index);
    const coil_loop_thread_options options = {
            .name = name, .is_pinned = cpu >= 0, .cpu = cpu, .prepare = prepare};

    self->worker = (coil_worker){
            .runtime = runtime, .index = index, .argument = runtime->options.argument};
    self->begin.run = run_begin;
    self->stop.run = run_stop;
    self->hurry.run = run_hurry;
    return coil_loop_thread_start(&self->thread, &options, out_reason);
}

static void end_members(coil_runtime *runtime, coil_duration grace)
{
    for (unsigned i = 0; i < runtime->count; i++) {
        coil_loop_thread *thread = &runtime->members[i].thread;
        if (thread->is_running)
            coil_loop_thread_stop(thread, grace);
    }
}

/* Every loop runs by now, so mains find each other; unless one has failed and stopped the rest. */
static void start_mains(coil_runtime *runtime)
{
    if (runtime->options.main.fn == NULL)
        return;
    runtime->main_count = runtime->count;
    for (unsigned i = 0; i < runtime->count; i++) {
        member *self = &runtime->members[i];
        if (coil_loop_post(self->worker.loop, &self->begin) < 0)
            main_ended(self, -ECANCELED);
    }
}

/* The first of them is started last: it watches the signals, and they may stop all of them. */
static int start_members(coil_runtime *runtime, const int *cpus, int cpu_count, char *out_reason)
{
    int rc = 0;
    for (unsigned i = runtime->count; i-- > 0 && rc == 0;) {
        bool is_pinned = !runtime->options.is_unpinned && i < (unsigned)cpu_count;
        rc = start_member(runtime, i, is_pinned ? cpus[i] : -1, out_reason);
    }
    if (rc < 0) {
        end_members(runtime, 0);
    } else {
        start_mains(runtime);
    }
    return rc;
}

static int open_signals(coil_runtime *runtime)
{
    runtime->signal_fd = -1;
    if (!runtime->options.takes_signals)
        return 0;
    sigset_t set = stop_signals();
    int rc = coil_kernel_sigmask(SIG_BLOCK, &set, NULL);
    if (rc == 0)
        runtime->signal_fd = rc = coil_kernel_signalfd(&set);
    return rc < 0 ? rc : 0;
}

int coil_runtime_create(
        const coil_runtime_options *options, coil_runtime **out_runtime, char *out_reason)
{
    static const coil_runtime_options defaults;
    int cpus[CPUS_MAX];
    int cpu_count = coil_kernel_cpus(cpus, CPUS_MAX);

    if (options == NULL)
        options = &defaults;
    if (cpu_count < 0)
        cpu_count = 0;
    unsigned count = options->loop_count;
    if (count == 0)
        count = cpu_count > 0 ? (unsigned)cpu_count : 1;
    if (out_reason != NULL)
        (void)snprintf(out_reason, COIL_REASON_BYTES, "cannot start: no memory, or descriptors");
    coil_runtime *runtime = calloc(1, sizeof(*runtime) + count * sizeof(runtime->members[0]));
    if (runtime == NULL)
        return -ENOMEM;
    runtime->options = *options;
    if (runtime->options.grace == 0)
        runtime->options.grace = coil_s(GRACE_S);
    runtime->count = count;
    (void)pthread_mutex_init(&runtime->mutex, NULL);
    (void)pthread_cond_init(&runtime->changed, NULL);
    int rc = open_signals(runtime);
    if (rc == 0)
        rc = start_members(runtime, cpus, cpu_count, out_reason);
    if (rc < 0) {
        coil_runtime_destroy(runtime);
        return rc;
    }
    *out_runtime = runtime;
    return 0;
}

void coil_runtime_stop(coil_runtime *runtime, coil_duration grace)
{
    unsigned before = __atomic_fetch_add(&runtime->stop_count, 1, __ATOMIC_ACQ_REL);
    if (before > 1)
        return;
    if (before == 0)
        runtime->grace = grace;
    for (unsigned i = 0; i < runtime->count; i++) {
        member *self = &runtime->members[i];
        (void)coil_loop_post(self->worker.loop, before == 0 ? &self->stop : &self->hurry);
    }
}

int coil_runtime_join(coil_runtime *runtime)
{
    bool has_main = runtime->options.main.fn != NULL;

    (void)pthread_mutex_lock(&runtime->mutex);
    while (has_main ? runtime->main_count > 0 : !runtime->is_stopped)
        (void)coil_kernel_cond_wait(&runtime->changed, &runtime->mutex, COIL_NEVER);
    (void)pthread_mutex_unlock(&runtime->mutex);
    end_members(runtime, has_main ? 0 : runtime->grace);
    return runtime->error;
}

void coil_runtime_destroy(coil_runtime *runtime)
{
    if (runtime == NULL)
        return;
    for (unsigned i = 0; i < runtime->count; i++)
        coil_loop_thread_fini(&runtime->members[i].thread);
    if (runtime->signal_fd >= 0)
        (void)coil_kernel_close(runtime->signal_fd);
    (void)pthread_cond_destroy(&runtime->changed);
    (void)pthread_mutex_destroy(&runtime->mutex);
    free(runtime);
}

int coil_runtime_run_with(const coil_runtime_options *options)
{
    coil_runtime_options all = *options;
    char reason[COIL_REASON_BYTES];
    coil_runtime *runtime = NULL;
    sigset_t before;
    sigset_t taken = stop_signals();

    all.takes_signals = true;
    (void)coil_kernel_sigmask(SIG_BLOCK, &taken, &before);
    int rc = coil_runtime_create(&all, &runtime, reason);
    if (rc < 0) {
        fprintf(stderr, "coil: %s\n", reason);
    } else {
        rc = coil_runtime_join(runtime);
        coil_runtime_destroy(runtime);
        while (coil_kernel_sigtake(&taken) > 0)
            continue; /* It came too late to stop anything. */
    }
    (void)coil_kernel_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

int coil_runtime_run(coil_handler main, unsigned loop_count)
{
    const coil_runtime_options options = {.loop_count = loop_count, .main = main};
    return coil_runtime_run_with(&options);
}

/* ---------------------------------------------------------------------------------- choosing -- */

unsigned coil_runtime_count(const coil_runtime *runtime)
{
    return runtime->count;
}

coil_loop *coil_runtime_loop(const coil_runtime *runtime, unsigned index)
{
    COIL_CHECK(index < runtime->count);
    return runtime->members[index].worker.loop;
}

coil_loop *coil_runtime_next(coil_runtime *runtime)
{
    unsigned turn = __atomic_fetch_add(&runtime->next, 1, __ATOMIC_RELAXED);
    return runtime->members[turn % runtime->count].worker.loop;
}

coil_loop *coil_runtime_least_busy(coil_runtime *runtime)
{
    coil_loop *best = coil_runtime_next(runtime); /* Among equals, by turns. */
    size_t best_load = __atomic_load_n(&best->load, __ATOMIC_RELAXED);

    for (unsigned i = 0; i < runtime->count; i++) {
        coil_loop *loop = runtime->members[i].worker.loop;
        size_t load = __atomic_load_n(&loop->load, __ATOMIC_RELAXED);
        if (load < best_load) {
            best = loop;
            best_load = load;
        }
    }
    (void)__atomic_fetch_add(&best->load, 1, __ATOMIC_RELAXED);
    return best;
}
