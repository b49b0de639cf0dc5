/* SPDX-License-Identifier: MIT */
/*
 * Services that outlive their supervisor (coil/adoption.h). Instance 3 of "web" is "web#3" there,
 * until it has ended and what it has written is stored. As long as it is not ready, a descriptor is
 * held under the same name: the one by which it says so, or any.
 */
#include "adoption_private.h"
#include "supervisor_private.h"

#include <coil/error.h>
#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTIFY_NAME "notify"

enum { SERVICE_NAME_BYTES_MAX = 32 };

typedef struct kept_name {
    char text[COIL_ADOPTION_NAME_BYTES];
} kept_name;

static kept_name name_of(const coil_service *service, uint64_t instance)
{
    kept_name name;
    (void)snprintf(name.text, sizeof(name.text), "%s#%llu", service->owned.plan.name,
            (unsigned long long)instance);
    return name;
}

static coil_adoption *adoption_of(const coil_service *service)
{
    return service->supervisor->adoption;
}

bool outliving_is_name(const char *name)
{
    return strlen(name) <= SERVICE_NAME_BYTES_MAX && adoption_is_name(name, strlen(name)) &&
           strchr(name, '#') == NULL;
}

/* ---------------------------------------------------------------------------- notifications -- */

/* Who is to notify a supervisor that was killed notifies the next one. */
static int take_notify_socket(coil_supervisor *supervisor)
{
    union {
        struct sockaddr any;
        struct sockaddr_un local;
    } address;
    socklen_t size = sizeof(address);
    const int fd = coil_adoption_take_held(supervisor->adoption, NOTIFY_NAME);

    if (fd < 0)
        return fd;
    const int rc = coil_kernel_getsockname(fd, &address.any, &size);
    const size_t name_bytes = rc < 0 ? 0 : size - offsetof(struct sockaddr_un, sun_path);
    if (name_bytes == 0 || name_bytes >= sizeof(supervisor->notify_name)) {
        (void)coil_kernel_close(fd);
        return -ENOENT;
    }
    memcpy(supervisor->notify_name, address.local.sun_path, name_bytes);
    supervisor->notify_name[0] = '@';
    supervisor->notify_name[name_bytes] = '\0';
    supervisor->notify_socket = fd;
    return 0;
}

coil_define(int, outliving_begin, (coil_supervisor *) supervisor)
{
    coil_vars(int rc);

    if (supervisor->adoption == NULL)
        return 0;
    int rc = supervisor->notify_socket >= 0 ? 0 : notify_open(supervisor);
    if (rc < 0)
        return rc;
    coil_await(my->rc,
            coil_adoption_hold(supervisor->adoption, NOTIFY_NAME, supervisor->notify_socket));
    return my->rc;
}

void outliving_take_socket(coil_supervisor *supervisor)
{
    if (supervisor->adoption != NULL)
        (void)take_notify_socket(supervisor);
}

/* --------------------------------------------------------------------------------- the end -- */

coil_async(void, forget, (coil_service *) service, (uint64_t) number)
{
    coil_vars(kept_name name; int rc);

    my->name = name_of(service, number);
    /* Before it is forgotten, which is how its number would be used again. */
    coil_await(
            my->rc, adoption_keep_number(adoption_of(service), service->owned.plan.name, number));
    coil_await(my->rc, coil_adoption_forget(adoption_of(service), my->name.text));
    coil_await(my->rc, coil_adoption_release(adoption_of(service), my->name.text));
}

/*
 * What it has written until its end is stored; then nobody has to know of it any more. If its log
 * has not taken all of it, somebody has to: the keeper has its pipes.
 */
coil_async(int, settle, (coil_service *) service, (uint64_t) number, (unread_pipes) pipes)
{
    coil_vars(unread_pipes unread);

    my->unread = pipes;
    coil_defer({
        if (service_attach(service, &my->unread) == 0)
            coil_await(forget(service, number));
        unread_close(&my->unread);
        service_release(service);
    });
    while (service_attach(service, &my->unread) < 0)
        coil_await(coil_sleep(UNREAD_AGAIN));
    coil_ignore(coil_log_drain(service->owned.plan.log));
    return 0;
}

/* Without memory, the next supervisor finds that it has ended. */
void outliving_ended(coil_service *service, uint64_t instance, unread_pipes unread)
{
    if (SERVICE_SPAWN(service, settle(service, instance, unread)) == NULL)
        unread_close(&unread);
}

/* ------------------------------------------------------------------------------- readiness -- */

coil_define(int, outliving_mark, (coil_service *) service, (int) fd)
{
    coil_vars(kept_name name; int rc);

    if (!service->owned.plan.outlives)
        return 0;
    my->name = name_of(service, service->instance);
    coil_await(my->rc, coil_adoption_hold(adoption_of(service), my->name.text, fd));
    service->is_marked = my->rc == 0;
    return my->rc;
}

coil_define(void, outliving_unmark, (coil_service *) service)
{
    coil_vars(kept_name name; int rc);

    if (!service->is_marked)
        return;
    service->is_marked = false;
    my->name = name_of(service, service->instance);
    coil_await(my->rc, coil_adoption_release(adoption_of(service), my->name.text));
}

coil_async(int, unmark_later, (coil_service *) service)
{
    coil_vars();

    coil_defer(service_release(service));
    coil_await(coil_shield(outliving_unmark(service))); /* Also if the run is over. */
    return 0;
}

void outliving_is_ready(coil_service *service)
{
    coil_supervisor *supervisor = service->supervisor;

    if (service->is_marked && supervisor->group != NULL)
        supervisor->unmarking |= SERVICE_SPAWN(service, unmark_later(service)) == NULL;
}

void outliving_unmark_all(coil_supervisor *supervisor)
{
    coil_service *service = NULL;

    supervisor->unmarking = false;
    while ((service = coil_supervisor_each(supervisor, service)) != NULL) {
        if (service->supervised.state == COIL_SERVICE_UP)
            outliving_is_ready(service);
    }
}

/* ------------------------------------------------------------------------------- the start -- */

static int ready_mark(const coil_service *service, const service_launch *launch)
{
    if (service->supervised.policy.readiness != COIL_READY_TOLD)
        return -1;
    return launch->ready_fd >= 0 ? launch->ready_fd : service->supervisor->notify_socket;
}

coil_async(int, bring_up, (coil_service *) service, (service_launch *) launch)
{
    coil_vars(kept_name name; int mark; int rc);

    my->name = name_of(service, service->instance);
    my->mark = ready_mark(service, launch);
    if (my->mark >= 0)
        coil_attempt(outliving_mark(service, my->mark));
    coil_await(my->rc, coil_adoption_spawn(adoption_of(service), my->name.text, &launch->plan,
                               &service->child, &launch->error));
    while (my->rc == 0 && service_mind(service) < 0)
        coil_await(coil_sleep(coil_ms(10))); /* -ENOMEM: it will pass. */
    return my->rc;
}

coil_async(int, start_outliving, (coil_service *) service)
{
    coil_vars(service_launch launch; uint64_t instance; int rc);

    coil_defer(service_release(service));
    my->instance = service->instance;
    my->rc = launch_prepare(service, &my->launch);
    if (my->rc == 0)
        coil_await(my->rc, coil_shield(bring_up(service, &my->launch)));
    if (my->rc < 0 && service->is_marked) {
        service->is_marked = false;
        outliving_ended(service, my->instance, UNREAD_NONE);
    }
    my->rc = launch_finish(service, &my->launch, my->rc);
    service_started(service, my->rc, &my->launch.error);
    return 0;
}

int outliving_start(coil_service *service)
{
    return SERVICE_SPAWN(service, start_outliving(service)) == NULL ? -ENOMEM : 0;
}

/* --------------------------------------------------------------------------------- adoption -- */

/*
 * Nobody is ended because its log has no room for its pipes now: they wait, and so does who fills
 * them. The log, which has other readers, says so.
 */
static unread_pipes attach(coil_service *service, coil_child *child)
{
    const coil_service_plan *plan = &service->owned.plan;
    unread_pipes pipes = unread_take(child);
    char text[96];

    const int rc = service_attach(service, &pipes);
    if (rc < 0) {
        (void)snprintf(text, sizeof(text), "[%s of process %d is not read yet: %s]",
                unread_name(&pipes), (int)child->pid, coil_error_text(rc));
        (void)coil_log_say(plan->log, plan->log_prefix, text);
    }
    return pipes;
}

/* It has ended, its end has been seen, and it is about what is in its pipes. */
static void let_go(coil_service *service, coil_adopted *old, uint64_t instance)
{
    const unread_pipes unread = attach(service, &old->child);

    coil_child_fini(&old->child);
    outliving_ended(service, instance, unread);
}

/*
 * The newest of those that have begun is the instance, be it that it has ended meanwhile; the ones
 * before it were replaced, so their ends are known.
 */
static uint64_t take_newest(coil_service *service, coil_adopted *out_newest)
{
    char beginning[COIL_ADOPTION_NAME_BYTES];
    coil_adopted next;
    uint64_t newest = 0;

    const int size = snprintf(beginning, sizeof(beginning), "%s#", service->owned.plan.name);
    while (coil_adoption_take_like(adoption_of(service), beginning, &next)) {
        const uint64_t number = strtoull(next.name + size, NULL, 10);
        if (number > service->last_instance)
            service->last_instance = number;
        if (next.child.exit.ended || number <= newest) { /* It has never begun, or is older. */
            let_go(service, &next, number);
            continue;
        }
        if (newest > 0)
            let_go(service, out_newest, newest);
        *out_newest = next;
        newest = number;
    }
    return newest;
}

/* Is it ready? If not, it will say so, maybe where nobody has heard it yet. */
static bool was_ready(coil_service *service)
{
    const kept_name name = name_of(service, service->instance);
    const int mark = coil_adoption_take_held(adoption_of(service), name.text);
    const bool is_told = service->supervised.policy.readiness == COIL_READY_TOLD;

    service->is_marked = mark >= 0;
    if (mark >= 0 && is_told && service->owned.plan.notify_fd > 0) {
        service->unheard = mark;
    } else if (mark >= 0) {
        (void)coil_kernel_close(mark);
    }
    return is_told && mark < 0;
}

/*
 * What it had of its own, for what it has left there (.whole_tree). Who was reaped when nobody
 * looked cannot be seen to have led a group; but a group that there never was has no members.
 */
static void take_surroundings(coil_service *service)
{
    const coil_spawn_plan *spawn = &service->owned.spawn;

    service->child.cgroup = spawn->cgroup;
    if (service->child.group == COIL_SPAWN_GROUP_INHERIT)
        service->child.group = spawn->group;
}

int outliving_adopt(coil_service *service)
{
    coil_supervisor_hook *hook = service->supervisor->hook;
    coil_adopted found;
    const uint64_t last = adoption_last_number(adoption_of(service), service->owned.plan.name);
    const uint64_t instance = take_newest(service, &found);

    if (last > service->last_instance)
        service->last_instance = last;
    if (instance == 0)
        return 0;
    service->instance = instance;
    const int rc = service_mind(service);
    if (rc < 0) {
        adoption_offer_again(adoption_of(service), &found);
        return rc;
    }
    service->child = found.child;
    take_surroundings(service);
    service->unread = attach(service, &service->child);
    const bool is_ready = was_ready(service);
    service_hear(service);
    supervisor_tell(service, COIL_EVENT_ADOPTED, is_ready, 0);
    if (hook != NULL && hook->adopted != NULL)
        hook->adopted(hook, service);
    return 1;
}

void outliving_adopt_all(coil_supervisor *supervisor)
{
    coil_service *service = NULL;
    bool is_left = false;

    supervisor->adopting = false;
    while ((service = coil_supervisor_each(supervisor, service)) != NULL) {
        if (service->owned.plan.outlives && !service->supervised.alive)
            is_left |= outliving_adopt(service) < 0;
    }
    supervisor->adopting |= is_left; /* Or there are new ones: a hook has been told. */
}
