/* SPDX-License-Identifier: MIT */
#include "dns_name.h"

#include <errno.h>
#include <string.h>

enum { LABEL_MAX_BYTES = 63 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Letters, digits, hyphens; and what services have in their names. Not of this locale. */
static bool is_of_a_name(char c)
{
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

static char lower(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c | 0x20);
    return c;
}

/* RFC 3696: what ends with a number is an address, or nearly one. */
static bool ends_with_number(const dns_name *name)
{
    unsigned i = name->length;
    while (i > 0 && is_digit(name->text[i - 1]))
        i--;
    return i < name->length && (i == 0 || name->text[i - 1] == '.');
}

static int check_labels(const dns_name *name)
{
    unsigned label_bytes = 0;
    for (unsigned i = 0; i < name->length; i++) {
        if (name->text[i] == '.') {
            if (label_bytes == 0)
                return -EINVAL;
            label_bytes = 0;
        } else if (!is_of_a_name(name->text[i]) || ++label_bytes > LABEL_MAX_BYTES) {
            return -EINVAL;
        }
    }
    return label_bytes == 0 || ends_with_number(name) ? -EINVAL : 0;
}

int dns_name_read(const char *text, size_t length, dns_name *out_name, bool *out_is_absolute)
{
    dns_name name = {.length = 0};
    const bool is_absolute = length > 0 && text[length - 1] == '.';
    if (is_absolute)
        length--;
    if (length >= sizeof(name.text))
        return -ENAMETOOLONG;
    for (size_t i = 0; i < length; i++)
        name.text[i] = lower(text[i]);
    name.length = (unsigned)length;
    int rc = check_labels(&name);
    if (rc < 0)
        return rc;
    *out_name = name;
    if (out_is_absolute != NULL)
        *out_is_absolute = is_absolute;
    return 0;
}

int dns_name_join(const dns_name *first, const dns_name *second, dns_name *out_name)
{
    if (first->length + 1 + second->length >= sizeof(out_name->text))
        return -ENAMETOOLONG;
    *out_name = *first;
    out_name->text[first->length] = '.';
    memcpy(out_name->text + first->length + 1, second->text, second->length + 1);
    out_name->length = first->length + 1 + second->length;
    return 0;
}

bool dns_name_equal(const dns_name *name, const dns_name *other)
{
    return name->length == other->length && memcmp(name->text, other->text, name->length) == 0;
}

unsigned dns_name_dots(const dns_name *name)
{
    unsigned count = 0;
    for (unsigned i = 0; i < name->length; i++)
        count += name->text[i] == '.';
    return count;
}

bool dns_name_is_below(const dns_name *name, const char *domain)
{
    size_t length = strlen(domain);
    if (name->length < length || memcmp(name->text + name->length - length, domain, length) != 0)
        return false;
    return name->length == length || name->text[name->length - length - 1] == '.';
}
