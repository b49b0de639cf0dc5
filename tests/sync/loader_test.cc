/* SPDX-License-Identifier: MIT */
#include <coil/loader.h>

#include <coil/event.h>
#include <coil/local.h>

#include "world.h"

#include <cstdlib>
#include <deque>
#include <string>

#include <coil/sugar.h>

namespace
{

/* Not a power of two in size, so that a wrong offset shows. */
struct book {
    int number;
    char title[13];
};

using library = coil_loader_of(int, book);
using order = coil_batch_of(library);

/* What the fetches see and do. */
struct records {
    std::vector<numbers> orders;
    coil_duration delay = coil_ms(1);
    int rc = 0;
    int missing = -1; /* It finds nothing for this key, */
    int refused = -1; /* and reports -EACCES for that one. */
    int edition = 0;
    int cancelled_count = 0;
    int related = -1; /* A key that it loads itself. */
    int user = 0;     /* The local value that it has. */
};

struct desk {
    library books;
    const coil_loader_options *options;
    records *log;
};

struct reader {
    desk *where;
    int key;
    coil_duration limit;
    coil_duration before;
    book got;
    int rc; /* 1: the call has not come back. */
    bool went_on;
};

} // namespace

static coil_local_of(int) current_user = COIL_LOCAL("current user");

static int user_of(const coil_task *task)
{
    const int *user = coil_local_get(task, &current_user);
    return user == nullptr ? -1 : *user;
}

static void fill(order *batch, const records *log)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->keys[i] == log->refused)
            batch->statuses[i] = -EACCES;
        if (batch->keys[i] == log->missing || batch->keys[i] == log->refused)
            continue;
        batch->values[i].number = batch->keys[i] + 1000 * log->edition;
        snprintf(batch->values[i].title, sizeof(batch->values[i].title), "%d",
                batch->keys[i] % 100000);
        batch->statuses[i] = 0;
    }
}

static void note_order(const order *batch, records *log)
{
    log->orders.emplace_back(batch->keys, batch->keys + batch->count);
}

async(int, fetch, (order *) batch)
{
    vars(records *log; book other; int related; bool done;);

    my->log = coil_container_of(batch->loader, desk, books.loader)->log;
    note_order(batch, my->log);
    my->log->user = user_of(coil_self);
    defer(my->log->cancelled_count += !my->done);
    if (my->log->related >= 0) {
        my->related = my->log->related;
        my->log->related = -1;
        attempt(coil_loader_load(&coil_container_of(batch->loader, desk, books.loader)->books,
                &my->related, &my->other));
    }
    fill(batch, my->log);
    if (my->log->delay > 0)
        await(coil_sleep(my->log->delay));
    my->done = true;
    return my->log->rc;
}

async(int, own, (desk *) where)
{
    vars();

    coil_open_loader(&where->books, fetch, where->options);
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

async(int, read_one, (reader *) who)
{
    vars(int key;);

    if (who->before > 0)
        await(coil_sleep(who->before));
    my->key = who->key;
    await(who->rc, within(who->limit, coil_loader_load(&who->where->books, &my->key, &who->got)));
    if (who->rc < 0)
        return who->rc;
    await(coil_yield());
    who->went_on = true;
    return 0;
}

async(int, read_when_set, (coil_event *) event, (reader *) who)
{
    vars();

    await(coil_event_wait(event));
    coil_event_set(event + 1);
    attempt(read_one(who));
    return 0;
}

async(int, open_by_parts, (desk *) where, (uint64_t(*)(const int *)) hash,
        (bool (*)(const int *, const int *)) equal)
{
    vars();

    coil_open_loader(&where->books, fetch, where->options);
    coil_loader_compare_by(&where->books, hash, equal);
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

/* Whoever comes first: the fetch is not his. */
async(int, read_as, (int) user, (reader *) who)
{
    vars();

    COIL_CHECK(coil_local_set(coil_self, &current_user, &user) == 0);
    attempt(read_one(who));
    return 0;
}

/* An owner that uses its loader itself. */
async(int, own_and_read, (desk *) where, (reader *) who)
{
    vars();

    coil_open_loader(&where->books, fetch, where->options);
    attempt(read_one(who));
    return 0;
}

static uint64_t same_hash(const int *key)
{
    (void)key;
    return 7;
}

static bool same_decade(const int *key, const int *other)
{
    return *key / 10 == *other / 10;
}

static bool same_key(const int *key, const int *other)
{
    return *key == *other;
}

namespace
{

class Loader : public World
{
protected:
    ~Loader() override
    {
        close();
    }

    void open(const coil_loader_options &chosen = {})
    {
        options = chosen;
        where.options = &options;
        where.log = &log;
        owner = spawn(&sched.root, own(&where));
        settle();
    }

    void close()
    {
        if (owner != nullptr)
            coil_task_cancel(owner);
        owner = nullptr;
        run_out();
    }

    reader &reader_of(int key, coil_duration limit = COIL_FOREVER)
    {
        readers.push_back({&where, key, limit, 0, {-1, {}}, 1, false});
        return readers.back();
    }

    coil_task *start(reader &who)
    {
        return spawn(&sched.root, read_one(&who));
    }

    reader &load(int key)
    {
        reader &who = reader_of(key);
        start(who);
        return who;
    }

    int prime(int key, int number)
    {
        book value = {number, {}};
        return coil_loader_prime(&where.books, &key, &value);
    }

    void clear(int key)
    {
        coil_loader_clear(&where.books, &key);
    }

    const coil_loader &core()
    {
        return where.books.loader;
    }

    coil_loader_options options = {};
    desk where = {};
    records log;
    coil_task *owner = nullptr;
    std::deque<reader> readers;
};

TEST_F(Loader, FetchesWithTheLocalValuesOfItsOwnerWhoeverAsks)
{
    open();
    const int owners = 1;
    reader &first = reader_of(5);
    spawn(&sched.root, read_as(2, &first));
    run_out();
    EXPECT_EQ(0, first.rc);
    EXPECT_EQ(-1, log.user);

    ASSERT_EQ(0, coil_local_set(owner, &current_user, &owners));
    reader &second = reader_of(6);
    spawn(&sched.root, read_as(2, &second));
    run_out();
    EXPECT_EQ(0, second.rc);
    EXPECT_EQ(1, log.user);
}

TEST_F(Loader, FetchesAtOnceWhatManyTasksLoadInOneTurn)
{
    open();
    for (int i = 0; i < 100; i++)
        load(i);
    run_out();
    ASSERT_EQ(1u, log.orders.size());
    EXPECT_EQ(100u, log.orders[0].size());
    for (int i = 0; i < 100; i++) {
        const reader &who = readers[static_cast<size_t>(i)];
        EXPECT_EQ(i, log.orders[0][static_cast<size_t>(i)]); /* In the order of asking. */
        EXPECT_EQ(0, who.rc);
        EXPECT_EQ(i, who.got.number);
        EXPECT_EQ(std::to_string(i), who.got.title);
    }
    EXPECT_EQ(0u, core().key_count);
    EXPECT_EQ(1u, core().fetch_count);
}

TEST_F(Loader, AsksForAKeyOnceHoweverManyLoadIt)
{
    open();
    for (int i = 0; i < 100; i++)
        load(i % 3);
    run_out();
    EXPECT_EQ((std::vector<numbers>{{0, 1, 2}}), log.orders);
    for (const reader &who : readers)
        EXPECT_EQ(who.key, who.got.number);
}

TEST_F(Loader, WaitsUntilEverythingThatIsReadyHasRun)
{
    coil_event chain[11];
    for (coil_event &event : chain)
        coil_event_init(&event);
    open();
    for (int i = 9; i >= 0; i--)
        spawn(&sched.root, read_when_set(&chain[i], &reader_of(i)));
    settle();
    coil_event_set(&chain[0]); /* Each of them wakes the next, in one turn. */
    run_out();
    EXPECT_EQ((std::vector<numbers>{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}}), log.orders);
}

TEST_F(Loader, GivesEachCallerItsOwnValueOrError)
{
    open();
    log.missing = 1;
    log.refused = 2;
    for (int i = 0; i < 4; i++)
        load(i);
    run_out();
    EXPECT_EQ(0, readers[0].rc);
    EXPECT_EQ(-ENOENT, readers[1].rc);
    EXPECT_EQ(-EACCES, readers[2].rc);
    EXPECT_EQ(0, readers[3].rc);
    EXPECT_EQ(-1, readers[1].got.number); /* Untouched. */
    EXPECT_EQ(-1, readers[2].got.number);
    EXPECT_EQ(3, readers[3].got.number);
}

TEST_F(Loader, FailsEveryoneInAFailedBatchAndNobodyElse)
{
    open();
    log.rc = -EIO;
    load(1);
    load(2);
    pass(coil_ms(1));
    EXPECT_EQ(-EIO, readers[0].rc);
    EXPECT_EQ(-EIO, readers[1].rc);
    EXPECT_EQ(-1, readers[0].got.number);
    log.rc = 0;
    load(1);
    run_out();
    EXPECT_EQ(0, readers[2].rc);
    EXPECT_EQ(2u, log.orders.size());
}

TEST_F(Loader, SharesAFetchThatIsInFlight)
{
    open();
    load(1);
    settle();
    ASSERT_EQ(1u, log.orders.size());
    load(1);
    settle();
    run_out();
    EXPECT_EQ(1u, log.orders.size());
    EXPECT_EQ(0, readers[1].rc);
    EXPECT_EQ(1, readers[1].got.number);
}

TEST_F(Loader, CollectsTheNextBatchWhileOneIsInFlight)
{
    open();
    load(1);
    settle();
    load(2);
    load(3);
    settle();
    EXPECT_EQ(3u, core().key_count);
    run_out();
    EXPECT_EQ((std::vector<numbers>{{1}, {2, 3}}), log.orders);
    EXPECT_EQ(coil_ms(1), sched.now);
}

TEST_F(Loader, HasBatchesOfLimitedSize)
{
    open({4, 0, 0, 0, 0});
    for (int i = 0; i < 10; i++)
        load(i);
    run_out();
    EXPECT_EQ((std::vector<numbers>{{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9}}), log.orders);
    for (const reader &who : readers)
        EXPECT_EQ(who.key, who.got.number);
}

TEST_F(Loader, FetchesNoMoreAtATimeThanItMay)
{
    open({4, 0, 0, 0, 1});
    load(0);
    settle();
    for (int i = 1; i < 7; i++)
        load(i);
    settle();
    EXPECT_EQ((std::vector<numbers>{{0}}), log.orders);
    load(7); /* Into the batch that waits. */
    pass(coil_ms(1));
    EXPECT_EQ((std::vector<numbers>{{0}, {1, 2, 3, 4}}), log.orders);
    load(8);
    pass(coil_ms(1));
    EXPECT_EQ((std::vector<numbers>{{0}, {1, 2, 3, 4}, {5, 6, 7, 8}}), log.orders);
    load(9);
    settle();
    close(); /* With one that waits for its start. */
    EXPECT_EQ(-EPIPE, readers[9].rc);
    EXPECT_EQ(0u, sched.live_count);
}

TEST_F(Loader, WaitsForItsWindow)
{
    open({0, 0, 0, coil_ms(5), 0});
    load(1);
    pass(coil_ms(4));
    load(2);
    settle();
    EXPECT_TRUE(log.orders.empty());
    pass(coil_ms(1));
    EXPECT_EQ((std::vector<numbers>{{1, 2}}), log.orders);
}

TEST_F(Loader, FetchesAFullBatchBeforeItsWindowEnds)
{
    open({2, 0, 0, COIL_FOREVER, 0});
    for (int i = 0; i < 5; i++)
        load(i);
    settle();
    EXPECT_EQ((std::vector<numbers>{{0, 1}, {2, 3}}), log.orders);
    run_out();
    EXPECT_EQ(1, readers[4].rc);
    close();
    EXPECT_EQ(-EPIPE, readers[4].rc);
}

TEST_F(Loader, LetsACancelledCallerLeaveAlone)
{
    open();
    coil_task *early = start(reader_of(1));
    load(1);
    load(2);
    coil_task *late = start(reader_of(2));
    coil_sched_run(&sched, 4);
    coil_task_cancel(early);
    settle();
    coil_task_cancel(late);
    run_out();
    EXPECT_EQ((std::vector<numbers>{{1, 2}}), log.orders);
    EXPECT_EQ(1, readers[0].rc);
    EXPECT_EQ(0, readers[1].rc);
    EXPECT_EQ(0, readers[2].rc);
    EXPECT_EQ(1, readers[3].rc);
    EXPECT_EQ(0, log.cancelled_count);
}

TEST_F(Loader, LetsACallerLeaveAtItsDeadline)
{
    open();
    log.delay = coil_ms(10);
    reader &hasty = reader_of(1, coil_ms(5));
    start(hasty);
    load(1);
    run_out();
    EXPECT_EQ(-ETIME, hasty.rc);
    EXPECT_EQ(-1, hasty.got.number);
    EXPECT_EQ(0, readers[1].rc);
}

TEST_F(Loader, DoesNotFetchWhatNobodyWaitsForAnyMore)
{
    open();
    coil_task *first = start(reader_of(1));
    coil_task *second = start(reader_of(2));
    load(3);
    coil_sched_run(&sched, 3);
    coil_task_cancel(first);
    coil_task_cancel(second);
    load(2); /* It comes back before the fetch. */
    run_out();
    EXPECT_EQ((std::vector<numbers>{{2, 3}}), log.orders);
    EXPECT_EQ(0, readers[3].rc);
    EXPECT_EQ(0u, core().key_count);
}

TEST_F(Loader, DoesNotFetchAtAllIfAllHaveGone)
{
    open();
    coil_task *only = start(reader_of(1));
    coil_sched_run(&sched, 1);
    EXPECT_EQ(1u, core().key_count);
    coil_task_cancel(only);
    run_out();
    EXPECT_TRUE(log.orders.empty());
    EXPECT_EQ(0u, core().key_count);
    EXPECT_EQ(0u, core().fetch_count);
}

TEST_F(Loader, CancelsAFetchThatNobodyWaitsForAndBeginsAnew)
{
    open();
    coil_task *first = start(reader_of(1));
    coil_task *second = start(reader_of(2));
    settle();
    coil_task_cancel(first);
    settle();
    EXPECT_EQ(0, log.cancelled_count);
    load(2);
    coil_task_cancel(second); /* The third caller runs before the old fetch has noticed. */
    run_out();
    EXPECT_EQ(1, log.cancelled_count);
    EXPECT_EQ((std::vector<numbers>{{1, 2}, {2}}), log.orders);
    EXPECT_EQ(0, readers[2].rc);
    EXPECT_EQ(2, readers[2].got.number);
}

TEST_F(Loader, DeliversWhatWasAnsweredBeforeTheCancellation)
{
    open();
    reader &who = reader_of(1);
    int64_t result = 1;
    coil_task *task = coil_spawn_result(&sched.root, &result, read_one(&who));
    settle();
    coil_sched_advance(&sched, coil_ms(1));
    coil_sched_run(&sched, 1); /* The fetch has ended, its caller has not run. */
    EXPECT_EQ(0u, core().key_count);
    coil_task_cancel(task);
    coil_task_cancel(task);
    settle();
    EXPECT_EQ(0, who.rc);
    EXPECT_EQ(1, who.got.number);
    EXPECT_FALSE(who.went_on);
    EXPECT_EQ(-ECANCELED, result);
}

TEST_F(Loader, KeepsBackWhatIsAnsweredAfterTheCancellation)
{
    open();
    reader &who = reader_of(1);
    coil_task *task = start(who);
    load(1);
    settle();
    coil_sched_advance(&sched, coil_ms(1));
    coil_task_cancel(task); /* Before the fetch runs. */
    settle();
    EXPECT_EQ(1, who.rc);
    EXPECT_EQ(-1, who.got.number);
    EXPECT_EQ(1, readers[1].got.number);
}

TEST_F(Loader, RefusesATaskThatIsBeingCancelled)
{
    open();
    coil_task_cancel(start(reader_of(1)));
    run_out();
    EXPECT_EQ(1, readers[0].rc);
    EXPECT_TRUE(log.orders.empty());
}

TEST_F(Loader, KeepsTasksWaitingThatAreWokenForAnotherReason)
{
    open();
    coil_task *task = start(reader_of(1));
    settle();
    coil_task_wake(task);
    settle();
    EXPECT_EQ(1, readers[0].rc);
    run_out();
    EXPECT_EQ(0, readers[0].rc);
}

TEST_F(Loader, EndsWithTheCoroutineThatOpenedIt)
{
    open({0, 0, 4, 0, 0});
    load(1);
    settle();
    load(2);
    coil_sched_run(&sched, 1);
    ASSERT_EQ(0, prime(3, 3));
    EXPECT_EQ(2u, core().key_count);
    coil_task_cancel(owner);
    owner = nullptr;
    settle();
    EXPECT_EQ(-EPIPE, readers[0].rc);
    EXPECT_EQ(-EPIPE, readers[1].rc);
    EXPECT_EQ(1, log.cancelled_count);
    EXPECT_EQ(1u, log.orders.size());
    EXPECT_EQ(0u, sched.live_count);
    EXPECT_EQ(0u, core().cached_count);
    load(3);
    settle();
    EXPECT_EQ(-EPIPE, readers[2].rc);
    EXPECT_EQ(-EPIPE, prime(3, 3));
}

TEST_F(Loader, ReportsTheCancellationOfAFetch)
{
    open();
    for (const bool is_collecting : {false, true}) {
        reader &first = load(1);
        reader &second = load(2);
        if (is_collecting) {
            coil_sched_run(&sched, 2); /* The fetch has not begun. */
        } else {
            settle();
        }
        coil_task_cancel(coil_container_of(core().group.tasks.next, coil_task, link));
        settle();
        EXPECT_EQ(-ECANCELED, first.rc);
        EXPECT_EQ(-ECANCELED, second.rc);
        EXPECT_EQ(0u, core().key_count);
    }
    reader &third = load(1);
    run_out();
    EXPECT_EQ(0, third.rc) << "the loader goes on";
    EXPECT_EQ(1, third.got.number);
}

TEST_F(Loader, CanBeUsedByItsOwner)
{
    desk mine = {};
    mine.log = &log;
    reader &who = reader_of(5);
    who.where = &mine;
    int64_t result = 1;
    coil_spawn_result(&sched.root, &result, own_and_read(&mine, &who));
    run_out();
    EXPECT_EQ(0, result);
    EXPECT_EQ(5, who.got.number);
}

TEST_F(Loader, LetsAFetchLoadOtherKeys)
{
    open();
    log.related = 8;
    load(7);
    run_out();
    EXPECT_EQ((std::vector<numbers>{{7}, {8}}), log.orders);
    EXPECT_EQ(0, readers[0].rc);
}

TEST_F(Loader, RefusesMoreKeysThanItMayHaveInFlight)
{
    open({0, 3, 0, 0, 0});
    for (int i = 0; i < 5; i++)
        load(i);
    load(0); /* Not another key. */
    run_out();
    EXPECT_EQ((std::vector<numbers>{{0, 1, 2}}), log.orders);
    EXPECT_EQ(-ENOBUFS, readers[3].rc);
    EXPECT_EQ(-ENOBUFS, readers[4].rc);
    EXPECT_EQ(0, readers[5].rc);
    load(4);
    run_out();
    EXPECT_EQ(0, readers[6].rc);
}

TEST_F(Loader, HoldsManyKeys)
{
    open({SIZE_MAX, SIZE_MAX, SIZE_MAX, 0, 0});
    for (int i = 0; i < 5000; i++)
        load(i);
    run_out();
    ASSERT_EQ(1u, log.orders.size());
    EXPECT_EQ(5000u, core().cached_count);
    for (int i = 0; i < 5000; i++)
        load(i);
    settle();
    EXPECT_EQ(1u, log.orders.size());
    for (const reader &who : readers)
        EXPECT_EQ(who.key, who.got.number);
}

TEST_F(Loader, CachesNothingUnlessItIsAskedTo)
{
    open();
    load(1);
    run_out();
    load(1);
    run_out();
    EXPECT_EQ(2u, log.orders.size());
    EXPECT_EQ(0u, core().cached_count);
}

TEST_F(Loader, AnswersFromItsCacheWithoutGivingUpTheTurn)
{
    open({0, 0, 4, 0, 0});
    load(1);
    run_out();
    EXPECT_EQ(1u, core().cached_count);
    load(1);
    coil_sched_run(&sched, 1);
    EXPECT_EQ(0, readers[1].rc);
    EXPECT_EQ(1, readers[1].got.number);
    EXPECT_EQ("1", std::string(readers[1].got.title));
    EXPECT_EQ(1u, log.orders.size());
}

TEST_F(Loader, ForgetsWhatWasNotUsedForLongest)
{
    open({0, 0, 3, 0, 0});
    for (int i = 0; i < 3; i++) {
        load(i);
        run_out();
    }
    load(0);
    load(3);
    run_out();
    EXPECT_EQ(3u, core().cached_count);
    log.orders.clear();
    load(0);
    load(2);
    load(3);
    run_out();
    EXPECT_TRUE(log.orders.empty());
    load(1);
    run_out();
    EXPECT_EQ((std::vector<numbers>{{1}}), log.orders);
}

TEST_F(Loader, NeverCachesErrors)
{
    open({0, 0, 4, 0, 0});
    log.missing = 1;
    load(1);
    run_out();
    EXPECT_EQ(-ENOENT, readers[0].rc);
    EXPECT_EQ(0u, core().cached_count);
    log.missing = -1;
    load(1);
    run_out();
    EXPECT_EQ(0, readers[1].rc);
}

TEST_F(Loader, CanBePrimed)
{
    open({0, 0, 2, 0, 0});
    EXPECT_EQ(0, prime(1, 17));
    EXPECT_EQ(-EEXIST, prime(1, 18));
    load(1);
    settle();
    EXPECT_EQ(17, readers[0].got.number);
    load(2);
    settle();
    EXPECT_EQ(-EEXIST, prime(2, 18)); /* In flight. */
    run_out();
    EXPECT_EQ(2, readers[1].got.number);
    EXPECT_EQ(0, prime(3, 3));
    EXPECT_EQ(2u, core().cached_count);
    EXPECT_EQ((std::vector<numbers>{{2}}), log.orders);
}

TEST_F(Loader, FetchesAnewWhatWasCleared)
{
    open({0, 0, 4, 0, 0});
    ASSERT_EQ(0, prime(1, 17));
    ASSERT_EQ(0, prime(2, 18));
    clear(1);
    clear(1);
    clear(99);
    load(1);
    load(2);
    run_out();
    EXPECT_EQ(1, readers[0].got.number);
    EXPECT_EQ(18, readers[1].got.number);
    coil_loader_clear_all(&where.books);
    EXPECT_EQ(0u, core().cached_count);
    load(2);
    run_out();
    EXPECT_EQ(2, readers[2].got.number);
}

TEST_F(Loader, KeepsNothingOfAFetchThatWasClearedMeanwhile)
{
    open({0, 0, 4, 0, 0});
    load(1);
    settle();
    clear(1); /* Somebody has written to it. */
    log.edition = 1;
    load(1);
    settle();
    EXPECT_EQ(2u, core().key_count);
    run_out();
    EXPECT_EQ((std::vector<numbers>{{1}, {1}}), log.orders);
    EXPECT_EQ(1, readers[0].got.number);
    EXPECT_EQ(1001, readers[1].got.number);
    EXPECT_EQ(1u, core().cached_count);
    load(1);
    settle();
    EXPECT_EQ(1001, readers[2].got.number);
}

TEST_F(Loader, LeavesAloneWhatIsClearedBeforeItsFetch)
{
    open();
    load(1);
    coil_sched_run(&sched, 1);
    clear(1);
    coil_loader_clear_all(&where.books);
    load(1);
    run_out();
    EXPECT_EQ((std::vector<numbers>{{1}}), log.orders);
}

TEST_F(Loader, ComparesKeysAsItIsTold)
{
    where.log = &log;
    owner = spawn(&sched.root, open_by_parts(&where, same_hash, same_decade));
    settle();
    load(10);
    load(19);
    load(20);
    run_out();
    EXPECT_EQ((std::vector<numbers>{{10, 20}}), log.orders);
    EXPECT_EQ(10, readers[1].got.number);
}

TEST_F(Loader, SurvivesAHashThatIsNoHash)
{
    where.log = &log;
    options = {1000, 0, 1000, 0, 0};
    where.options = &options;
    owner = spawn(&sched.root, open_by_parts(&where, same_hash, same_key));
    settle();
    for (int i = 0; i < 500; i++)
        load(i % 400);
    run_out();
    EXPECT_EQ(400u, core().cached_count);
    for (const reader &who : readers)
        EXPECT_EQ(who.key, who.got.number);
}

TEST_F(Loader, DoesNotLetAFetchWaitForItself)
{
    open();
    log.related = 7;
    EXPECT_DEATH(
            {
                load(7);
                settle();
            },
            "batch->task != task");
}

TEST_F(Loader, IsPrimedOnlyIfItHasACache)
{
    open();
    EXPECT_DEATH((void)prime(1, 1), "cache_count_max > 0");
}

/* An allocator that has had enough after a while. */
struct miser {
    coil_allocator allocator;
    size_t left_count;
};

void *give(coil_allocator *allocator, size_t size_bytes)
{
    miser *who = coil_container_of(allocator, miser, allocator);
    return who->left_count == 0 ? nullptr : (who->left_count--, malloc(size_bytes));
}

void take_back(coil_allocator *, void *memory, size_t)
{
    free(memory);
}

class LoaderWithoutMemory : public Loader
{
protected:
    LoaderWithoutMemory()
    {
        coil_sched_fini(&sched);
        coil_sched_init(&sched, 0, &poor.allocator);
        sched.root.keep_going = true;
    }

    ~LoaderWithoutMemory() override
    {
        close();
        coil_sched_fini(&sched);
        coil_sched_init(&sched, 0, nullptr); /* This one outlives the allocator. */
    }

    miser poor = {{give, take_back}, SIZE_MAX};
};

TEST_F(LoaderWithoutMemory, SaysSoAndGoesOnWhenThereIsSome)
{
    options.batch_count_max = SIZE_MAX;
    options.cache_count_max = SIZE_MAX;
    open(options);
    for (int i = 0; i < 3; i++) { /* Without memory for a frame the program ends: let them learn. */
        load(-1 - i);
        run_out();
    }
    size_t failed_count = 0;
    for (size_t allowed = 0; allowed < 40; allowed++) {
        const size_t begin = readers.size();
        for (int i = 0; i < 300; i++)
            start(reader_of(static_cast<int>(allowed) * 1000 + i));
        poor.left_count = allowed / 2; /* The readers have got theirs. */
        run_out();
        poor.left_count = SIZE_MAX;
        for (size_t i = begin; i < readers.size(); i++) {
            const reader &who = readers[i];
            ASSERT_TRUE(who.rc == 0 || who.rc == -ENOMEM) << who.rc;
            EXPECT_EQ(who.rc == 0 ? who.key : -1, who.got.number);
            failed_count += who.rc != 0;
        }
        EXPECT_EQ(0u, core().key_count);
    }
    EXPECT_LT(300u, failed_count);
    reader &last = load(1);
    run_out();
    EXPECT_EQ(0, last.rc);
}

TEST_F(LoaderWithoutMemory, FailsTheBatchThatItHasNoArraysFor)
{
    options.batch_count_max = 1000;
    open(options);
    for (int i = 0; i < 500; i++)
        load(i);
    coil_sched_run(&sched, 500);
    poor.left_count = 0;
    run_out();
    poor.left_count = SIZE_MAX;
    for (const reader &who : readers)
        EXPECT_EQ(-ENOMEM, who.rc);
    EXPECT_TRUE(log.orders.empty());
}

} // namespace
