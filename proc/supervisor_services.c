/* SPDX-License-Identifier: MIT */
#include "supervision_private.h"
#include "supervisor_private.h"

#include <coil/waiter.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void explain(coil_supervisor *supervisor, const char *format, ...) COIL_PRINTF(2, 3);

static void explain(coil_supervisor *supervisor, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    (void)vsnprintf(supervisor->reason, sizeof(supervisor->reason), format, values);
    va_end(values);
}

/* --------------------------------------------------------------------------- dependencies -- */

/* Does `name` mean this service: its own, or that of its template? */
static bool is_named(const coil_service *service, const char *name)
{
    return strcmp(service->owned.plan.name, name) == 0 ||
           (service->template != NULL && strcmp(service->template->owned.plan.name, name) == 0);
}

static bool names(const char *const *list, const coil_service *service)
{
    for (; list != NULL && *list != NULL; list++) {
        if (is_named(service, *list))
            return true;
    }
    return false;
}

static int depend(coil_service *service, coil_dependency kind, coil_service *other)
{
    char cycle[COIL_CYCLE_TEXT_BYTES];
    int rc = coil_supervision_depend(&service->supervised, kind, &other->supervised, cycle);

    if (rc == -ELOOP)
        explain(service->supervisor, "a cycle: %s", cycle);
    return rc;
}

/* What `service` says of `other`. */
static int connect_one_way(coil_service *service, coil_service *other)
{
    const coil_service_plan *plan = &service->owned.plan;
    int rc = 0;

    if (names(plan->needs, other))
        rc = depend(service, COIL_NEEDS, other);
    if (rc == 0 && names(plan->wants, other))
        rc = depend(service, COIL_WANTS, other);
    if (rc == 0 && names(plan->after, other))
        rc = depend(service, COIL_AFTER, other);
    if (rc == 0 && names(plan->before, other))
        rc = depend(other, COIL_AFTER, service);
    return rc;
}

static int connect_to_all(coil_service *service)
{
    coil_service *other = NULL;
    int rc = 0;

    while (rc == 0 && (other = coil_supervisor_each(service->supervisor, other)) != NULL) {
        rc = connect_one_way(service, other);
        if (rc == 0 && other != service)
            rc = connect_one_way(other, service);
    }
    return rc;
}

static service_template *find_template(const coil_supervisor *supervisor, const char *name)
{
    for (coil_list *at = supervisor->templates.next; at != &supervisor->templates; at = at->next) {
        service_template *template = coil_container_of(at, service_template, link);
        if (strcmp(template->owned.plan.name, name) == 0)
            return template;
    }
    return NULL;
}

/* A template also if it has no instance now: then there is nobody to wait for. */
static bool exists(const coil_supervisor *supervisor, const char *name)
{
    const coil_service *service = NULL;

    if (find_template(supervisor, name) != NULL)
        return true;
    while ((service = coil_supervisor_each(supervisor, service)) != NULL) {
        if (is_named(service, name))
            return true;
    }
    return false;
}

int supervisor_check_needs(coil_supervisor *supervisor)
{
    const coil_service *service = NULL;

    while ((service = coil_supervisor_each(supervisor, service)) != NULL) {
        const char *const *needs = service->owned.plan.needs;
        for (; needs != NULL && *needs != NULL; needs++) {
            if (exists(supervisor, *needs))
                continue;
            explain(supervisor, "'%s' needs '%s', which does not exist", service->owned.plan.name,
                    *needs);
            return -ENOENT;
        }
    }
    return 0;
}

/* ---------------------------------------------------------------------------------- adding -- */

/* A pipe that nobody reads would block the service, sooner or later. */
static bool has_pipe(const coil_service_plan *plan)
{
    const coil_spawn_plan *spawn = plan->spawn;

    if (spawn == NULL)
        return false;
    if (spawn->in.mode == COIL_STDIO_PIPE)
        return true;
    return plan->log == NULL &&
           (spawn->out.mode == COIL_STDIO_PIPE || spawn->err.mode == COIL_STDIO_PIPE);
}

/* A log gets pipes, and nobody else reads what a terminal shows, or types. */
static bool has_terminal(const coil_service_plan *plan)
{
    const coil_spawn_plan *spawn = plan->spawn;

    return spawn != NULL &&
           (spawn->in.mode == COIL_STDIO_PTY || spawn->out.mode == COIL_STDIO_PTY ||
                   spawn->err.mode == COIL_STDIO_PTY);
}

static int check_plan(coil_supervisor *supervisor, const coil_service_plan *plan)
{
    const coil_service_policy *policy = &plan->policy;
    const int kinds = (plan->spawn != NULL) + (plan->task != NULL) + (plan->supervisor != NULL);
    const bool is_asked = policy->readiness == COIL_READY_PROBE || policy->liveness.interval > 0;

    if (plan->name == NULL || plan->name[0] == '\0' || strchr(plan->name, '@') != NULL ||
            strlen(plan->name) > 200) {
        explain(supervisor, "a service needs a name, without '@'");
    } else if (kinds != 1) {
        explain(supervisor, "'%s' has to be one of process, task and supervisor", plan->name);
    } else if (has_pipe(plan)) {
        explain(supervisor, "'%s' has a pipe that nobody serves: give it a log", plan->name);
    } else if (has_terminal(plan)) {
        explain(supervisor, "'%s' has a terminal that nobody serves", plan->name);
    } else if (is_asked && plan->probe == NULL) {
        explain(supervisor, "'%s' is to be asked, and has no probe", plan->name);
    } else if (plan->notify_fd < 0 || (plan->notify_fd > 0 && plan->notify_fd <= 2)) {
        explain(supervisor, "'%s' cannot notify by its descriptor %d", plan->name, plan->notify_fd);
    } else if (plan->outlives && (plan->spawn == NULL || plan->log == NULL)) {
        explain(supervisor, "'%s' is to outlive us, and is no process with a log", plan->name);
    } else if (plan->outlives && supervisor->adoption == NULL) {
        explain(supervisor, "'%s' is to outlive us, and there is no adoption", plan->name);
    } else if (plan->outlives && !outliving_is_name(plan->name)) {
        explain(supervisor, "'%s' is to outlive us: at most 32 letters, no '#'", plan->name);
    } else if (policy->outlives && !plan->outlives) {
        explain(supervisor, "'%s' is to outlive us: its plan says so, not its policy", plan->name);
    } else if (plan->instances > 0 && plan->spawn == NULL) {
        explain(supervisor, "'%s' is a template, but no process", plan->name);
    } else {
        return 0;
    }
    return -EINVAL;
}

/* It is not alive, and nobody uses it. */
static int free_service(coil_service *service)
{
    if (service->supervised.supervision != NULL) {
        int rc = coil_supervision_remove(&service->supervised);
        if (rc < 0)
            return rc;
    }
    coil_list_remove(&service->removal);
    coil_list_remove(&service->queue);
    plan_free(&service->owned);
    free(service->last_lines);
    free(service->says);
    free(service);
    return 0;
}

/* One service of the plan, DOWN. */
static int add_one(coil_supervisor *supervisor, const coil_service_plan *plan, unsigned number,
        coil_service **out_service)
{
    coil_service *service = calloc(1, sizeof(*service));

    if (service == NULL)
        return -ENOMEM;
    service->supervisor = supervisor;
    service->number = number;
    service->child.pidfd = service->child.stdin_fd = -1;
    service->child.stdout_fd = service->child.stderr_fd = -1;
    service->unread = UNREAD_NONE;
    service->unheard = -1;
    coil_list_init(&service->waiters);
    coil_list_init(&service->removal);
    coil_list_init(&service->queue);
    int rc = plan_copy(plan, number, &service->owned);
    if (rc == 0) {
        service->owned.plan.policy.outlives = plan->outlives;
        rc = coil_supervision_add(supervisor->policy, &service->supervised,
                service->owned.plan.name, &service->owned.plan.policy, coil_now());
    }
    if (rc < 0) {
        (void)free_service(service);
        return rc;
    }
    supervisor->has_calendar |= coil_calendar_set(&plan->policy.calendar);
    *out_service = service;
    return 0;
}

static void start_if_due(coil_service *service)
{
    const coil_service_policy *policy = &service->supervised.policy;

    if (service->supervisor->group != NULL && !policy->keep_down && policy->every == 0 &&
            !coil_calendar_set(&policy->calendar))
        coil_service_start(service);
}

/* It is wanted before it is taken over, or it would be stopped; and only then, if at all, begun. */
static void start_or_adopt(coil_service *service)
{
    const coil_supervision_event look = {.kind = COIL_EVENT_TICK};
    coil_supervisor *supervisor = service->supervisor;

    supervisor->adopting |= supervisor->group != NULL && service->owned.plan.outlives;
    start_if_due(service);
    if (supervisor->adopting && !supervisor->stepping) /* It was not due. */
        supervisor_take(supervisor, &look);
}

static int add_connected(coil_supervisor *supervisor, const coil_service_plan *plan,
        service_template *template, unsigned number, coil_service **out_service)
{
    coil_service *service;

    int rc = add_one(supervisor, plan, number, &service);
    if (rc < 0)
        return rc;
    service->template = template;
    rc = connect_to_all(service);
    if (rc < 0) {
        (void)free_service(service);
        return rc;
    }
    start_or_adopt(service);
    *out_service = service;
    return 0;
}

static int add_template(
        coil_supervisor *supervisor, const coil_service_plan *plan, service_template **out_template)
{
    service_template *template = calloc(1, sizeof(*template));

    if (template == NULL)
        return -ENOMEM;
    int rc = plan_copy(plan, 0, &template->owned);
    if (rc < 0) {
        free(template);
        return rc;
    }
    /* plan_copy() has made a prefix of the name of the template; each instance has its own. */
    if (plan->log_prefix == NULL)
        template->owned.plan.log_prefix = NULL;
    coil_list_init(&template->link);
    coil_list_append(&supervisor->templates, &template->link);
    *out_template = template;
    return 0;
}

/* ---------------------------------------------------------------------------------- scaling -- */

static coil_service *find_instance(
        const coil_supervisor *supervisor, const service_template *template, unsigned number)
{
    coil_service *service = NULL;

    while ((service = coil_supervisor_each(supervisor, service)) != NULL) {
        if (service->template == template && service->number == number)
            break;
    }
    return service;
}

static void remove_last(coil_supervisor *supervisor, service_template *template)
{
    coil_service *service = find_instance(supervisor, template, template->count--);

    if (service != NULL)
        coil_service_remove(service);
}

/* It was to be removed, and still stops, or somebody looks at it: as if it had been added now. */
static void take_back_removal(coil_service *service)
{
    const coil_supervision_event look = {.kind = COIL_EVENT_TICK};

    coil_list_remove(&service->removal);
    service_unqueue(service);
    coil_supervised_renew(&service->supervised);
    service_hold(service); /* A hook may remove it. */
    if (!service->supervisor->stepping)
        supervisor_take(service->supervisor, &look);
    if (!coil_list_linked(&service->removal))
        start_if_due(service);
    service_release(service);
}

static int add_next(coil_supervisor *supervisor, service_template *template)
{
    const unsigned number = ++template->count; /* Before a hook is told, which may scale, too. */
    coil_service *service = find_instance(supervisor, template, number);
    int rc = 0;

    if (service != NULL) {
        take_back_removal(service);
    } else {
        rc = add_connected(supervisor, &template->owned.plan, template, number, &service);
    }
    if (rc < 0)
        template->count--;
    return rc;
}

static int scale(coil_supervisor *supervisor, service_template *template, unsigned instances)
{
    int rc = 0;

    template->wanted = instances;
    while (template->count > template->wanted)
        remove_last(supervisor, template);
    while (rc == 0 && template->count < template->wanted)
        rc = add_next(supervisor, template);
    return rc;
}

int coil_supervisor_scale(coil_supervisor *supervisor, const char *name, unsigned instances)
{
    service_template *template = find_template(supervisor, name);

    return template == NULL ? -ENOENT : scale(supervisor, template, instances);
}

/* Instances that are there already are stopped, and stay until then; without it. */
static void remove_template(coil_supervisor *supervisor, service_template *template)
{
    coil_service *service = NULL;

    (void)scale(supervisor, template, 0);
    while ((service = coil_supervisor_each(supervisor, service)) != NULL) {
        if (service->template == template)
            service->template = NULL;
    }
    coil_list_remove(&template->link);
    plan_free(&template->owned);
    free(template);
}

/* All of its instances, or nothing. */
static int add_instances(
        coil_supervisor *supervisor, const coil_service_plan *plan, coil_service **out_first)
{
    service_template *template;

    int rc = add_template(supervisor, plan, &template);
    if (rc < 0)
        return rc;
    rc = scale(supervisor, template, plan->instances);
    if (rc < 0) {
        remove_template(supervisor, template);
        return rc;
    }
    *out_first = find_instance(supervisor, template, 1);
    return 0;
}

static int check_name(coil_supervisor *supervisor, const char *name)
{
    if (coil_supervisor_find(supervisor, name) == NULL && find_template(supervisor, name) == NULL)
        return 0;
    explain(supervisor, "there is a service '%s' already", name);
    return -EEXIST;
}

int coil_supervisor_add(
        coil_supervisor *supervisor, const coil_service_plan *plan, coil_service **out_service)
{
    coil_service *service = NULL;

    int rc = check_plan(supervisor, plan);
    if (rc == 0)
        rc = check_name(supervisor, plan->name);
    if (rc == 0 && plan->notify && supervisor->notify_socket < 0) {
        rc = notify_open(supervisor);
        if (rc == 0 && supervisor->group != NULL &&
                coil_spawn(supervisor->group, notify_listen(supervisor)) == NULL) {
            notify_close(supervisor); /* Who would notify would not be heard. */
            rc = -ENOMEM;
        }
    }
    if (rc < 0)
        return rc;
    if (plan->instances == 0) {
        rc = add_connected(supervisor, plan, NULL, 0, &service);
    } else {
        rc = add_instances(supervisor, plan, &service);
    }
    if (rc == 0 && out_service != NULL)
        *out_service = service;
    return rc;
}

/* --------------------------------------------------------------------------------- removing -- */

void supervisor_sweep(coil_supervisor *supervisor)
{
    coil_list *next;
    bool is_any = false;

    for (coil_list *at = supervisor->removals.next; at != &supervisor->removals; at = next) {
        coil_service *service = coil_container_of(at, coil_service, removal);
        next = at->next;
        if (!service->supervised.alive && service->users == 0)
            is_any |= free_service(service) == 0; /* -ENOMEM: the next time. */
    }
    if (is_any && supervisor->group != NULL) /* Who needed one of them needs it no more. */
        coil_call_soon(supervisor->loop, &supervisor->more);
}

void coil_service_remove(coil_service *service)
{
    coil_supervisor *supervisor = service->supervisor;

    if (!coil_list_linked(&service->removal))
        coil_list_append(&supervisor->removals, &service->removal);
    coil_waiter_grant_all(&service->waiters, 0);
    coil_service_stop(service);
}

/* ------------------------------------------------------------------------------------ looks -- */

coil_service *coil_supervisor_find(const coil_supervisor *supervisor, const char *name)
{
    coil_supervised *supervised = coil_supervision_find(supervisor->policy, name);

    return supervised == NULL ? NULL : service_of(supervised);
}

coil_service *coil_supervisor_each(const coil_supervisor *supervisor, const coil_service *previous)
{
    coil_supervised *next = coil_supervision_each(
            supervisor->policy, previous == NULL ? NULL : &previous->supervised);

    return next == NULL ? NULL : service_of(next);
}

const coil_supervised *coil_service_status(const coil_service *service)
{
    return &service->supervised;
}

const char *coil_service_name(const coil_service *service)
{
    return service->owned.plan.name;
}

pid_t coil_service_pid(const coil_service *service)
{
    const bool is_process = service->owned.plan.spawn != NULL;

    return is_process && service->child.pidfd >= 0 ? service->child.pid : 0;
}

const char *coil_service_says(const coil_service *service)
{
    return service->says == NULL ? "" : service->says;
}

const coil_death *coil_service_last_death(const coil_service *service)
{
    return service->death.instance == 0 ? NULL : &service->death;
}
