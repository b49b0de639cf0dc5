/* SPDX-License-Identifier: MIT */
#include "family_stage.h"

#include "family.h"
#include "fiber.h"

int stage_wait(pid_t pid, int options)
{
    const sim_wait wait = {P_PID, (id_t)pid, options};
    sim_process *process = sim_process_current();
    siginfo_t status;
    int rc;

    while ((rc = sim_wait_for(process, &wait, &status)) == 0 && (options & WNOHANG) == 0)
        (void)sim_fiber_wait(&sim_family_of(process)->changed, COIL_NEVER, "waitid");
    return rc <= 0 ? rc : status.si_code * 1000 + status.si_status;
}
