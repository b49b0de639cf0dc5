/* SPDX-License-Identifier: MIT */
#include "compatible.h"

#include "memory.h"
#include "values.h"

#include <stdlib.h>
#include <string.h>

/* Structs that have been compared, or are being: they may contain themselves. */
typedef struct pair pair;
struct pair {
    pair *next;
    const idl_definition *old;
    const idl_definition *new;
};

typedef struct comparison {
    pair *seen;
} comparison;

static bool is_seen(comparison *self, const idl_definition *old, const idl_definition *new)
{
    for (const pair *it = self->seen; it != NULL; it = it->next) {
        if (it->old == old && it->new == new)
            return true;
    }
    pair *added = IDL_NEW(pair);
    added->next = self->seen;
    added->old = old;
    added->new = new;
    self->seen = added;
    return false;
}

static void compare_structs(comparison *self, const idl_definition *old, const idl_definition *new);

/* Types
 * ----- */

/* What a type is on the wire, so that an enum is an i32, and a binary a string. */
static idl_type_kind wire_kind(const idl_type *type)
{
    if (type->kind == IDL_BINARY)
        return IDL_STRING;
    if (type->kind == IDL_NAMED && type->definition->kind == IDL_ENUM)
        return IDL_I32;
    return type->kind;
}

static const idl_definition *enum_of(const idl_type *type)
{
    return type->kind == IDL_NAMED && type->definition->kind == IDL_ENUM ? type->definition : NULL;
}

static void compare_enums(comparison *self, const idl_definition *old, const idl_definition *new);

/* Whether both are the same on the wire, but for what structs and enums in them have to say. */
static bool compare_types(comparison *self, const idl_type *old, const idl_type *new)
{
    old = idl_type_behind(old);
    new = idl_type_behind(new);
    if (wire_kind(old) != wire_kind(new))
        return false;
    if (old->kind == IDL_NAMED && new->kind == IDL_NAMED && enum_of(old) == NULL) {
        if ((old->definition->kind == IDL_UNION) != (new->definition->kind == IDL_UNION))
            return false;
        compare_structs(self, old->definition, new->definition);
    } else if (enum_of(old) != NULL && enum_of(new) != NULL) {
        compare_enums(self, enum_of(old), enum_of(new));
    }
    return (old->key == NULL || compare_types(self, old->key, new->key)) &&
           (old->element == NULL || compare_types(self, old->element, new->element));
}

static const idl_enumerator *find_enumerator(const idl_definition *definition, const char *name)
{
    for (const idl_enumerator *it = definition->enumerators; it != NULL; it = it->next) {
        if (strcmp(it->name, name) == 0)
            return it;
    }
    return NULL;
}

static void compare_enums(comparison *self, const idl_definition *old, const idl_definition *new)
{
    if (is_seen(self, old, new))
        return;
    for (const idl_enumerator *it = old->enumerators; it != NULL; it = it->next) {
        const idl_enumerator *now = find_enumerator(new, it->name);
        if (now == NULL) {
            idl_warning(new->place, "'%s' has no %s any more", new->name, it->name);
        } else if (now->value != it->value) {
            idl_error(now->place, "%s is %d, and was %d", it->name, now->value, it->value);
        } else {
            continue;
        }
        idl_remark(it->place, "here");
    }
    for (const idl_enumerator *it = new->enumerators; it != NULL; it = it->next) {
        if (find_enumerator(old, it->name) == NULL) {
            idl_warning(
                    it->place, "those who have the old '%s' do not know %s", old->name, it->name);
        }
    }
}

/* Fields
 * ------ */

static const idl_field *find_field(const idl_field *fields, int32_t id)
{
    for (; fields != NULL; fields = fields->next) {
        if (fields->id == id)
            return fields;
    }
    return NULL;
}

static const idl_field *find_name(const idl_field *fields, const char *name)
{
    for (; fields != NULL; fields = fields->next) {
        if (strcmp(fields->name, name) == 0)
            return fields;
    }
    return NULL;
}

/* Whether two defaults are written alike: enough, where it is about a warning. */
static bool is_same_value(const idl_value *one, const idl_value *other)
{
    if (one == NULL || other == NULL)
        return one == other;
    one = idl_value_behind(one);
    other = idl_value_behind(other);
    if (one->kind != other->kind || one->integer != other->integer ||
            one->text_size != other->text_size)
        return false;
    return (one->text_size == 0 || memcmp(one->text, other->text, one->text_size) == 0) &&
           one->real == other->real;
}

static void compare_fields(comparison *self, const idl_field *old, const idl_field *new)
{
    if (!compare_types(self, old->type, new->type)) {
        idl_error(new->type->place, "'%s' is %s, and was %s", new->name, idl_type_text(new->type),
                idl_type_text(old->type));
    } else if (old->requiredness == IDL_REQUIRED && new->requiredness == IDL_OPTIONAL) {
        idl_error(new->place,
                "'%s' may be left out, and those who have the old interface require it", new->name);
    } else if (old->requiredness == IDL_OPTIONAL && new->requiredness == IDL_REQUIRED) {
        idl_error(new->place,
                "'%s' is required, and those who have the old interface may leave it out",
                new->name);
    } else if (!is_same_value(old->value, new->value)) {
        idl_warning(new->place, "'%s' has another default for those who have the old interface",
                new->name);
    } else {
        return;
    }
    idl_remark(old->place, "here");
}

/* A field that is there no more. */
static void see_removed(const idl_field *old, const idl_definition *new)
{
    const idl_field *moved = find_name(new->fields, old->name);

    if (moved != NULL) {
        idl_error(moved->place, "'%s' has the number %d, and had %d", moved->name, moved->id,
                old->id);
    } else if (old->requiredness == IDL_REQUIRED) {
        idl_error(new->place, "'%s' has gone, and those who have the old interface require it",
                old->name);
    } else {
        return;
    }
    idl_remark(old->place, "here");
}

static void see_added(const idl_field *added, const idl_definition *old, const idl_definition *new)
{
    if (find_name(old->fields, added->name) != NULL)
        return; /* It has another number: this has been said. */
    if (added->requiredness == IDL_REQUIRED) {
        idl_error(added->place,
                "'%s' is required, and those who have the old interface do not know it",
                added->name);
    } else if (new->is_result) {
        idl_warning(added->place, "those who have the old interface do not know '%s'", added->name);
    } else if (new->kind == IDL_UNION) {
        idl_warning(added->place,
                "a union that is '%s' is nothing to those who have the old interface", added->name);
    }
}

static void compare_structs(comparison *self, const idl_definition *old, const idl_definition *new)
{
    if (is_seen(self, old, new))
        return;
    for (const idl_field *field = old->fields; field != NULL; field = field->next) {
        const idl_field *now = find_field(new->fields, field->id);
        if (now != NULL) {
            compare_fields(self, field, now);
        } else {
            see_removed(field, new);
        }
    }
    for (const idl_field *field = new->fields; field != NULL; field = field->next) {
        if (find_field(old->fields, field->id) == NULL)
            see_added(field, old, new);
    }
}

/* Services
 * -------- */

/* Of the service, or of what it extends. */
static const idl_function *find_function(const idl_definition *service, const char *name)
{
    for (; service != NULL; service = service->parent) {
        for (const idl_function *it = service->functions; it != NULL; it = it->next) {
            if (strcmp(it->name, name) == 0)
                return it;
        }
    }
    return NULL;
}

static void compare_functions(comparison *self, const idl_function *old, const idl_function *new)
{
    if (old->is_oneway != new->is_oneway) {
        idl_error(new->place, "'%s' is %s", new->name,
                new->is_oneway ? "oneway, and was answered" : "answered, and was oneway");
        idl_remark(old->place, "here");
        return;
    }
    compare_structs(self, old->arguments, new->arguments);
    if (old->outcome == NULL)
        return;
    if ((old->result->kind == IDL_VOID) != (new->result->kind == IDL_VOID)) {
        idl_error(new->place, "'%s' gives %s, and gave %s", new->name, idl_type_text(new->result),
                idl_type_text(old->result));
        idl_remark(old->place, "here");
        return;
    }
    compare_structs(self, old->outcome, new->outcome);
}

static void compare_services(comparison *self, const idl_definition *old, const idl_definition *new)
{
    for (const idl_definition *level = old; level != NULL; level = level->parent) {
        for (const idl_function *it = level->functions; it != NULL; it = it->next) {
            const idl_function *now = find_function(new, it->name);
            if (now != NULL) {
                compare_functions(self, it, now);
            } else {
                idl_error(new->place, "'%s' has no function '%s' any more", new->name, it->name);
                idl_remark(it->place, "here");
            }
        }
    }
}

static const idl_definition *find_definition(
        const idl_document *document, const idl_definition *like)
{
    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        const bool is_alike = it->kind == like->kind || (idl_is_struct(it) && idl_is_struct(like));
        if (is_alike && strcmp(it->name, like->name) == 0)
            return it;
    }
    return NULL;
}

void idl_compare(const idl_document *old, const idl_document *new)
{
    comparison self = {NULL};
    const idl_place start = {&new->source, 0, 0};

    for (const idl_definition *it = old->definitions; it != NULL; it = it->next) {
        const idl_definition *now = find_definition(new, it);
        if (it->kind == IDL_SERVICE && now == NULL) {
            idl_error(start, "there is no service '%s' any more", it->name);
            idl_remark(it->place, "here");
        } else if (it->kind == IDL_SERVICE) {
            compare_services(&self, it, now);
        } else if (idl_is_struct(it) && now != NULL) {
            compare_structs(&self, it, now);
        } else if (it->kind == IDL_ENUM && now != NULL) {
            compare_enums(&self, it, now);
        }
    }
}
