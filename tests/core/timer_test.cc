/* SPDX-License-Identifier: MIT */
#include <coil/timer.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace
{

constexpr coil_time TICK = coil_time{1} << 16;
constexpr coil_time EARLIEST = INT64_MIN;
constexpr coil_time LATEST = INT64_MAX - 1; /* COIL_NEVER is no instant. */

struct Fixture;

struct Alarm {
    coil_timer timer;
    Fixture *fixture;
    int number;
};

coil_time shifted(coil_time time, coil_time by)
{
    coil_time sum;
    if (__builtin_add_overflow(time, by, &sum))
        return by < 0 ? EARLIEST : LATEST;
    return std::min(sum, LATEST);
}

/* A wheel, some numbered alarms, and the order in which they fired. */
struct Fixture {
    coil_timer_wheel wheel;
    std::vector<Alarm> alarms;
    std::vector<int> fired;
    std::function<void(int)> on_fire;

    explicit Fixture(size_t count, coil_time now = 0) : alarms(count)
    {
        coil_timer_wheel_init(&wheel, now);
        for (size_t i = 0; i < count; i++) {
            coil_timer_init(&alarms[i].timer, fire);
            alarms[i].fixture = this;
            alarms[i].number = static_cast<int>(i);
        }
    }

    /* A wheel does not move. */
    Fixture(const Fixture &) = delete;
    Fixture &operator=(const Fixture &) = delete;

    static void fire(coil_timer *timer)
    {
        Alarm *alarm = coil_container_of(timer, Alarm, timer);
        Fixture *self = alarm->fixture;
        EXPECT_FALSE(coil_timer_armed(timer));
        EXPECT_LE(timer->deadline, self->wheel.now);
        self->fired.push_back(alarm->number);
        if (self->on_fire)
            self->on_fire(alarm->number);
    }

    coil_timer *timer(int number)
    {
        return &alarms[static_cast<size_t>(number)].timer;
    }

    void arm(int number, coil_time deadline)
    {
        coil_timer_arm(&wheel, timer(number), deadline);
    }

    void disarm(int number)
    {
        coil_timer_disarm(&wheel, timer(number));
    }

    bool armed(int number)
    {
        return coil_timer_armed(timer(number));
    }

    coil_time next()
    {
        return coil_timer_wheel_next(&wheel);
    }

    /* What fired, in order. */
    std::vector<int> advance(coil_time now)
    {
        fired.clear();
        unsigned count = coil_timer_wheel_advance(&wheel, now);
        EXPECT_EQ(count, fired.size());
        return fired;
    }
};

using Numbers = std::vector<int>;

/* The wheel's private bookkeeping: a bit is set if and only if its slot has timers. */
void expect_consistent(const coil_timer_wheel &wheel)
{
    EXPECT_FALSE(wheel.advancing);
    EXPECT_TRUE(coil_list_empty(&wheel.due));
    EXPECT_TRUE(coil_list_empty(&wheel.late));
    for (unsigned level = 0; level < COIL_TIMER_LEVELS; level++) {
        for (unsigned lane = 0; lane < COIL_TIMER_LANES; lane++) {
            for (unsigned slot = 0; slot < COIL_TIMER_SLOTS; slot++) {
                bool occupied = (wheel.occupied[level][lane] >> slot & 1) != 0;
                ASSERT_EQ(occupied, !coil_list_empty(&wheel.slots[level][slot][lane]));
            }
        }
    }
}

TEST(Timer, StartsUnarmed)
{
    Fixture f(1);
    EXPECT_FALSE(f.armed(0));
    EXPECT_EQ(f.next(), COIL_NEVER);
    f.disarm(0);
    EXPECT_EQ(f.advance(LATEST), Numbers{});
}

TEST(Timer, FiresAtItsDeadlineAndNotANanosecondBefore)
{
    for (coil_time deadline :
            {coil_time{1}, TICK - 1, TICK, TICK + 1, coil_s(1), coil_s(1000000)}) {
        Fixture f(1);
        f.arm(0, deadline);
        EXPECT_TRUE(f.armed(0));
        EXPECT_EQ(f.next(), deadline);
        EXPECT_EQ(f.advance(deadline - 1), Numbers{});
        EXPECT_EQ(f.next(), deadline);
        EXPECT_EQ(f.advance(deadline), Numbers{0});
        EXPECT_FALSE(f.armed(0));
        EXPECT_EQ(f.next(), COIL_NEVER);
        EXPECT_EQ(f.advance(deadline), Numbers{});
    }
}

TEST(Timer, FiresInTheNextAdvanceWhenItsDeadlineIsNowOrPast)
{
    Fixture f(3, coil_s(5));
    f.arm(0, coil_s(5));
    f.arm(1, coil_s(1));
    f.arm(2, EARLIEST);
    EXPECT_EQ(f.next(), EARLIEST);
    EXPECT_EQ(f.advance(coil_s(5)), (Numbers{2, 1, 0}));
}

TEST(Timer, IsNotArmedWhenArmedForNever)
{
    Fixture f(1);
    f.arm(0, COIL_NEVER);
    EXPECT_FALSE(f.armed(0));
    EXPECT_EQ(f.next(), COIL_NEVER);

    f.arm(0, 10);
    f.arm(0, COIL_NEVER);
    EXPECT_FALSE(f.armed(0));
    EXPECT_EQ(f.advance(COIL_NEVER), Numbers{});
}

TEST(Timer, MovesWhenArmedAgain)
{
    Fixture f(1);
    f.arm(0, coil_s(1));
    f.arm(0, coil_s(3));
    EXPECT_EQ(f.next(), coil_s(3));
    EXPECT_EQ(f.advance(coil_s(2)), Numbers{});
    f.arm(0, coil_ms(2500));
    EXPECT_EQ(f.advance(coil_ms(2500)), Numbers{0});
    EXPECT_EQ(f.advance(coil_s(4)), Numbers{});
}

TEST(Timer, DoesNotFireOnceDisarmed)
{
    Fixture f(2);
    f.arm(0, coil_s(1));
    f.arm(1, coil_s(1));
    f.disarm(0);
    f.disarm(0);
    EXPECT_FALSE(f.armed(0));
    EXPECT_TRUE(f.armed(1));
    EXPECT_EQ(f.advance(coil_s(1)), Numbers{1});
    f.disarm(1);
    expect_consistent(f.wheel);
}

TEST(TimerWheel, FiresByDeadlineThenByOrderOfArming)
{
    Fixture f(8);
    f.arm(0, 300);
    f.arm(1, 100);
    f.arm(2, 200);
    f.arm(3, 100);
    f.arm(4, 300);
    f.arm(5, coil_s(1));
    f.arm(6, coil_ms(1));
    f.arm(7, coil_s(1));
    EXPECT_EQ(f.advance(coil_s(2)), (Numbers{1, 3, 2, 0, 4, 6, 5, 7}));
}

TEST(TimerWheel, CountsAMoveAsArmingAnew)
{
    Fixture f(3);
    for (int i = 0; i < 3; i++)
        f.arm(i, 100);
    f.arm(0, 100);
    EXPECT_EQ(f.advance(100), (Numbers{1, 2, 0}));
}

TEST(TimerWheel, KeepsTheOrderOfEqualDeadlinesArmedOnDifferentLevels)
{
    const coil_time deadline = coil_s(3600) + 12345;
    Fixture f(60);
    int armed = 0;
    for (coil_time left = coil_s(3600); left > 0; left /= 2) {
        EXPECT_EQ(f.advance(deadline - left), Numbers{});
        f.arm(armed++, deadline);
    }
    Numbers expected;
    for (int i = 0; i < armed; i++)
        expected.push_back(i);
    EXPECT_EQ(f.advance(deadline), expected);
}

TEST(TimerWheel, SortsALargeBatch)
{
    std::mt19937_64 random(7);
    Fixture f(10000);
    std::vector<std::pair<coil_time, int>> expected;
    for (int i = 0; i < 10000; i++) {
        coil_time deadline = static_cast<coil_time>(random() % 5000);
        f.arm(i, deadline);
        expected.emplace_back(deadline, i);
    }
    std::sort(expected.begin(), expected.end());
    f.advance(5000);
    ASSERT_EQ(f.fired.size(), expected.size());
    for (size_t i = 0; i < expected.size(); i++)
        ASSERT_EQ(f.fired[i], expected[i].second);
}

TEST(TimerWheel, KeepsWhatIsNotYetDueInTheSlotOfThePresent)
{
    Fixture f(4);
    for (int i = 0; i < 4; i++)
        f.arm(i, 10 * (i + 1));
    EXPECT_EQ(f.advance(20), (Numbers{0, 1}));
    EXPECT_EQ(f.next(), 30);
    EXPECT_EQ(f.advance(29), Numbers{});
    EXPECT_EQ(f.advance(1000), (Numbers{2, 3}));
}

TEST(TimerWheel, TreatsTimeThatRunsBackwardsAsNoProgress)
{
    Fixture f(2, 1000);
    f.arm(0, 500);
    f.arm(1, 1500);
    EXPECT_EQ(f.advance(100), Numbers{0});
    EXPECT_EQ(f.wheel.now, 1000);
    EXPECT_EQ(f.advance(EARLIEST), Numbers{});
    EXPECT_EQ(f.advance(1500), Numbers{1});
}

TEST(TimerWheel, IsExactAroundTheSlotBoundariesOfEveryLevel)
{
    for (coil_time start : {coil_time{0}, coil_time{-5}, coil_s(1700000000) + 17, EARLIEST}) {
        for (int bits = 16; bits < 63; bits++) {
            coil_time boundary = start & ~((coil_time{1} << bits) - 1);
            boundary = shifted(boundary, coil_time{1} << bits);
            Fixture f(3, start);
            f.arm(0, boundary - 1);
            f.arm(1, boundary);
            f.arm(2, boundary + 1);
            EXPECT_EQ(f.next(), boundary - 1);
            EXPECT_EQ(f.advance(boundary - 2), Numbers{});
            EXPECT_EQ(f.advance(boundary - 1), Numbers{0});
            EXPECT_EQ(f.next(), boundary);
            EXPECT_EQ(f.advance(boundary), Numbers{1});
            EXPECT_EQ(f.next(), boundary + 1);
            EXPECT_EQ(f.advance(boundary + 1), Numbers{2});
            expect_consistent(f.wheel);
        }
    }
}

TEST(TimerWheel, HoldsTheWholeOfInt64)
{
    Fixture f(4, EARLIEST);
    f.arm(0, LATEST);
    f.arm(1, 0);
    f.arm(2, EARLIEST);
    f.arm(3, -1);
    EXPECT_EQ(f.next(), EARLIEST);
    EXPECT_EQ(f.advance(EARLIEST), Numbers{2});
    EXPECT_EQ(f.next(), -1);
    EXPECT_EQ(f.advance(0), (Numbers{3, 1}));
    EXPECT_EQ(f.next(), LATEST);
    EXPECT_EQ(f.advance(LATEST - 1), Numbers{});
    EXPECT_EQ(f.advance(LATEST), Numbers{0});

    f.arm(1, LATEST);
    EXPECT_EQ(f.advance(COIL_NEVER), Numbers{1});
    f.arm(1, EARLIEST);
    EXPECT_EQ(f.advance(0), Numbers{1});
}

TEST(TimerWheel, FiresEverythingInOneJumpOverAllTime)
{
    Fixture f(64, EARLIEST);
    Numbers expected;
    for (int bits = 0; bits < 63; bits++) {
        f.arm(62 - bits, shifted(EARLIEST, coil_time{1} << (62 - bits)));
        expected.push_back(bits);
    }
    EXPECT_EQ(f.advance(COIL_NEVER), expected);
    expect_consistent(f.wheel);
}

TEST(TimerInFire, MayArmItselfAgainPeriodically)
{
    Fixture f(1);
    f.on_fire = [&](int) { f.arm(0, coil_time_after(f.timer(0)->deadline, coil_ms(10))); };
    f.arm(0, coil_ms(10));
    int turns = 0;
    for (; f.next() <= coil_s(1); turns++)
        EXPECT_EQ(f.advance(f.next()), Numbers{0});
    EXPECT_EQ(turns, 100);
}

TEST(TimerInFire, FiresInTheNextAdvanceWhenArmedForAPassedDeadline)
{
    Fixture f(2);
    f.on_fire = [&](int number) {
        f.arm(0, number == 0 ? 50 : 20);
        f.arm(1, EARLIEST);
    };
    f.arm(0, 50);
    for (int turn = 0; turn < 3; turn++) {
        EXPECT_EQ(f.advance(100), Numbers{0});
        f.disarm(1);
    }
    EXPECT_TRUE(f.armed(0));
}

TEST(TimerInFire, MayDisarmASiblingThatIsAboutToFire)
{
    Fixture f(4);
    f.on_fire = [&](int number) {
        EXPECT_FALSE(f.armed(number));
        if (number == 0) {
            EXPECT_TRUE(f.armed(1));
            f.disarm(1);
            EXPECT_FALSE(f.armed(1));
            f.disarm(3);
        }
    };
    for (int i = 0; i < 4; i++)
        f.arm(i, 10);
    EXPECT_EQ(f.advance(10), (Numbers{0, 2}));
    expect_consistent(f.wheel);
}

TEST(TimerInFire, MayMoveASiblingThatIsAboutToFire)
{
    Fixture f(3);
    f.on_fire = [&](int number) {
        if (number != 0)
            return;
        f.arm(1, 5); /* Passed, yet no longer of this advance. */
        f.arm(2, 70);
    };
    for (int i = 0; i < 3; i++)
        f.arm(i, 10);
    EXPECT_EQ(f.advance(10), Numbers{0});
    EXPECT_EQ(f.advance(10), Numbers{1});
    EXPECT_EQ(f.advance(70), Numbers{2});
}

TEST(TimerInFire, MayDisarmItselfAndTheLastSibling)
{
    Fixture f(2);
    f.on_fire = [&](int) {
        f.disarm(0);
        f.disarm(1);
    };
    f.arm(0, 10);
    f.arm(1, 10);
    EXPECT_EQ(f.advance(10), Numbers{0});
    EXPECT_EQ(f.next(), COIL_NEVER);
    expect_consistent(f.wheel);
}

TEST(TimerInFire, SeesTheRestOfTheAdvanceInNext)
{
    Fixture f(3);
    std::vector<coil_time> seen;
    f.on_fire = [&](int) { seen.push_back(f.next()); };
    f.arm(0, 10);
    f.arm(1, 20);
    f.arm(2, coil_s(9));
    f.advance(30);
    EXPECT_EQ(seen, (std::vector<coil_time>{20, coil_s(9)}));
}

/* Much that is due is fired in portions; nobody can tell. */
TEST(TimerInFire, ArmsForALaterAdvanceAlsoWhatLiesBeyondThePortion)
{
    Fixture f(54);
    std::vector<coil_time> seen;
    f.on_fire = [&](int number) {
        seen.push_back(f.next());
        if (number != 0)
            return;
        f.arm(51, coil_ms(30));
        f.arm(52, coil_ms(30));
        f.arm(50, coil_us(30500));
        f.arm(53, coil_ms(101));
        f.disarm(40);
        f.arm(41, coil_ms(5)); /* Was due, and is not until the next time. */
    };
    Numbers expected;
    for (int i = 0; i < 50; i++) {
        f.arm(i, coil_ms(1 + i));
        if (i != 40 && i != 41)
            expected.push_back(i);
    }
    EXPECT_EQ(f.advance(coil_ms(100)), expected);
    EXPECT_EQ(coil_ms(2), seen[0]) << "the rest";
    EXPECT_EQ(coil_ms(3), seen[1]) << "the rest, which comes before what has been armed";
    EXPECT_EQ(coil_ms(5), seen[8]) << "what has been armed, and is overdue";
    expect_consistent(f.wheel);
    EXPECT_EQ(coil_ms(5), f.next());
    EXPECT_EQ(f.advance(coil_ms(100)), (Numbers{41, 51, 52, 50}));
    EXPECT_EQ(f.advance(coil_ms(101)), Numbers{53});
}

TEST(TimerInFire, KeepsTheOrderOfACrowdThatIsFiredInPortions)
{
    const int count = 20000;
    Fixture f(count);
    std::mt19937_64 random(7);
    std::vector<std::pair<coil_time, int>> expected;
    for (int i = 0; i < count; i++) {
        const coil_time deadline = static_cast<coil_time>(random() % coil_ms(700));
        f.arm(i, deadline);
        expected.emplace_back(deadline, i);
    }
    std::stable_sort(expected.begin(), expected.end(),
            [](const auto &a, const auto &b) { return a.first < b.first; });
    f.on_fire = [&](int number) {
        f.arm(number, static_cast<coil_time>(number % 3)); /* Again, for a time that has come. */
    };
    const Numbers fired = f.advance(coil_s(1));
    ASSERT_EQ(static_cast<size_t>(count), fired.size());
    for (size_t i = 0; i < fired.size(); i++)
        ASSERT_EQ(expected[i].second, fired[i]) << i;
    EXPECT_EQ(0, f.next());
    f.on_fire = nullptr;
    const Numbers again = f.advance(coil_s(1));
    ASSERT_EQ(static_cast<size_t>(count), again.size());
    EXPECT_TRUE(
            std::is_sorted(again.begin(), again.end(), [](int a, int b) { return a % 3 < b % 3; }));
    expect_consistent(f.wheel);
}

struct Mortal {
    coil_timer timer;
    static int deaths;

    static void die(coil_timer *timer)
    {
        deaths++;
        delete coil_container_of(timer, Mortal, timer);
    }
};

int Mortal::deaths;

TEST(TimerInFire, MayFreeItsOwner)
{
    Fixture f(0);
    for (int i = 0; i < 100; i++) {
        Mortal *mortal = new Mortal;
        coil_timer_init(&mortal->timer, Mortal::die);
        coil_timer_arm(&f.wheel, &mortal->timer, i % 7 * TICK);
    }
    EXPECT_EQ(coil_timer_wheel_advance(&f.wheel, coil_s(1)), 100U);
    EXPECT_EQ(Mortal::deaths, 100);
    expect_consistent(f.wheel);
}

TEST(TimerInFireDeathTest, MustNotAdvance)
{
    Fixture f(1);
    f.on_fire = [&](int) { coil_timer_wheel_advance(&f.wheel, 20); };
    f.arm(0, 10);
    EXPECT_DEATH(f.advance(10), "advancing");
}

TEST(TimerDeathTest, RefusesToFireNothing)
{
    coil_timer timer;
    EXPECT_DEATH(coil_timer_init(&timer, nullptr), "fire");
}

TEST(TimerDeathTest, RefusesToBeDisarmedOnAnotherWheel)
{
    Fixture f(1);
    auto other = std::make_unique<coil_timer_wheel>();
    coil_timer_wheel_init(other.get(), 0);
    f.arm(0, coil_s(1));
    EXPECT_DEATH(coil_timer_disarm(other.get(), f.timer(0)), "level");
    f.disarm(0);
}

TEST(TimerWheelNext, IsExactForALoneTimerHoweverFar)
{
    for (int bits = 0; bits < 63; bits++) {
        Fixture f(1, 12345);
        coil_time deadline = shifted(12345, (coil_time{1} << bits) + 1);
        f.arm(0, deadline);
        EXPECT_EQ(f.next(), deadline);
        EXPECT_EQ(f.advance(f.next()), Numbers{0});
    }
}

TEST(TimerWheelNext, IsNeverLaterThanACrowdedSlotAndAfterThePresent)
{
    Fixture f(100);
    for (int i = 0; i < 100; i++)
        f.arm(i, coil_s(20) + i * coil_us(1));
    EXPECT_LE(f.next(), coil_s(20));
    EXPECT_GT(f.next(), 0);
}

TEST(TimerWheelNext, IsNeverWhenACrowdHasBeenDisarmed)
{
    Fixture f(20);
    for (int i = 0; i < 20; i++)
        f.arm(i, coil_s(20) + i);
    f.disarm(0);
    EXPECT_LE(f.next(), coil_s(20) + 1) << "the start of their slot";
    for (int i = 1; i < 19; i++)
        f.disarm(i);
    EXPECT_EQ(f.next(), coil_s(20) + 19) << "exact for the last one";
    f.disarm(19);
    EXPECT_EQ(f.next(), COIL_NEVER);
}

TEST(TimerWheelNext, WakesAtMostOncePerLevelBeforeACrowdFires)
{
    for (int bits = 17; bits < 63; bits++) {
        Fixture f(100);
        coil_time deadline = (coil_time{1} << bits) + ((coil_time{1} << bits) - 1) / 3 * 2;
        for (int i = 0; i < 100; i++)
            f.arm(i, deadline);
        int wakeups = 0;
        for (; f.advance(f.next()).empty(); wakeups++)
            ASSERT_LT(wakeups, COIL_TIMER_LEVELS);
        EXPECT_EQ(f.wheel.now, deadline);
        EXPECT_EQ(f.fired.size(), 100U);
    }
}

uint64_t seed_of_run()
{
    const char *given = getenv("COIL_TEST_SEED");
    uint64_t seed = given != nullptr ? strtoull(given, nullptr, 0) : std::random_device()();
    printf("COIL_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
    testing::Test::RecordProperty("seed", std::to_string(seed));
    return seed;
}

TEST(TimerWheelNext, DrainsRandomTimersInABoundedNumberOfWakeUps)
{
    std::mt19937_64 random(seed_of_run());
    for (int round = 0; round < 300; round++) {
        int count = 1 + static_cast<int>(random() % 500);
        int spread_bits = 1 + static_cast<int>(random() % 62);
        coil_time start = static_cast<coil_time>(random());
        Fixture f(static_cast<size_t>(count), start);
        coil_time earliest = LATEST;
        for (int i = 0; i < count; i++) {
            coil_time wait = static_cast<coil_time>(random() >> (64 - spread_bits));
            f.arm(i, shifted(start, wait));
            earliest = std::min(earliest, shifted(start, wait));
        }
        EXPECT_LE(f.next(), earliest);

        /* A wake-up that fires nothing opens a slot of nine or more, each at most once per level.
         */
        int fired = 0;
        int spurious = 0;
        while (f.next() != COIL_NEVER) {
            int now_fired = static_cast<int>(f.advance(f.next()).size());
            fired += now_fired;
            spurious += now_fired == 0;
            ASSERT_LE(spurious * 9, count * COIL_TIMER_LEVELS);
        }
        EXPECT_EQ(fired, count);
    }
}

/*
 * The naive twin of a wheel. It is told every arm and disarm, and knows at each moment of an
 * advance which alarm must fire next, because it looks at all of them.
 */
struct Model {
    struct Entry {
        bool armed = false;
        bool due = false; /* In the advance that runs now. */
        coil_time deadline = 0;
        uint64_t sequence = 0;
    };
    std::vector<Entry> entries;
    uint64_t sequence = 0;
    coil_time now;

    Model(size_t count, coil_time start) : entries(count), now(start) {}

    void arm(int number, coil_time deadline)
    {
        entries[static_cast<size_t>(number)] = {
                deadline != COIL_NEVER, false, deadline, sequence++};
    }

    void disarm(int number)
    {
        entries[static_cast<size_t>(number)] = {};
    }

    void begin_advance(coil_time to)
    {
        now = std::max(now, to);
        for (Entry &entry : entries)
            entry.due = entry.armed && entry.deadline <= now;
    }

    /* -1 when nothing is left of this advance. */
    int first_due() const
    {
        int first = -1;
        for (size_t i = 0; i < entries.size(); i++) {
            const Entry &entry = entries[i];
            if (!entry.due)
                continue;
            if (first < 0 || before(entry, entries[static_cast<size_t>(first)]))
                first = static_cast<int>(i);
        }
        return first;
    }

    static bool before(const Entry &entry, const Entry &other)
    {
        if (entry.deadline != other.deadline)
            return entry.deadline < other.deadline;
        return entry.sequence < other.sequence;
    }

    coil_time earliest() const
    {
        coil_time earliest = COIL_NEVER;
        for (const Entry &entry : entries) {
            if (entry.armed)
                earliest = std::min(earliest, entry.deadline);
        }
        return earliest;
    }
};

class Differential
{
public:
    Differential(uint64_t seed, size_t count, coil_time start)
        : random(seed), fixture(count, start), model(count, start)
    {
        fixture.on_fire = [this](int number) { fire(number); };
    }

    void run(int steps)
    {
        for (int step = 0; step < steps && model.now < LATEST; step++) {
            switch (random() % 8) {
            case 0:
            case 1:
                advance();
                break;
            case 2:
                disarm();
                break;
            case 3:
                if (random() % 16 == 0)
                    disarm_all();
                else
                    arm();
                break;
            default:
                arm();
                break;
            }
            compare();
            if (testing::Test::HasFailure())
                return;
        }
    }

    uint64_t fired = 0;
    uint64_t advances = 0;

private:
    int any()
    {
        return static_cast<int>(random() % model.entries.size());
    }

    /* A length of any magnitude up to 2^bits. */
    coil_time length(unsigned bits)
    {
        return static_cast<coil_time>(random() >> (63 - random() % bits) >> 1);
    }

    coil_time deadline()
    {
        unsigned bits = static_cast<unsigned>(random() % 10 == 0 ? 62 : 34);
        coil_time ahead = shifted(model.now, length(bits));
        switch (random() % 12) {
        case 0:
            return COIL_NEVER;
        case 1:
            return shifted(model.now, -length(bits));
        case 2:
            return model.now;
        case 3:
        case 4:
            return model.entries[static_cast<size_t>(any())].deadline;
        case 5: /* Among those of a crowd. */
            return shifted(model.entries[static_cast<size_t>(any())].deadline, length(16));
        case 6: {
            /* At, just before or just after the start of a slot of some level. */
            coil_time slot = coil_time{1} << (16 + 6 * (random() % 8));
            coil_time around = static_cast<coil_time>(random() % 3) - 1;
            return shifted(ahead & ~(slot - 1), around);
        }
        case 7:
            return random() % 8 == 0 ? EARLIEST : LATEST;
        default:
            return ahead;
        }
    }

    void arm()
    {
        int number = any();
        coil_time when = deadline();
        fixture.arm(number, when);
        model.arm(number, when);
    }

    void disarm()
    {
        int number = any();
        fixture.disarm(number);
        model.disarm(number);
    }

    /* One by one, and what comes next is asked for now and then. */
    void disarm_all()
    {
        for (size_t i = 0; i < model.entries.size(); i++) {
            fixture.disarm(static_cast<int>(i));
            model.disarm(static_cast<int>(i));
            if (random() % 4 == 0)
                compare();
        }
    }

    coil_time instant()
    {
        coil_time next = fixture.next();
        switch (random() % 8) {
        case 0:
            return shifted(model.now, -length(62));
        case 1:
            return shifted(model.now, length(40));
        case 2:
            return next == COIL_NEVER ? model.now : shifted(next, -1);
        case 3:
        case 4:
            /* Not to the end of time, from which nothing new can be learnt. */
            return next > LATEST - 1000 ? model.now : next;
        case 5:
            return random() % 64 == 0 ? shifted(model.now, length(59)) : model.now;
        default:
            return shifted(model.now, length(28));
        }
    }

    void advance()
    {
        advance_to(instant());
    }

    void advance_to(coil_time now)
    {
        model.begin_advance(now);
        advances++;
        fixture.advance(now);
        EXPECT_EQ(model.first_due(), -1) << "is still to fire";
        fired += fixture.fired.size();
    }

    void fire(int number)
    {
        ASSERT_EQ(number, model.first_due());
        model.disarm(number);
        for (uint64_t i = random() % 4; i > 0; i--) {
            if (random() % 3 == 0)
                disarm();
            else
                arm();
            ASSERT_LE(fixture.next(), model.earliest());
        }
    }

    void compare()
    {
        ASSERT_EQ(fixture.wheel.now, model.now);
        for (size_t i = 0; i < model.entries.size(); i++)
            ASSERT_EQ(fixture.armed(static_cast<int>(i)), model.entries[i].armed);
        coil_time earliest = model.earliest();
        ASSERT_LE(fixture.next(), earliest);
        ASSERT_EQ(fixture.next() == COIL_NEVER, earliest == COIL_NEVER);
        if (earliest > model.now && fixture.next() <= model.now) {
            advance_to(model.now); /* A crowded slot has begun, and is opened. */
            ASSERT_GT(fixture.next(), model.now);
        }
        if (model.entries.size() <= 8) {
            ASSERT_EQ(fixture.next(), earliest);
        }
        if (random() % 64 == 0)
            expect_consistent(fixture.wheel);
    }

    std::mt19937_64 random;
    Fixture fixture;
    Model model;
};

TEST(TimerWheel, AgreesWithANaiveModelOnRandomPrograms)
{
    std::mt19937_64 seeds(seed_of_run());
    uint64_t fired = 0;
    uint64_t advances = 0;
    for (int program = 0; program < 400; program++) {
        uint64_t seed = seeds();
        size_t count = 1 + seed % (program % 4 == 0 ? 8 : 100);
        coil_time start = 0;
        if (program % 3 == 1)
            start = static_cast<coil_time>(seeds());
        if (program % 3 == 2)
            start = program % 2 != 0 ? EARLIEST : coil_s(1000) - 1;
        Differential differential(seed, count, start);
        differential.run(2000);
        fired += differential.fired;
        advances += differential.advances;
        ASSERT_FALSE(HasFailure()) << "program " << program << " of this seed";
    }
    printf("%llu timers fired in %llu advances\n", static_cast<unsigned long long>(fired),
            static_cast<unsigned long long>(advances));
}

} // namespace
