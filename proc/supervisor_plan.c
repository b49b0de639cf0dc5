/* SPDX-License-Identifier: MIT */
#include "supervisor_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Everything is put into one block, in two rounds: without memory, to find out how much it takes,
 * and then in earnest.
 */
typedef struct plan_packer {
    char *bytes; /* NULL: the first round. */
    size_t used;
    unsigned number;
} plan_packer;

static char *take(plan_packer *packer, size_t size_bytes)
{
    char *at = packer->bytes == NULL ? NULL : packer->bytes + packer->used;

    packer->used += (size_bytes + 15) & ~(size_t)15;
    return at;
}

static const void *pack_bytes(plan_packer *packer, const void *bytes, size_t size_bytes)
{
    char *copy = take(packer, size_bytes);

    if (bytes == NULL || copy == NULL)
        return NULL;
    memcpy(copy, bytes, size_bytes);
    return copy;
}

/* With the number in the place of "%i". */
static const char *pack_text(plan_packer *packer, const char *text)
{
    size_t count = 0;

    if (text == NULL)
        return NULL;
    for (const char *at = text; packer->number > 0 && (at = strstr(at, "%i")) != NULL; at += 2)
        count++;
    const size_t room = strlen(text) + 1 + count * 8; /* Ten digits, of which two are there. */
    char *copy = take(packer, room);
    if (copy == NULL)
        return NULL;
    char *end = copy;
    while (*text != '\0') {
        if (packer->number > 0 && text[0] == '%' && text[1] == 'i') {
            end += snprintf(end, room - (size_t)(end - copy), "%u", packer->number);
            text += 2;
        } else {
            *end++ = *text++;
        }
    }
    *end = '\0';
    return copy;
}

static const char *const *pack_texts(plan_packer *packer, const char *const *texts)
{
    size_t count = 0;

    if (texts == NULL)
        return NULL;
    while (texts[count] != NULL)
        count++;
    const char **copies = (const char **)(void *)take(packer, (count + 1) * sizeof(texts[0]));
    for (size_t i = 0; i < count; i++) {
        const char *copy = pack_text(packer, texts[i]);
        if (copies != NULL)
            copies[i] = copy;
    }
    if (copies != NULL)
        copies[count] = NULL;
    return copies;
}

static void pack_spawn(plan_packer *packer, coil_spawn_plan *spawn)
{
    spawn->program = pack_text(packer, spawn->program);
    spawn->shell = pack_text(packer, spawn->shell);
    spawn->argv = pack_texts(packer, spawn->argv);
    spawn->env = pack_texts(packer, spawn->env);
    spawn->cwd = pack_text(packer, spawn->cwd);
    spawn->root = pack_text(packer, spawn->root);
    spawn->fds = pack_bytes(packer, spawn->fds, spawn->fd_count * sizeof(spawn->fds[0]));
    spawn->limits =
            pack_bytes(packer, spawn->limits, spawn->limit_count * sizeof(spawn->limits[0]));
    spawn->cpus = pack_bytes(packer, spawn->cpus, spawn->cpu_count * sizeof(spawn->cpus[0]));
}

static void pack(plan_packer *packer, const coil_service_plan *plan, owned_plan *owned)
{
    char name[COIL_CYCLE_TEXT_BYTES];

    owned->plan = *plan;
    (void)snprintf(
            name, sizeof(name), packer->number > 0 ? "%s@%u" : "%s", plan->name, packer->number);
    owned->plan.name = pack_text(packer, name);
    owned->plan.needs = pack_texts(packer, plan->needs);
    owned->plan.wants = pack_texts(packer, plan->wants);
    owned->plan.after = pack_texts(packer, plan->after);
    owned->plan.before = pack_texts(packer, plan->before);
    if (plan->log != NULL && plan->log_prefix == NULL)
        (void)strncat(name, " ", sizeof(name) - strlen(name) - 1);
    owned->plan.log_prefix = pack_text(packer, plan->log_prefix != NULL ? plan->log_prefix : name);
    if (plan->spawn == NULL)
        return;
    owned->spawn = *plan->spawn;
    owned->plan.spawn = &owned->spawn;
    pack_spawn(packer, &owned->spawn);
}

int plan_copy(const coil_service_plan *plan, unsigned number, owned_plan *out_owned)
{
    plan_packer packer = {.number = number};

    pack(&packer, plan, out_owned);
    packer.bytes = malloc(packer.used);
    if (packer.bytes == NULL)
        return -ENOMEM;
    packer.used = 0;
    pack(&packer, plan, out_owned);
    out_owned->block = packer.bytes;
    return 0;
}

void plan_free(owned_plan *owned)
{
    free(owned->block);
    owned->block = NULL;
}

/* What concerns our own supervisor, if we have one, is not for our children. */
static bool is_for_us(const char *variable)
{
    return strncmp(variable, "NOTIFY_SOCKET=", 14) == 0 ||
           strncmp(variable, "WATCHDOG_USEC=", 14) == 0 ||
           strncmp(variable, "WATCHDOG_PID=", 13) == 0;
}

const char **plan_environment(const coil_service *service)
{
    enum { TEXT_BYTES = 64 };
    const char *const *given = service->owned.spawn.env;
    const coil_duration watchdog = service->supervised.policy.liveness.watchdog;
    size_t count = 0;
    size_t kept = 0;

    if (given == NULL)
        given = (const char *const *)environ;
    while (given[count] != NULL)
        count++;
    const char **variables = malloc((count + 3) * sizeof(*variables) + 2 * (size_t)TEXT_BYTES);
    if (variables == NULL)
        return NULL;
    char *texts = (char *)(variables + count + 3);
    for (size_t i = 0; i < count; i++) {
        if (!is_for_us(given[i]))
            variables[kept++] = given[i];
    }
    (void)snprintf(texts, TEXT_BYTES, "NOTIFY_SOCKET=%s", service->supervisor->notify_name);
    variables[kept++] = texts;
    if (watchdog > 0) {
        texts += TEXT_BYTES;
        (void)snprintf(texts, TEXT_BYTES, "WATCHDOG_USEC=%lld", (long long)watchdog / 1000);
        variables[kept++] = texts;
    }
    variables[kept] = NULL;
    return variables;
}
