/* SPDX-License-Identifier: MIT */
/*
 * exit(3) and its kin, called by a simulated process: they end that process, not the simulation.
 *
 * Everything that is linked statically has these in their places (--wrap). What atexit(3) and
 * at_quick_exit(3) have registered is not run, nor are destructors, and nothing of stdio is
 * flushed: these belong to the real process. Calls from within shared libraries (std::terminate(),
 * the checks of libc) are not seen; they end the simulation.
 *
 * A check that fails is a bug, which a simulation is there to find: it fails, unless the scenario
 * says that the process may do that (coil_sim_may_abort()).
 */
#include "fiber.h"
#include "process.h"
#include "signals.h"
#include "wrapped.h"

#include <coil/sim.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* ------------------------------------------------------------------------------------- exit -- */

/* Does nothing if no process runs. */
static void end_current(int code, int value)
{
    sim_process *process = sim_process_current();
    if (process == NULL)
        return;
    sim_process_end(process, code, value);
    sim_fail(process->world, "process %d has ended, and goes on", (int)process->id);
}

void __wrap_exit(int status)
{
    end_current(CLD_EXITED, status & 0xff);
    __real_exit(status);
}

void __wrap__exit(int status)
{
    end_current(CLD_EXITED, status & 0xff);
    __real__exit(status);
}

void __wrap__Exit(int status)
{
    end_current(CLD_EXITED, status & 0xff);
    __real__Exit(status);
}

void __wrap_quick_exit(int status)
{
    end_current(CLD_EXITED, status & 0xff);
    __real_quick_exit(status);
}

/* ------------------------------------------------------------------------------------ abort -- */

/* abort(3): the signal is unblocked and raised; if a handler returns, it is deadly all the same. */
static void raise_abort(sim_fiber *fiber)
{
    siginfo_t signal = sim_signal_from(fiber->process, SIGABRT);

    signal.si_code = SI_TKILL;
    *sim_signal_mask(fiber->process, fiber) &= ~sim_signal_bit(SIGABRT);
    sim_signal_send_thread(fiber, &signal);
    sim_signals_deliver(fiber);
}

void __wrap_abort(void)
{
    sim_fiber *fiber = sim_fiber_current();

    if (fiber == NULL)
        __real_abort();
    const sim_process *process = fiber->process;
    if (process->has_failed_check && !process->may_abort) {
        sim_fail(process->world, "a check has failed in process %d (%s on %s)", (int)process->id,
                process->path, process->host->name);
    }
    raise_abort(fiber);
    end_current(CLD_DUMPED, SIGABRT);
    __real_abort();
}

static void note_failed_check(void)
{
    sim_process *process = sim_process_current();
    if (process != NULL)
        process->has_failed_check = true;
}

void __wrap_coil_check_failed(const char *condition, const char *file, int line)
{
    note_failed_check();
    __real_coil_check_failed(condition, file, line);
}

/* As libc says it; its own abort() is not to be seen from here. */
void __wrap___assert_fail(
        const char *assertion, const char *file, unsigned line, const char *function)
{
    if (sim_process_current() == NULL)
        __real___assert_fail(assertion, file, line, function);
    note_failed_check();
    fprintf(stderr, "%s:%u: %s: Assertion `%s' failed.\n", file, line, function, assertion);
    abort();
}

void coil_sim_may_abort(coil_sim *sim, pid_t pid)
{
    sim_process *process = sim_process_with(sim, pid);
    if (process != NULL)
        process->may_abort = true;
}
