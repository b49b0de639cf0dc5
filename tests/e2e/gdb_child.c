/* SPDX-License-Identifier: MIT */
/* A bakery that is looked at by gdb, when all_wait() is called. */
#include <coil/group.h>
#include <coil/loop.h>

#include <coil/sugar.h>

static __attribute__((noinline)) void all_wait(void)
{
    __asm__ volatile(""); /* So that the call is not left out. */
}

async(int, bake, (int) needs_s)
{
    vars(int loaves);

    my->loaves = 2 * needs_s;
    await(coil_sleep(coil_s(needs_s)));
    return my->loaves;
}

async(void, look_around)
{
    vars();

    await(coil_yield());
    all_wait();
}

async(int, bakery)
{
    vars(coil_group group);

    open_group(&my->group);
    spawn(&my->group, bake(60));
    spawn(&my->group, bake(90));
    await(look_around());
    return 0;
}

int main(void)
{
    return coil_run(bakery()) < 0;
}
