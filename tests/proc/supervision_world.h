/* SPDX-License-Identifier: MIT */
/*
 * supervision_world.h - processes as the policy of supervision imagines them, in virtual time.
 *
 * A world has services with instances, each of which lives as its behaviour says. It drives the
 * policy from deadline to deadline, carries out its actions, and checks after each step what must
 * always hold.
 */
#ifndef SUPERVISION_WORLD_H
#define SUPERVISION_WORLD_H

#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <coil/supervision.h>

/* How instances of a service live. Times are from the start; COIL_NEVER: it does not happen. */
struct Behaviour {
    coil_duration ready_after = COIL_NEVER; /* It says so. */
    coil_duration life = COIL_NEVER;        /* Then it ends by itself, */
    int code = 1;                           /* with this status, */
    bool crashes = false;                   /* or by this signal. */
    bool ignores_term = false;
    coil_duration dying = coil_ms(3); /* From a signal to the end. */
    int spawn_error = 0;
    int health = COIL_HEALTH_READY; /* Its answer; */
    bool mute = false;              /* none, until the limit. */
    coil_duration feeds_every = COIL_NEVER;
};

class World;

struct Actor {
    coil_supervised service;
    std::string name;
    Behaviour behaviour;
    std::unique_ptr<std::mt19937_64> moods; /* With it, the behaviour changes with each start. */
    int64_t calm = 1; /* The larger, the longer it lives, and the less often it feeds. */

    bool lives = false;
    bool left = false;   /* It lives on, and is none of ours; */
    bool was_up = false; /* it was ready by then. */
    coil_time born = 0;
    coil_time ends_at = COIL_NEVER;
    int end_code = 0;
    bool end_signaled = false;
    coil_time ready_at = COIL_NEVER;
    coil_time answers_at = COIL_NEVER;
    int answer = 0;
    coil_time feeds_at = COIL_NEVER;
    unsigned start_count = 0;
    unsigned dump_count = 0;
    std::vector<int> signals;
    std::vector<coil_time> starts;
};

class World
{
public:
    explicit World(const coil_supervision_options &given = {}) : options(given)
    {
        watcher_.watcher.changed = changed;
        watcher_.world = this;
        options.watcher = &watcher_.watcher;
        EXPECT_EQ(0, coil_supervision_create(&options, &supervision));
    }

    ~World()
    {
        coil_supervision_destroy(supervision);
    }

    World(const World &) = delete;
    World &operator=(const World &) = delete;

    Actor &add(const std::string &name, const coil_service_policy &policy = {},
            const Behaviour &behaviour = {})
    {
        actors.push_back(std::make_unique<Actor>());
        Actor &actor = *actors.back();
        actor.name = name;
        actor.behaviour = behaviour;
        EXPECT_EQ(0, coil_supervision_add(
                             supervision, &actor.service, actor.name.c_str(), &policy, now));
        return actor;
    }

    void depend(Actor &service, coil_dependency kind, Actor &other)
    {
        ASSERT_EQ(0, coil_supervision_depend(&service.service, kind, &other.service, nullptr));
        edges.push_back({&service, &other, kind});
    }

    void tell(coil_supervision_event_kind kind, Actor *actor = nullptr, int code = 0,
            bool signaled = false, coil_duration duration = 0)
    {
        coil_supervision_event event = {};
        event.kind = kind;
        event.service = actor == nullptr ? nullptr : &actor->service;
        event.code = code;
        event.signaled = signaled;
        event.duration = duration;
        coil_supervision_step(supervision, &event, now);
        carry_out();
        check();
    }

    /* Live until `end`. */
    void live_until(coil_time end)
    {
        for (unsigned turn = 0;; turn++) {
            ASSERT_LT(turn, 100000U) << "time does not pass";
            const coil_time next = next_event();
            if (next > end)
                break;
            if (next > now)
                now = next;
            happen();
        }
        now = end;
        tell(COIL_EVENT_TICK);
    }

    void live(coil_duration duration)
    {
        live_until(now + duration);
    }

    void begin()
    {
        tell(COIL_EVENT_BEGIN);
    }

    /* A supervisor before us has started all of these, and now we begin. */
    void begin_with(const std::vector<Actor *> &running, int was_ready)
    {
        coil_supervision_event event = {};
        event.kind = COIL_EVENT_BEGIN;
        coil_supervision_step(supervision, &event, now);
        adopt(running, was_ready);
        carry_out();
        check();
    }

    /*
     * We are killed, or leave; and after `gap` there is another one, which adopts who lived on, be
     * it that they have ended meanwhile.
     */
    void replace_supervisor(coil_duration gap)
    {
        std::vector<coil_service_policy> policies;
        std::vector<Actor *> ready;
        std::vector<Actor *> starting;
        for (const auto &actor : actors) {
            policies.push_back(actor->service.policy);
            if (!actor->lives && !actor->left)
                continue;
            const bool was_up = actor->left ? actor->was_up : is_up(*actor);
            (was_up ? ready : starting).push_back(actor.get());
        }
        coil_supervision_destroy(supervision);
        options.seed++;
        gave_up = false;
        now += gap;
        ASSERT_EQ(0, coil_supervision_create(&options, &supervision));
        for (size_t i = 0; i < actors.size(); i++) {
            Actor &actor = *actors[i];
            actor.lives = actor.left = false;
            actor.answers_at = COIL_NEVER;
            ASSERT_EQ(0, coil_supervision_add(supervision, &actor.service, actor.name.c_str(),
                                 &policies[i], now));
        }
        for (const Edge &edge : edges) {
            ASSERT_EQ(0, coil_supervision_depend(
                                 &edge.later->service, edge.kind, &edge.earlier->service, nullptr));
        }
        coil_supervision_event event = {};
        event.kind = COIL_EVENT_BEGIN;
        coil_supervision_step(supervision, &event, now);
        adopt(starting, 0);
        adopt(ready, 1);
        carry_out();
        check();
    }

    static bool is_up(const Actor &actor)
    {
        return actor.service.state == COIL_SERVICE_UP;
    }

    /* A life ends now. */
    void end(Actor &actor, int code, bool signaled = false)
    {
        ASSERT_TRUE(actor.lives);
        actor.lives = false;
        actor.ends_at = actor.ready_at = actor.answers_at = actor.feeds_at = COIL_NEVER;
        tell(COIL_EVENT_EXITED, &actor, code, signaled);
    }

    void kill(Actor &actor)
    {
        end(actor, SIGKILL, true);
    }

    Actor &actor_of(const coil_supervised *service)
    {
        for (const auto &actor : actors) {
            if (&actor->service == service)
                return *actor;
        }
        abort();
    }

    coil_supervision_options options;
    coil_supervision *supervision = nullptr;
    coil_time now = coil_s(1000);
    std::vector<std::unique_ptr<Actor>> actors;
    std::string story; /* "a:starting a:up b:starting ..." */
    bool gave_up = false;
    uint64_t hash = 0;
    bool checks = true;
    std::vector<coil_time> failures; /* That were followed by a pause. */
    std::vector<coil_time> governed; /* Starts that the governor has to allow. */

private:
    struct Edge {
        Actor *later;
        Actor *earlier;
        coil_dependency kind;
    };
    struct Watcher {
        coil_supervision_watcher watcher;
        World *world;
    };

    static void changed(
            coil_supervision_watcher *watcher, coil_supervised *service, coil_service_state before)
    {
        World &world = *coil_container_of(watcher, Watcher, watcher)->world;
        world.note(service, before);
        if (service->state == COIL_SERVICE_UP || service->state == COIL_SERVICE_STARTING)
            world.actor_of(service).was_up = service->state == COIL_SERVICE_UP;
    }

    void note(coil_supervised *service, coil_service_state before)
    {
        if (story.size() < 4000) {
            story += (story.empty() ? "" : " ") + std::string(service->name) + ":" +
                     coil_service_state_name(service->state);
        }
        mix(static_cast<uint64_t>(service->state) * 31 + static_cast<uint64_t>(service->reason));
        if (service->state == COIL_SERVICE_BACKOFF && before != COIL_SERVICE_BACKOFF &&
                before != COIL_SERVICE_DOWN && service->reason != COIL_REASON_NO_RESOURCES &&
                service->reason != COIL_REASON_GOVERNOR)
            failures.push_back(now);
    }

    void mix(uint64_t value)
    {
        hash = (hash ^ value ^ static_cast<uint64_t>(now)) * UINT64_C(0x100000001b3);
    }

    coil_time next_event() const
    {
        coil_time next = coil_supervision_deadline(supervision);
        for (const auto &actor : actors) {
            if (actor->left)
                continue;
            for (coil_time at :
                    {actor->ends_at, actor->ready_at, actor->answers_at, actor->feeds_at})
                next = std::min(next, at);
        }
        return next;
    }

    void happen()
    {
        for (const auto &actor : actors) {
            if (actor->left)
                continue;
            if (actor->ready_at <= now) {
                actor->ready_at = COIL_NEVER;
                tell(COIL_EVENT_READY, actor.get());
                return;
            }
            if (actor->answers_at <= now) {
                actor->answers_at = COIL_NEVER;
                tell(COIL_EVENT_ANSWERED, actor.get(), actor->answer);
                return;
            }
            if (actor->feeds_at <= now) {
                actor->feeds_at = now + actor->behaviour.feeds_every;
                tell(COIL_EVENT_FED, actor.get());
                return;
            }
            if (actor->ends_at <= now) {
                end(*actor, actor->end_code, actor->end_signaled);
                return;
            }
        }
        tell(COIL_EVENT_TICK);
    }

    void adopt(const std::vector<Actor *> &running, int were_ready)
    {
        coil_supervision_event event = {};
        event.kind = COIL_EVENT_ADOPTED;
        event.code = were_ready;
        for (Actor *actor : running) {
            actor->lives = true;
            event.service = &actor->service;
            coil_supervision_step(supervision, &event, now);
        }
    }

    static coil_time after(coil_time start, coil_duration duration)
    {
        return coil_time_after(start, duration);
    }

    void start(Actor &actor)
    {
        ASSERT_FALSE(actor.lives) << actor.name << " twice: " << story;
        check_start_order(actor);
        actor.start_count++;
        actor.starts.push_back(now);
        if (options.governor != nullptr && actor.service.reason != COIL_REASON_COMMAND &&
                actor.service.reason != COIL_REASON_DEPENDENCY &&
                actor.service.reason != COIL_REASON_SCHEDULE &&
                actor.service.reason != COIL_REASON_NO_RESOURCES)
            governed.push_back(now);
        if (actor.moods)
            change_mood(actor);
        const Behaviour &behaviour = actor.behaviour;
        if (behaviour.spawn_error != 0) {
            tell_later(COIL_EVENT_SPAWN_FAILED, actor, behaviour.spawn_error);
            return;
        }
        actor.lives = true;
        actor.born = now;
        actor.ready_at = after(now, behaviour.ready_after);
        actor.ends_at = after(now, behaviour.life);
        actor.end_code = behaviour.crashes ? SIGSEGV : behaviour.code;
        actor.end_signaled = behaviour.crashes;
        actor.feeds_at = after(now, behaviour.feeds_every);
        actor.signals.clear();
        tell_later(COIL_EVENT_STARTED, actor, 0);
    }

    void change_mood(Actor &actor)
    {
        auto draw = [&](uint64_t limit) { return (*actor.moods)() % limit; };
        Behaviour mood;
        static const int errors[] = {-EAGAIN, -ENOMEM, -EMFILE, -EIO, -ENOENT};
        if (draw(12) == 0)
            mood.spawn_error = errors[draw(16) == 0 ? 4 : draw(4)];
        if (draw(3) != 0)
            mood.ready_after = coil_ms(static_cast<int64_t>(draw(3000)));
        if (draw(2) == 0)
            mood.life =
                    actor.calm * coil_ms(static_cast<int64_t>(draw(draw(2) == 0 ? 200 : 60000)));
        mood.code = static_cast<int>(draw(4));
        mood.crashes = draw(3) == 0;
        mood.ignores_term = draw(4) == 0;
        mood.dying = coil_ms(static_cast<int64_t>(draw(50)));
        static const int healths[] = {COIL_HEALTH_READY, COIL_HEALTH_READY, COIL_HEALTH_READY,
                COIL_HEALTH_WARNING, COIL_HEALTH_STARTING, COIL_HEALTH_DEAD, -ECONNREFUSED};
        mood.health = healths[draw(7)];
        mood.mute = draw(6) == 0;
        if (draw(2) == 0)
            mood.feeds_every = actor.calm * coil_s(1);
        actor.behaviour = mood;
    }

    void send(Actor &actor, int signo)
    {
        ASSERT_TRUE(actor.lives) << "a signal to " << actor.name << ", which does not live";
        check_stop_order(actor);
        actor.signals.push_back(signo);
        if (signo != SIGKILL && actor.behaviour.ignores_term)
            return;
        const coil_time end = now + actor.behaviour.dying;
        if (end < actor.ends_at) {
            actor.ends_at = end;
            actor.end_code = signo;
            actor.end_signaled = true;
        }
    }

    void ask(Actor &actor)
    {
        ASSERT_TRUE(actor.lives) << "a question to " << actor.name << ", which does not live";
        actor.answer = actor.behaviour.mute ? -ETIME : actor.behaviour.health;
        actor.answers_at = now + (actor.behaviour.mute ? coil_s(2) : coil_ms(1));
    }

    void tell_later(coil_supervision_event_kind kind, Actor &actor, int code)
    {
        coil_supervision_event event = {};
        event.kind = kind;
        event.service = &actor.service;
        event.code = code;
        coil_supervision_step(supervision, &event, now);
    }

    void carry_out()
    {
        coil_supervision_action action;
        while (coil_supervision_next(supervision, &action)) {
            mix(static_cast<uint64_t>(action.kind));
            ASSERT_FALSE(gave_up);
            if (action.kind == COIL_ACTION_GIVE_UP) {
                gave_up = true;
                continue;
            }
            Actor &actor = actor_of(action.service);
            if (action.kind == COIL_ACTION_START) {
                start(actor);
            } else if (action.kind == COIL_ACTION_SIGNAL) {
                send(actor, action.signo);
            } else if (action.kind == COIL_ACTION_PROBE) {
                ask(actor);
            } else if (action.kind == COIL_ACTION_LEAVE) {
                ASSERT_TRUE(actor.lives);
                actor.lives = false;
                actor.left = true;
                actor.answers_at = COIL_NEVER;
            } else {
                ASSERT_TRUE(actor.lives);
                actor.dump_count++;
            }
        }
    }

    void check_start_order(const Actor &actor)
    {
        for (const Edge &edge : edges) {
            if (edge.later != &actor)
                continue;
            const coil_supervised &earlier = edge.earlier->service;
            const bool is_job = earlier.policy.oneshot;
            if (edge.kind == COIL_NEEDS) {
                ASSERT_EQ(is_job ? COIL_SERVICE_DONE : COIL_SERVICE_UP, earlier.state)
                        << actor.name << " without " << earlier.name << ": " << story;
            } else {
                ASSERT_TRUE(earlier.state != COIL_SERVICE_STARTING &&
                            earlier.state != COIL_SERVICE_STOPPING &&
                            !(is_job && earlier.state == COIL_SERVICE_UP))
                        << actor.name << " before " << earlier.name << ": " << story;
            }
        }
    }

    /* An orderly stop comes after that of those who came later and have to stop as well. */
    void check_stop_order(const Actor &actor)
    {
        const coil_service_reason reason = actor.service.reason;
        if (reason != COIL_REASON_COMMAND && reason != COIL_REASON_DEPENDENCY &&
                reason != COIL_REASON_STRATEGY && reason != COIL_REASON_INTENSITY &&
                reason != COIL_REASON_SIGNIFICANT)
            return;
        if (actor.service.step != 1)
            return;
        for (const Edge &edge : edges) {
            if (edge.earlier == &actor && edge.later->lives) {
                ASSERT_TRUE(edge.later->service.wanted && !edge.later->service.again &&
                            edge.later->service.state != COIL_SERVICE_STOPPING)
                        << actor.name << " is stopped before " << edge.later->name;
            }
        }
    }

    void check()
    {
        if (!checks)
            return;
        bool regrouping = false;
        for (const auto &actor : actors)
            regrouping |= actor->service.regroup;
        for (const auto &actor : actors) {
            coil_supervised &service = actor->service;
            const bool running = service.state == COIL_SERVICE_STARTING ||
                                 service.state == COIL_SERVICE_UP ||
                                 service.state == COIL_SERVICE_STOPPING;
            ASSERT_EQ(actor->lives, running) << actor->name << ": " << story;
            ASSERT_EQ(actor->lives, service.alive);
            if (running && !service.wanted && service.state != COIL_SERVICE_STOPPING) {
                ASSERT_NE(nullptr, coil_supervised_waits_for(&service))
                        << actor->name << " should stop: " << story;
            }
            if (!service.wanted || running)
                continue;
            /* It is to run and does not: somebody comes first, or its time is set, and near. */
            if (regrouping || coil_supervised_waits_for(&service) != nullptr)
                continue;
            ASSERT_EQ(COIL_SERVICE_BACKOFF, service.state) << actor->name << ": " << story;
            ASSERT_LE(service.deadline, service.next_start);
            ASSERT_GT(service.next_start, now);
            ASSERT_LE(service.next_start, now + longest_pause());
        }
    }

    coil_duration longest_pause() const
    {
        coil_duration pause = coil_s(30);
        if (options.governor != nullptr)
            pause += options.governor->interval * static_cast<int64_t>(actors.size() + 2);
        return pause;
    }

    std::vector<Edge> edges;
    Watcher watcher_ = {};
};

#endif
