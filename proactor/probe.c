/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include "loop_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <signal.h>
#include <ucontext.h>

enum { PATIENCE_MS = 200 };

/*
 * IDLE -> ASKED plus the thread by the monitor -> FILLING by the signal handler of that thread, and
 * of no other, whose signal may have been under way since long -> DONE; or back to IDLE.
 */
enum { IDLE, FILLING, DONE, ASKED };

static struct {
    uint32_t state;
    probe answer;
} question COIL_PROCESS_WIDE;

static uint32_t asked_of(pid_t thread)
{
    return ASKED + (uint32_t)thread;
}

/* ------------------------------------------------------------------------- the async stack -- */

/* A copy of what may not be there. */
static bool look(void *copy, const void *from, size_t size_bytes)
{
    return from != NULL && coil_kernel_peek(copy, from, size_bytes) == 0;
}

const char *probe_text(const char *from, char *text, size_t size_bytes)
{
    size_t at = 0;
    while (at + 1 < size_bytes && look(text + at, from + at, 1) && text[at] != '\0') {
        if (text[at] == '\n')
            text[at] = ' ';
        at++;
    }
    text[at] = '\0';
    return text;
}

static void note_frames(const coil_frame *top, probe *noted)
{
    coil_frame frame;
    const coil_frame *next = top;
    while (look(&frame, next, sizeof(frame))) {
        if (noted->frame_count == PROBE_FRAMES_MAX) {
            noted->more_frames = true;
            return;
        }
        noted->frames[noted->frame_count++] = (probe_frame){frame.fn, frame.at};
        next = frame.up;
    }
}

/*
 * Like coil_task_name(), of what may not be there. A name of its own is the first of the extras. (A
 * task that stands for another is called like itself: nothing is run here to find out.)
 */
static void note_name(const coil_task *running, const coil_task *copy, probe *noted)
{
    coil_frame first;
    coil_fn fn;
    (void)look(noted->task, copy->extras, sizeof(noted->task) - 1);
    if (noted->task[0] == '\0' && look(&first, running->first, sizeof(first)) &&
            look(&fn, first.fn, sizeof(fn)))
        (void)probe_text(fn.name, noted->task, sizeof(noted->task));
}

static void note_task(const coil_task *running, probe *noted)
{
    coil_task task;
    if (!look(&task, running, offsetof(coil_task, first)))
        return;
    note_name(running, &task, noted);
    note_frames(task.top, noted);
}

/* From the loop's own thread. */
static void note_own_loop(const coil_loop *loop, probe *noted)
{
    noted->beat = __atomic_load_n(&loop->watch.beat, __ATOMIC_RELAXED);
    noted->steps = __atomic_load_n(&loop->sched.step_count, __ATOMIC_RELAXED);
    note_task(loop->sched.running, noted);
}

/* From another: whatever it reads is so because the loop is stuck, or is not what it seems. */
static void note_loop(const coil_loop *loop, probe *noted)
{
    coil_task *running = NULL;
    (void)look(&noted->beat, &loop->watch.beat, sizeof(noted->beat));
    (void)look(&noted->steps, &loop->sched.step_count, sizeof(noted->steps));
    (void)look(&running, &loop->sched.running, sizeof(coil_task *));
    note_task(running, noted);
}

/* ----------------------------------------------------------------------------- the C stack -- */

static void *interrupted_at(const void *context)
{
    const ucontext_t *at = context;
    /* (The registers are integers.) NOLINTBEGIN(performance-no-int-to-ptr) */
#if defined __x86_64__
    return (void *)(uintptr_t)at->uc_mcontext.gregs[REG_RIP];
#elif defined __aarch64__
    return (void *)(uintptr_t)at->uc_mcontext.pc;
#else
    (void)at;
    return NULL;
#endif
    /* NOLINTEND(performance-no-int-to-ptr) */
}

/* The stack without our own frames and that of the signal. */
static void note_addresses(const void *context, probe *noted)
{
    int count = coil_kernel_backtrace(noted->addresses, PROBE_ADDRESSES_MAX);
    const void *first = interrupted_at(context);
    int skip = 0;
    while (skip < count && noted->addresses[skip] != first)
        skip++;
    if (skip == count)
        skip = 0;
    noted->address_count = count - skip;
    memmove(noted->addresses, noted->addresses + skip,
            (size_t)noted->address_count * sizeof(noted->addresses[0]));
}

/* On the thread of the loop, wherever that is: nothing here locks, allocates or waits. */
static void answer(int signo, siginfo_t *asked, void *context)
{
    uint32_t state = asked_of(coil_kernel_thread_id());
    int error = errno;
    (void)signo;

    if (asked->si_code == SI_TKILL && __atomic_compare_exchange_n(&question.state, &state, FILLING,
                                              false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        const coil_loop *loop = coil_loop_current();
        if (loop != NULL)
            note_own_loop(loop, &question.answer);
        note_addresses(context, &question.answer);
        __atomic_store_n(&question.state, DONE, __ATOMIC_RELEASE);
        coil_kernel_word_wake(&question.state);
    }
    errno = error;
}

int probe_install(int signo)
{
    struct sigaction before;
    int rc = coil_kernel_sigaction(signo, NULL, &before);
    if (rc < 0)
        return rc;
    if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction == answer)
        return 0;
    if ((before.sa_flags & SA_SIGINFO) != 0 || before.sa_handler != SIG_DFL)
        return -EBUSY;

    /* The first call loads a library, and allocates: not in the handler. */
    void *primed[4];
    (void)coil_kernel_backtrace(primed, 4);

    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    action.sa_sigaction = answer;
    (void)sigfillset(&action.sa_mask);
    return coil_kernel_sigaction(signo, &action, NULL);
}

/* Wait until the question is answered, or take it back. Never leaves it while it is FILLING. */
static bool wait_for_answer(coil_duration patience)
{
    const coil_time deadline = coil_kernel_now() + patience;
    uint32_t state;
    while ((state = __atomic_load_n(&question.state, __ATOMIC_ACQUIRE)) != DONE) {
        const coil_time now = coil_kernel_now();
        if (now < deadline || state == FILLING) {
            coil_kernel_word_wait(
                    &question.state, state, now < deadline ? deadline - now : coil_ms(1));
        } else if (__atomic_compare_exchange_n(&question.state, &state, IDLE, false,
                           __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            return false;
        }
    }
    return true;
}

static bool ask(pid_t thread, int signo)
{
    question.answer = (probe){0};
    __atomic_store_n(&question.state, asked_of(thread), __ATOMIC_RELEASE);
    const bool sent = coil_kernel_thread_signal(thread, signo) == 0;
    return wait_for_answer(sent ? coil_ms(PATIENCE_MS) : 0);
}

bool probe_loop(const coil_loop *loop, pid_t thread, int signo, probe *out_probe)
{
    if (signo != 0 && ask(thread, signo)) {
        *out_probe = question.answer;
        return true;
    }
    *out_probe = (probe){0};
    note_loop(loop, out_probe);
    return false;
}
