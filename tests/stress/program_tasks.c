/* SPDX-License-Identifier: MIT */
#include "programs.h"

#include <coil/sugar.h>

static coil_local_of(int) local_number = COIL_LOCAL("number");

/* ------------------------------------------------------------------------------ what we see -- */

static void check_local(const coil_task *task, const env *me)
{
    const int *found = coil_local_get(task, &local_number);
    EXPECT((found == NULL ? 0 : *found) == me->local);
}

static int set_local(coil_task *task, env *me)
{
    int number = ++world.local_count;
    may_fail(task);
    int rc = coil_local_set(task, &local_number, &number);
    must_not_fail();
    if (rc == 0)
        me->local = number;
    EXPECT(rc == 0 || (rc == -ENOMEM && world.failing));
    return 0;
}

static void trace(const node *n, const env *me, const char *what, int rc)
{
    SAY("%8.1f us  task %-3d  node %-3d %-16s %s %d\n", (double)world.sched.now / 1000, me->id,
            n->id, kind_name(n->kind), what, rc);
}

/* Defers to leave a coroutine that may have been cut. */
static void leave_node(const node *n, const env *me, uint64_t canary, bool done)
{
    EXPECT(canary == mix((uint64_t)n->id));
    world.left++;
    if (done)
        return;
    world.tallies[n->kind].cut++;
    trace(n, me, "cut", 0);
}

static void begin_node(const node *n, const env *me)
{
    world.entered++;
    world.tallies[n->kind].begun++;
    trace(n, me, "begins", 0);
}

static void end_node(const node *n, const env *me, int rc, bool waited)
{
    trace(n, me, "ends", rc);
    world.tallies[n->kind].done += rc == 0;
    world.tallies[n->kind].failed += rc != 0;
    world.tallies[n->kind].waited += waited;
    EXPECT(rc <= 0 && rc != -ECANCELED && result_is_known(rc));
}

/* ---------------------------------------------------------------------------------- leaves -- */

/* Never early; and a task that is being cancelled goes no further. */
async(int, run_sleep, (coil_duration) duration, (bool) yields)
{
    vars(coil_time begun; bool refused);
    my->begun = world.sched.now;
    my->refused = coil_task_cancelling(coil_self);
    if (yields)
        await(coil_yield());
    else
        await(coil_sleep(duration));
    EXPECT(!my->refused);
    EXPECT(yields || world.sched.now - my->begun >= duration);
    return 0;
}

/* Needs more frame stack than a first block has. */
async(int, run_spill, (unsigned) depth)
{
    vars(char bytes[500]; int rc);
    memset(my->bytes, (int)depth, sizeof(my->bytes));
    if (depth > 0)
        await(my->rc, run_spill(depth - 1));
    else
        await(my->rc, run_sleep(coil_us(500), false));
    EXPECT(my->bytes[0] == (char)depth && my->bytes[499] == (char)depth);
    return my->rc;
}

static int cancel_any_task(void)
{
    coil_task *task = any_task(&world.sched.root);
    if (task != NULL)
        coil_task_cancel(task);
    return 0;
}

/* --------------------------------------------------------------------------------- groups -- */

typedef enum spawn_way {
    BY_SPAWN,
    BY_RESULT,
    BY_FUTURE,
    AT_ONCE,
    LIMITED,
    SHIELDED,
    CANCELLED,
    WAYS
} spawn_way;
typedef enum group_finish { JOIN, JOIN_GOING_ON, LEAVE, RACE, ANY } group_finish;

static void count_failure(coil_group *group, const coil_task *task, int error)
{
    task_crew *crew = coil_container_of(group, task_crew, group);
    (void)task;
    EXPECT(error < 0 && error != -ECANCELED && result_is_known(error));
    crew->failure_count++;
}

async(int, run_task, (node *) n, (task_crew *) crew, (int) local)
{
    vars(env me; int rc);
    my->me = (env){.id = ++world.task_count, .local = local};
    crew->running_count++;
    defer(crew->running_count--);
    EXPECT(crew->group.limit == 0 || crew->running_count <= crew->group.limit ||
            crew->group.cancelled);
    check_local(coil_self, &my->me);
    await(my->rc, run(n, &my->me, 0));
    return my->rc;
}

/* (A task that is run at once may need more stack, which must not fail.) */
static coil_task *spawn_by(spawn_way way, task_crew *crew, node *n, const env *me,
        int_future *future, int64_t *out_result)
{
    coil_duration limit = briefly(n->lots[2]);
    coil_task *task;

    switch (way) {
    case BY_RESULT:
        return coil_spawn_result(&crew->group, out_result, run_task(n, crew, me->local));
    case BY_FUTURE:
        return coil_spawn_future(&crew->group, future, run_task(n, crew, me->local));
    case LIMITED:
        return spawn(&crew->group, within(limit, run_task(n, crew, me->local)));
    case SHIELDED:
        return spawn(&crew->group, shield(within(limit, run_task(n, crew, me->local))));
    case CANCELLED:
        task = spawn(&crew->group, run_task(n, crew, me->local));
        if (task != NULL)
            coil_task_cancel(task);
        return task;
    default:
        return spawn(&crew->group, run_task(n, crew, me->local));
    }
}

static bool spawn_child(spawn_way way, task_crew *crew, node *n, const env *me, int_future *future,
        int64_t *out_result, const coil_task *self)
{
    if (way == AT_ONCE) {
        (void)coil_spawn_now(&crew->group, run_task(n, crew, me->local));
        must_not_fail(); /* It may have begun to wait where it may. */
        return true;
    }
    if (way != LIMITED && way != SHIELDED) /* Their records may not fit in the first block. */
        may_fail(self);
    const coil_task *task = spawn_by(way, crew, n, me, future, out_result);
    must_not_fail();
    if (task == NULL)
        crew->unmade_count++;
    return task != NULL;
}

static void open_crew(task_crew *crew, const node *n, group_finish finish)
{
    if (n->lots[1] % 3 == 0)
        crew->group.limit = 1 + n->lots[2] % 2;
    crew->group.keep_going = finish == JOIN_GOING_ON || finish == RACE || finish == ANY;
    crew->group.on_failure = count_failure;
    coil_list_append(&world.crews, &crew->link);
}

/* All tasks have ended, and every failure has been told. */
static void check_crew(const task_crew *crew)
{
    EXPECT(crew->group.live_count == 0);
    EXPECT(crew->running_count == 0);
    EXPECT(coil_list_empty(&crew->group.tasks));
    EXPECT(crew->group.failed_count == crew->failure_count + crew->unmade_count);
}

static void check_race(
        group_finish finish, const coil_future *winner, int_future *futures, const node *n)
{
    bool found = winner == NULL;
    bool all_failed = true;
    size_t count = n->child_count;
    for (size_t i = 0; i < count; i++) {
        EXPECT(futures[i].future.done);
        EXPECT(result_is_known(futures[i].future.error));
        found = found || winner == &futures[i].future;
        all_failed = all_failed && futures[i].future.error < 0;
    }
    EXPECT(found);
    EXPECT(winner == NULL || winner->done);
    EXPECT(winner == NULL || finish != ANY || winner->error == 0 || all_failed);
}

static spawn_way way_of(const node *child, group_finish finish)
{
    return finish == RACE || finish == ANY ? BY_FUTURE : (spawn_way)(child->lots[1] % WAYS);
}

/* Most groups go on: in those that do not, little happens after the first failure. */
static group_finish finish_of(const node *n)
{
    static const group_finish finishes[] = {
            JOIN_GOING_ON, JOIN_GOING_ON, JOIN_GOING_ON, JOIN, LEAVE, RACE, ANY};
    return finishes[n->lots[0] % (sizeof(finishes) / sizeof(finishes[0]))];
}

async(int, run_group, (node *) n, (env *) me)
{
    vars(task_crew crew; int_future futures[CHILDREN_MAX]; int64_t results[CHILDREN_MAX];
            bool made[CHILDREN_MAX]; coil_future *winner; size_t i; int rc; group_finish finish;
            spawn_way way);
    my->finish = finish_of(n);
    coil_list_init(&my->crew.link);
    defer(coil_list_remove(&my->crew.link); check_crew(&my->crew));
    open_group(&my->crew.group);
    open_crew(&my->crew, n, my->finish);

    for (; my->i < n->child_count; my->i++) {
        node *child = n->children[my->i];
        my->results[my->i] = INT64_MIN;
        coil_future_init(&my->futures[my->i]);
        my->way = way_of(child, my->finish);
        if (my->finish == JOIN && child->lots[0] % 4 == 0)
            attempt(coil_group_room(&my->crew.group));
        child = n->children[my->i];
        my->made[my->i] = spawn_child(
                my->way, &my->crew, child, me, &my->futures[my->i], &my->results[my->i], coil_self);
        if (my->way != BY_FUTURE)
            (void)coil_future_set(&my->futures[my->i], 0);
        if (my->way != BY_RESULT || !my->made[my->i])
            my->results[my->i] = 0;
    }
    switch (my->finish) {
    case LEAVE:
        await(my->rc, run_sleep(briefly(n->lots[1]), false));
        return my->rc;
    case RACE:
        await(my->winner, coil_group_race(&my->crew.group));
        break;
    case ANY:
        await(my->winner, coil_group_any(&my->crew.group));
        break;
    default:
        await(my->rc, coil_group_join(&my->crew.group));
        EXPECT(!coil_task_cancelling(coil_self));
        EXPECT((my->rc < 0) == (!my->crew.group.keep_going && my->crew.group.failed_count > 0));
        break;
    }
    check_crew(&my->crew);
    check_race(my->finish, my->winner, my->futures, n);
    if (my->finish == RACE || my->finish == ANY)
        EXPECT(my->winner != NULL || my->crew.unmade_count == n->child_count);
    for (my->i = 0; my->i < n->child_count; my->i++)
        EXPECT(result_is_known(my->results[my->i]));
    return my->rc;
}

/* ------------------------------------------------------------------------------- deadlines -- */

/* (What run() returns is never -ETIME: so it is ours.) */
async(int, run_limited, (node *) n, (env *) me, (unsigned) held)
{
    vars(coil_duration limit; coil_time deadline; int rc);
    my->limit = briefly(n->lots[0]);
    my->deadline = coil_time_after(world.sched.now, my->limit);
    if (n->kind == DO_UNTIL)
        await(my->rc, until(my->deadline, run(n->children[0], me, held)));
    else
        await(my->rc, within(my->limit, run(n->children[0], me, held)));
    EXPECT(my->rc != -ETIME || world.sched.now >= my->deadline);
    return my->rc == -ETIME && n->lots[1] % 2 ? 0 : my->rc;
}

async(int, run_in_timeout, (node *) n, (env *) me, (unsigned) held, (moved_timeout *) moving)
{
    vars(int rc; unsigned slot);
    my->slot = n->lots[1] % TIMEOUTS;
    world.timeouts[my->slot] = moving;
    defer(if (world.timeouts[my->slot] == moving) world.timeouts[my->slot] = NULL);
    moving->deadline = coil_time_after(world.sched.now, briefly(n->lots[0]));
    coil_open_timeout_at(&moving->timeout, moving->deadline);
    await(my->rc, run(n->children[0], me, held));
    return my->rc;
}

/* (The outer frame has what others move, so that it can look at it afterwards.) */
async(int, run_timeout, (node *) n, (env *) me, (unsigned) held)
{
    vars(moved_timeout moving; int rc);
    await(my->rc, run_in_timeout(n, me, held, &my->moving));
    EXPECT(coil_timeout_move(&my->moving.timeout, COIL_NEVER) == -ENOENT);
    EXPECT(my->rc != -ETIME || my->moving.timeout.expired);
    EXPECT(my->rc != -ETIME || world.sched.now >= my->moving.deadline);
    return my->rc;
}

/* Whatever happens outside, what is in a shield comes to its own end. */
async(int, run_shield, (node *) n, (env *) me, (unsigned) held)
{
    vars(coil_duration limit; coil_time deadline; int rc; bool came_back);
    my->limit = briefly(n->lots[0]);
    my->deadline = coil_time_after(world.sched.now, my->limit);
    defer(EXPECT(my->came_back));
    await(my->rc, shield(within(my->limit, run(n->children[0], me, held))));
    my->came_back = true;
    EXPECT(my->rc != -ETIME || world.sched.now >= my->deadline);
    return my->rc;
}

/* Each once, the youngest first, and to its end. */
async(int, run_defer, (node *) n, (env *) me, (unsigned) held)
{
    vars(int rc; int order; int cleanup_rc);
    world.deferred += 2;
    defer(EXPECT(my->order == 1); my->order = 0; world.undeferred++);
    defer(EXPECT(my->order == 2);
            await(my->cleanup_rc, within(briefly(n->lots[0]), run(n->children[0], me, held)));
            EXPECT(my->order == 2); my->order = 1; world.undeferred++);
    my->order = 2;
    await(my->rc, run(n->children[1], me, held));
    EXPECT(my->order == 2);
    return my->rc;
}

/* --------------------------------------------------------------------------------- the rest -- */

/* An error ends the sequence, or does not matter. */
async(int, run_sequence, (node *) n, (env *) me, (unsigned) held)
{
    vars(size_t i; int rc);
    for (; my->i < n->child_count; my->i++) {
        await(my->rc, run(n->children[my->i], me, held));
        if (my->rc < 0 && n->lots[0] % 4 == 0)
            return my->rc;
    }
    return 0;
}

async(int, run_loop, (node *) n, (env *) me, (unsigned) held)
{
    vars(unsigned i);
    for (; my->i < 2 + n->lots[0] % 4; my->i++)
        ignore(run(n->children[0], me, held));
    return 0;
}

async(int, run_here, (node *) n, (env *) me, (unsigned) held)
{
    vars(int rc);
    switch (n->kind) {
    case DO_SEQUENCE:
        await(my->rc, run_sequence(n, me, held));
        break;
    case DO_LOOP:
        await(my->rc, run_loop(n, me, held));
        break;
    case DO_GROUP:
        await(my->rc, run_group(n, me));
        break;
    case DO_WITHIN:
    case DO_UNTIL:
        await(my->rc, run_limited(n, me, held));
        break;
    case DO_TIMEOUT:
        await(my->rc, run_timeout(n, me, held));
        break;
    case DO_SHIELD:
        await(my->rc, run_shield(n, me, held));
        break;
    case DO_DEFER:
        await(my->rc, run_defer(n, me, held));
        break;
    case DO_SLEEP:
    case DO_YIELD:
        await(my->rc, run_sleep(briefly(n->lots[0]), n->kind == DO_YIELD));
        break;
    case DO_SPILL:
        await(my->rc, run_spill(n->lots[0] % 5));
        break;
    default:
        broken("a kind that is played here", __FILE__, __LINE__);
    }
    return my->rc;
}

/* What is done at once. 1: it is none of these. */
static int act(const node *n, env *me, coil_task *self)
{
    switch (n->kind) {
    case DO_FAIL:
        return -EDOM;
    case DO_LOCAL:
        return set_local(self, me);
    case DO_CANCEL_TASK:
        return cancel_any_task();
    case DO_CANCEL_SELF:
        coil_task_cancel(self);
        return 0;
    case DO_CANCEL_GROUP:
        cancel_any_group();
        return 0;
    case DO_MOVE_TIMEOUT:
        move_any_timeout(n->lots[0]);
        return 0;
    default:
        return 1;
    }
}

/* Plays one node. The result is never -ETIME, which is left to deadlines around it. */
coil_define(int, run, (node *) n, (env *) me, (unsigned) held)
{
    vars(uint64_t canary; uint64_t step; int rc; bool done);
    if (n->off || world.step_count++ > STEPS_MAX)
        return 0;
    begin_node(n, me);
    my->canary = mix((uint64_t)n->id);
    my->step = world.sched.step_count;
    defer(leave_node(n, me, my->canary, my->done));
    check_local(coil_self, me);

    my->rc = act(n, me, coil_self);
    if (my->rc > 0) {
        if (n->kind <= DO_DEFER || (n->kind >= DO_SLEEP && n->kind <= DO_SPILL))
            await(my->rc, run_here(n, me, held));
        else if (n->kind < DO_PUT)
            await(my->rc, run_wait(n, me, held));
        else
            await(my->rc, run_items(n, me));
    }
    my->done = true;
    end_node(n, me, my->rc, my->step != world.sched.step_count);
    return my->rc == -ETIME ? -EIO : my->rc;
}

/* The loader is open as long as the first tree is played. */
coil_define(int, run_root, (size_t) index)
{
    vars(env me; int rc; coil_loader_options options);
    my->me.id = ++world.task_count;
    if (index == 0) {
        my->options = (coil_loader_options){.batch_count_max = 1 + toss(4),
                .cache_count_max = toss(3) * 2,
                .window = toss(2) ? briefly(toss(5)) : 0,
                .fetch_count_max = toss(3),
                .key_count_max = toss(2) ? 0 : 3};
        coil_open_loader(&world.loader, fetch_numbers, &my->options);
    }
    await(my->rc, run(world.program->roots[index], &my->me, 0));
    return my->rc;
}

/* What a task needs at once depends on those before it; not so when memory may be short. */
void forget_learned_stacks(void)
{
    *run_task__fn.stack_bytes = 0;
    *run_root__fn.stack_bytes = 0;
    *fetch_numbers__fn.stack_bytes = 0;
}
