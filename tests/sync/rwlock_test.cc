/* SPDX-License-Identifier: MIT */
#include <coil/rwlock.h>

#include "world.h"

#include <algorithm>
#include <deque>
#include <string>

#include <coil/sugar.h>

namespace
{

struct library {
    coil_rwlock lock;
    size_t reading;
    size_t most_reading;
    bool writing;
    std::string order; /* Who came in: lower case to read, upper case to write. */
};

struct visitor {
    library *where;
    char name; /* Upper case: it writes. */
    coil_duration stay;
    int rc; /* 1: the call has not come back. */
    bool stayed;
};

bool writes(const visitor *who)
{
    return who->name >= 'A' && who->name <= 'Z';
}

} // namespace

static void enter(visitor *who)
{
    library *where = who->where;
    EXPECT_FALSE(where->writing);
    where->order += who->name;
    if (writes(who)) {
        EXPECT_EQ(0u, where->reading);
        where->writing = true;
    } else {
        where->reading++;
        where->most_reading = std::max(where->most_reading, where->reading);
    }
}

static void leave(visitor *who)
{
    if (writes(who))
        who->where->writing = false;
    else
        who->where->reading--;
    coil_rwlock_unlock(&who->where->lock);
}

async(int, visit, (visitor *) who, (coil_duration) limit)
{
    vars();

    if (writes(who))
        await(who->rc, within(limit, coil_rwlock_write_lock(&who->where->lock)));
    else
        await(who->rc, within(limit, coil_rwlock_read_lock(&who->where->lock)));
    if (who->rc < 0)
        return who->rc;
    enter(who);
    defer(leave(who));
    await(coil_sleep(who->stay));
    who->stayed = true;
    return 0;
}

/* Writes for `stay`, then reads for as long. */
async(int, write_then_read, (visitor *) who)
{
    vars();

    attempt(coil_rwlock_write_lock(&who->where->lock));
    defer(coil_rwlock_unlock(&who->where->lock));
    who->where->order += who->name;
    await(coil_sleep(who->stay));
    coil_rwlock_downgrade(&who->where->lock);
    await(coil_sleep(who->stay));
    who->where->order += '.';
    return 0;
}

async(void, read_then_downgrade, (coil_rwlock *) lock)
{
    vars();

    ignore(coil_rwlock_read_lock(lock));
    coil_rwlock_downgrade(lock);
}

async(void, write_twice, (coil_rwlock *) lock)
{
    vars();

    ignore(coil_rwlock_write_lock(lock));
    ignore(coil_rwlock_write_lock(lock));
}

async(void, read_what_we_write, (coil_rwlock *) lock)
{
    vars();

    ignore(coil_rwlock_write_lock(lock));
    ignore(coil_rwlock_read_lock(lock));
}

async(void, try_all, (coil_rwlock *) lock, (numbers *) out_results)
{
    vars();

    out_results->push_back(coil_rwlock_try_write_lock(lock, coil_self));
    out_results->push_back(coil_rwlock_try_read_lock(lock));
    out_results->push_back(coil_rwlock_try_write_lock(lock, coil_self));
    coil_rwlock_unlock(lock);
    out_results->push_back(coil_rwlock_try_read_lock(lock));
    out_results->push_back(coil_rwlock_try_read_lock(lock));
    out_results->push_back(coil_rwlock_try_write_lock(lock, coil_self));
    coil_rwlock_unlock(lock);
    coil_rwlock_unlock(lock);
}

namespace
{

class RwLock : public World
{
protected:
    RwLock()
    {
        coil_rwlock_init(&where.lock);
    }

    ~RwLock() override
    {
        run_out();
        EXPECT_EQ(0u, where.reading);
        EXPECT_FALSE(where.writing);
        coil_rwlock_fini(&where.lock);
    }

    visitor &visitor_of(char name)
    {
        all.push_back({&where, name, coil_ms(1), 1, false});
        return all.back();
    }

    coil_task *come(char name, coil_duration limit = COIL_FOREVER)
    {
        return spawn(&sched.root, visit(&visitor_of(name), limit));
    }

    void come_all(const char *names)
    {
        for (; *names != '\0'; names++)
            come(*names);
        settle();
    }

    library where = {};
    std::deque<visitor> all;
};

TEST_F(RwLock, IsReadByManyAtOnce)
{
    come_all("abcde");
    EXPECT_EQ(5u, where.lock.reader_count);
    run_out();
    EXPECT_EQ(coil_ms(1), sched.now);
    EXPECT_EQ(5u, where.most_reading);
}

TEST_F(RwLock, IsWrittenByOneAtATimeInTheOrderOfArrival)
{
    come_all("ABCD");
    run_out();
    EXPECT_EQ("ABCD", where.order);
    EXPECT_EQ(coil_ms(4), sched.now);
}

TEST_F(RwLock, ServesReadersAndWritersInTheOrderOfArrivalReadersInARowTogether)
{
    come_all("abWcdXYe");
    EXPECT_EQ("ab", where.order);
    pass(coil_ms(1));
    EXPECT_EQ("abW", where.order);
    pass(coil_ms(1));
    EXPECT_EQ("abWcd", where.order);
    EXPECT_EQ(2u, where.lock.reader_count);
    run_out();
    EXPECT_EQ("abWcdXYe", where.order);
    EXPECT_EQ(coil_ms(6), sched.now);
}

TEST_F(RwLock, DoesNotStarveAWriterWhileReadersComeAndGo)
{
    come('a');
    for (int i = 0; i < 100; i++) {
        pass(coil_us(500));
        come(i == 10 ? 'W' : 'b');
        settle();
    }
    run_out();
    EXPECT_EQ(11u, where.order.find('W'));
}

TEST_F(RwLock, DoesNotStarveAReaderWhileWritersComeAndGo)
{
    come('A');
    for (int i = 0; i < 100; i++) {
        come(i == 10 ? 'r' : 'B');
        pass(coil_us(500));
    }
    run_out();
    EXPECT_EQ(11u, where.order.find('r'));
}

TEST_F(RwLock, CanBeTriedForWithoutWaiting)
{
    numbers results;
    spawn(&sched.root, try_all(&where.lock, &results));
    settle();
    EXPECT_EQ((numbers{0, -EAGAIN, -EAGAIN, 0, 0, -EAGAIN}), results);
}

TEST_F(RwLock, DoesNotLetATryOvertakeAWriterThatWaits)
{
    come_all("aW");
    EXPECT_EQ(-EAGAIN, coil_rwlock_try_read_lock(&where.lock));
}

TEST_F(RwLock, LetsReadersInWhenTheWriterBeforeThemGivesUp)
{
    come('a');
    coil_task *writer = come('W');
    come_all("bc");
    EXPECT_EQ("a", where.order);
    coil_task_cancel(writer);
    coil_task_cancel(writer);
    EXPECT_EQ(3u, where.lock.reader_count) << "at once, not when the writer runs";
    settle();
    EXPECT_EQ("abc", where.order);
}

TEST_F(RwLock, LetsReadersInWhenTheDeadlineOfTheWriterBeforeThemPasses)
{
    visitor &reader = visitor_of('a');
    reader.stay = coil_ms(10);
    spawn(&sched.root, visit(&reader, COIL_FOREVER));
    come('W', coil_ms(5));
    come_all("b");
    pass(coil_ms(5) - 1);
    EXPECT_EQ("a", where.order);
    pass(1);
    EXPECT_EQ("ab", where.order);
    EXPECT_EQ(-ETIME, all[1].rc);
}

TEST_F(RwLock, LetsNobodyInIfAWriterGivesUpBehindAnother)
{
    come('a');
    come('W');
    coil_task *second = come('X');
    come_all("b");
    coil_task_cancel(second);
    settle();
    EXPECT_EQ("a", where.order);
    run_out();
    EXPECT_EQ("aWb", where.order);
}

TEST_F(RwLock, IsDeliveredIfItWasHandedOverBeforeTheCancellation)
{
    coil_task *reader = nullptr;
    ASSERT_EQ(0, coil_rwlock_try_read_lock(&where.lock));
    coil_task *writer = come('W');
    reader = come('r');
    settle();
    coil_rwlock_unlock(&where.lock); /* To the writer, */
    coil_task_cancel(writer);
    coil_task_cancel(writer);
    EXPECT_EQ(writer, where.lock.writer);
    settle();
    EXPECT_EQ(0, all[0].rc);
    EXPECT_FALSE(all[0].stayed);
    coil_task_cancel(reader); /* which has handed it to the reader by now. */
    settle();
    EXPECT_EQ("Wr", where.order);
    EXPECT_FALSE(all[1].stayed);
}

TEST_F(RwLock, IsNotDeliveredIfTheCancellationCameFirst)
{
    ASSERT_EQ(0, coil_rwlock_try_read_lock(&where.lock));
    coil_task *writer = come('W');
    settle();
    coil_task_cancel(writer);
    coil_rwlock_unlock(&where.lock);
    EXPECT_EQ(nullptr, where.lock.writer);
    settle();
    EXPECT_EQ("", where.order);
}

TEST_F(RwLock, IsRefusedToATaskThatIsBeingCancelledEvenIfItIsFree)
{
    coil_task_cancel(come('W'));
    coil_task_cancel(come('r'));
    settle();
    EXPECT_EQ("", where.order);
}

TEST_F(RwLock, IsDowngradedWithoutAWriterInBetween)
{
    visitor &who = visitor_of('W');
    spawn(&sched.root, write_then_read(&who));
    settle();
    come_all("abXc");
    pass(coil_ms(1));
    EXPECT_EQ("Wab", where.order);
    EXPECT_EQ(3u, where.lock.reader_count);
    run_out();
    EXPECT_EQ("Wab.Xc", where.order);
}

TEST_F(RwLock, SurvivesTheCancellationOfAHundredWaiters)
{
    std::vector<coil_task *> tasks;
    come('W');
    for (int i = 0; i < 100; i++)
        tasks.push_back(come(i % 3 == 0 ? 'X' : 'x'));
    come('r');
    settle();
    for (coil_task *task : tasks)
        coil_task_cancel(task);
    EXPECT_EQ(1u, length(where.lock.waiters));
    run_out();
    EXPECT_EQ("Wr", where.order);
}

TEST_F(RwLock, KeepsTasksWaitingThatAreWokenForAnotherReason)
{
    come('W');
    coil_task *task = come('r');
    settle();
    coil_task_wake(task);
    settle();
    EXPECT_EQ("W", where.order);
}

async(int, counts_what_it_holds, (coil_rwlock *) lock, (std::vector<int> *) counts)
{
    vars();
    attempt(coil_rwlock_write_lock(lock));
    counts->push_back(coil_self->lock_count);
    coil_rwlock_downgrade(lock);
    counts->push_back(coil_self->lock_count); /* Any task may give a reader's lock back. */
    coil_rwlock_unlock(lock);
    attempt(coil_rwlock_write_lock(lock));
    coil_rwlock_unlock(lock);
    counts->push_back(coil_self->lock_count);
    return 0;
}

TEST_F(RwLock, IsCountedAmongTheLocksOfItsWriter)
{
    std::vector<int> counts;
    spawn(&sched.root, counts_what_it_holds(&where.lock, &counts));
    run_out();
    EXPECT_EQ((std::vector<int>{1, 0, 0}), counts);
}

TEST_F(RwLock, IsUnlockedOnlyIfItIsLockedAndByItsWriter)
{
    EXPECT_DEATH(coil_rwlock_unlock(&where.lock), "reader_count > 0");
    come('W');
    settle();
    EXPECT_DEATH(coil_rwlock_unlock(&where.lock), "running == rwlock->writer");
    EXPECT_DEATH(coil_rwlock_downgrade(&where.lock), "running == rwlock->writer");
}

TEST_F(RwLock, IsNotRecursiveForItsWriter)
{
    EXPECT_DEATH(
            {
                spawn(&sched.root, write_twice(&where.lock));
                settle();
            },
            "writer != task");
    EXPECT_DEATH(
            {
                spawn(&sched.root, read_what_we_write(&where.lock));
                settle();
            },
            "writer != task");
}

TEST_F(RwLock, IsDowngradedByAWriterOnly)
{
    EXPECT_DEATH(
            {
                spawn(&sched.root, read_then_downgrade(&where.lock));
                settle();
            },
            "writer != NULL");
}

TEST_F(RwLock, MayNotEndLocked)
{
    come('r');
    settle();
    EXPECT_DEATH(coil_rwlock_fini(&where.lock), "reader_count == 0");
    run_out();
    come('W');
    settle();
    EXPECT_DEATH(coil_rwlock_fini(&where.lock), "writer == NULL");
}

} // namespace
