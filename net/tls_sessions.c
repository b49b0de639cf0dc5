/* SPDX-License-Identifier: MIT */
#include "tls_private.h"

#include <coil/list.h>

#include <stdlib.h>
#include <string.h>

enum { SESSIONS_OF_A_NAME = 4, NAMES_DEFAULT = 64 };

typedef struct tls_name {
    coil_list link;
    unsigned count;
    SSL_SESSION *sessions[SESSIONS_OF_A_NAME]; /* The oldest first. */
    char name[];
} tls_name;

struct tls_sessions {
    coil_list names; /* The one that was last of use first. */
    unsigned count;
    unsigned limit;
};

tls_sessions *tls_sessions_create(unsigned name_count)
{
    tls_sessions *sessions = malloc(sizeof(*sessions));
    if (sessions == NULL)
        return NULL;
    *sessions = (tls_sessions){.limit = name_count > 0 ? name_count : NAMES_DEFAULT};
    coil_list_init(&sessions->names);
    return sessions;
}

static tls_name *name_at(coil_list *link)
{
    return coil_container_of(link, tls_name, link);
}

static void remove_name(tls_sessions *sessions, tls_name *name)
{
    coil_list_remove(&name->link);
    sessions->count--;
    for (unsigned i = 0; i < name->count; i++)
        SSL_SESSION_free(name->sessions[i]);
    free(name);
}

void tls_sessions_clear(tls_sessions *sessions)
{
    while (!coil_list_empty(&sessions->names))
        remove_name(sessions, name_at(sessions->names.next));
}

void tls_sessions_destroy(tls_sessions *sessions)
{
    if (sessions == NULL)
        return;
    tls_sessions_clear(sessions);
    free(sessions);
}

static tls_name *find(tls_sessions *sessions, const char *text)
{
    for (coil_list *link = sessions->names.next; link != &sessions->names; link = link->next) {
        if (strcmp(name_at(link)->name, text) == 0)
            return name_at(link);
    }
    return NULL;
}

static tls_name *make_name(tls_sessions *sessions, const char *text)
{
    size_t text_bytes = strlen(text) + 1;
    tls_name *name = malloc(sizeof(*name) + text_bytes);
    if (name == NULL)
        return NULL;
    if (sessions->count == sessions->limit)
        remove_name(sessions, name_at(sessions->names.prev));
    *name = (tls_name){.count = 0};
    memcpy(name->name, text, text_bytes);
    sessions->count++;
    return name;
}

static void forget_oldest(tls_name *name)
{
    SSL_SESSION_free(name->sessions[0]);
    name->count--;
    memmove(name->sessions, name->sessions + 1, name->count * sizeof(SSL_SESSION *));
}

void tls_sessions_add(tls_sessions *sessions, const char *text, SSL_SESSION *session)
{
    tls_name *name = find(sessions, text);
    if (name != NULL) {
        coil_list_remove(&name->link);
    } else {
        name = make_name(sessions, text);
        if (name == NULL) {
            SSL_SESSION_free(session);
            return;
        }
    }
    coil_list_append(sessions->names.next, &name->link); /* Before the first. */
    if (name->count == SESSIONS_OF_A_NAME)
        forget_oldest(name);
    name->sessions[name->count++] = session;
}

SSL_SESSION *tls_sessions_take(tls_sessions *sessions, const char *text)
{
    tls_name *name = find(sessions, text);
    while (name != NULL && name->count > 0) {
        SSL_SESSION *newest = name->sessions[name->count - 1];
        if (SSL_SESSION_is_resumable(newest) &&
                SSL_SESSION_get_protocol_version(newest) < TLS1_3_VERSION)
            return SSL_SESSION_up_ref(newest) == 1 ? newest : NULL;
        name->count--;
        if (SSL_SESSION_is_resumable(newest))
            return newest;
        SSL_SESSION_free(newest);
    }
    return NULL;
}
