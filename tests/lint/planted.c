/* SPDX-License-Identifier: MIT */
/* Mistakes on purpose: lint_test.py expects a finding on each line that names one, and no other. */
#include <coil/sched.h>

#include <coil/sugar.h>

struct point {
    int x, y;
};

coil_declare(int, op, (int) fd, (void *) bytes, (int) size_bytes);
coil_declare(void, nap, (int) seconds);
void use(int value);
int get(void);

async(int, uses_a_local, (int) fd)
{
    vars(int n);
    int x = get();
    char bytes[9] = "";
    await(nap(1));
    use(x);                  /* E1 */
    use(bytes[0]);           /* E1 */
    use((int)strlen(bytes)); /* E1 */
    x = get();
    use(x);
    snprintf(bytes, sizeof(bytes), "%d", fd);
    use(bytes[0]);
    return fd;
}

async(int, uses_a_local_in_branches, (int) fd)
{
    vars();
    int x = get();
    int y = get();
    if (fd) {
        await(nap(1));
        return fd;
    }
    use(x);
    if (fd == 1)
        await(nap(1));
    else
        use(y);
    use(x); /* E1 */
    return fd;
}

async(int, uses_a_loop_variable, (int) fd)
{
    vars();
    for (int i = 0; i < 3; i++) /* E1 */
        await(nap(1));
    int n = 3;
    while (n > 0) { /* E1 */
        n--;        /* E1 */
        ignore(within(coil_ms(1), op(fd, my, 0)));
    }
    return fd;
}

async(int, uses_a_local_in_a_defer, (int) fd)
{
    vars();
    int x = get();
    defer(use(x)); /* E1 */
    use(x);
    int y = get();
    defer(/* E1 */
            int inside = get(); use(inside); await(nap(1)); use(inside));
    use(y);
    return fd;
}

async(int, passes_addresses, (int) fd)
{
    vars(int n; struct point p; coil_group group; char bytes[8]);
    char bytes[9];
    struct point p;
    int x;
    int *pointer = my->bytes[0] ? &my->n : NULL;
    await(my->n, op(fd, bytes, 9));                     /* E2 */
    await(my->n, op(fd, bytes + 1, 8));                 /* E2 */
    await(my->n, within(coil_ms(5), op(fd, &x, 4)));    /* E2 */
    ignore(shield(until(COIL_NEVER, op(fd, &p.y, 4)))); /* E2 */
    attempt(op(fd, &(struct point){1, 2}, 8));          /* E2 */
    open_group(&my->group);
    spawn(&my->group, op(fd, &p, 4)); /* E2 */
    pointer = my->bytes[0] ? &my->n : NULL;
    await(my->n, op(fd, pointer, 4));
    await(my->n, op(fd, my->bytes, 8));
    await(my->n, op(fd, &my->p.x, sizeof(bytes)));
    return my->n;
}

async(int, forgets_to_await, (int) fd)
{
    vars();
    within(coil_ms(1), op(fd, my, 0));         /* E3 */
    shield(within(coil_ms(1), op(fd, my, 0))); /* E3 */
    ignore(shield(within(coil_ms(1), op(fd, my, 0))));
    return fd;
}

coil_task *start(coil_group *group);
coil_task *start(coil_group *group)
{
    spawn(group, uses_a_local(1));
    spawn(group, uses_a_local_in_branches(1));
    spawn(group, uses_a_loop_variable(1));
    spawn(group, uses_a_local_in_a_defer(1));
    spawn(group, passes_addresses(1));
    return spawn(group, forgets_to_await(1));
}
