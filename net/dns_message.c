/* SPDX-License-Identifier: MIT */
#include "dns_message.h"

#include <errno.h>
#include <string.h>

enum {
    HEADER_BYTES = 12,
    FLAG_ANSWER = 0x8000,
    FLAG_CUT_OFF = 0x0200,
    CODE_MASK = 0x000f,
    CODE_NO_NAME = 3, /* NXDOMAIN */

    POINTER = 0xc0,     /* The two upper bits of a label's length. */
    POINTERS_MAX = 127, /* In a name, which has no more labels than that. */
    ALIASES_MAX = 16,
    RECORDS_MAX = 1024, /* In each section. What is behind them is not looked at. */
    TTL_MAX_S = 0x7fffffff,
};

/* Where we are in a message. */
typedef struct reader {
    const uint8_t *bytes;
    size_t size_bytes;
    size_t at;
    bool is_broken; /* It ended too early, or is no message. Then numbers read are 0. */
} reader;

typedef struct record {
    dns_name owner;
    uint16_t type;
    uint16_t net_class;
    uint32_t ttl_s;
    reader contents; /* Ends with the record, but the names in it may point to anywhere before. */
} record;

static uint16_t read_u16(reader *from)
{
    if (from->is_broken || from->size_bytes - from->at < 2) {
        from->is_broken = true;
        return 0;
    }
    const uint8_t *at = from->bytes + from->at;
    from->at += 2;
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t read_u32(reader *from)
{
    uint32_t upper = read_u16(from);
    return upper << 16 | read_u16(from);
}

/* Add a label. What no host name has becomes '?', which is equal to nothing that we ask for. */
static bool add_label(dns_name *name, const uint8_t *label, unsigned count)
{
    if (name->length + count + 1 >= sizeof(name->text))
        return false;
    if (name->length > 0)
        name->text[name->length++] = '.';
    for (unsigned i = 0; i < count; i++) {
        uint8_t c = label[i];
        if (c >= 'A' && c <= 'Z')
            c = (uint8_t)(c - 'A' + 'a');
        bool is_known = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        name->text[name->length++] = (char)(is_known ? c : '?');
    }
    name->text[name->length] = '\0';
    return true;
}

/*
 * The place that a pointer leads to, from a name whose first byte is at `start`: always before it,
 * so that every chain of pointers ends. SIZE_MAX: there is none.
 */
static size_t follow(const reader *from, size_t at, size_t start)
{
    if (from->size_bytes - at < 2)
        return SIZE_MAX;
    size_t to = (size_t)(from->bytes[at] & ~POINTER) << 8 | from->bytes[at + 1];
    return to < start && to >= HEADER_BYTES ? to : SIZE_MAX;
}

/* What is read is within `from`; pointers lead back, so they are, too. */
static void read_name(reader *from, dns_name *out_name)
{
    size_t at = from->at;
    size_t start = at;
    unsigned pointer_count = 0;

    out_name->length = 0;
    out_name->text[0] = '\0';
    while (!from->is_broken) {
        if (at >= from->size_bytes)
            break;
        unsigned count = from->bytes[at];
        if ((count & POINTER) == POINTER) {
            if (pointer_count == 0)
                from->at = at + 2;
            if (pointer_count++ == POINTERS_MAX)
                break; /* Thousands of them, for each of a thousand names, would keep us busy. */
            start = at = follow(from, at, start);
            continue;
        }
        at++;
        if (count == 0) {
            if (pointer_count == 0)
                from->at = at;
            return;
        }
        if ((count & POINTER) != 0 || from->size_bytes - at < count ||
                !add_label(out_name, from->bytes + at, count))
            break;
        at += count;
    }
    from->is_broken = true;
}

static void read_record(reader *from, record *out_record)
{
    read_name(from, &out_record->owner);
    out_record->type = read_u16(from);
    out_record->net_class = read_u16(from);
    out_record->ttl_s = read_u32(from);
    if (out_record->ttl_s > TTL_MAX_S)
        out_record->ttl_s = 0; /* RFC 2181 8 */
    size_t count = read_u16(from);
    if (from->is_broken || from->size_bytes - from->at < count) {
        from->is_broken = true;
        return;
    }
    out_record->contents = *from;
    out_record->contents.size_bytes = from->at + count;
    from->at += count;
}

static bool is_of(const record *one, const dns_name *owner, uint16_t type)
{
    return one->type == type && one->net_class == 1 && dns_name_equal(&one->owner, owner);
}

static void limit_ttl(dns_records *records, uint32_t ttl_s)
{
    if (ttl_s < records->ttl_s)
        records->ttl_s = ttl_s;
}

/* --------------------------------------------------------------------------------- sections -- */

/* `section` stays where it is: each walk has its own copy. False: no further record. */
static bool next_record(reader *section, unsigned *left, record *out_record)
{
    if (*left == 0 || section->is_broken)
        return false;
    --*left;
    read_record(section, out_record);
    return !section->is_broken;
}

static unsigned limited(uint16_t count)
{
    return count < RECORDS_MAX ? count : RECORDS_MAX;
}

/* What `name` is an alias of according to the section, if it is one. */
static bool take_alias(reader section, unsigned left, dns_name *name, dns_records *records)
{
    record one;
    while (next_record(&section, &left, &one)) {
        if (!is_of(&one, name, DNS_TYPE_CNAME))
            continue;
        read_name(&one.contents, name);
        limit_ttl(records, one.ttl_s);
        return !one.contents.is_broken;
    }
    return false;
}

static void add_address(const record *one, unsigned service_index, dns_records *records)
{
    const size_t count = one->type == DNS_TYPE_AAAA ? 16 : 4;
    const reader *contents = &one->contents;
    if (contents->size_bytes - contents->at != count ||
            records->address_count == COIL_RESOLVER_ADDRESSES_MAX)
        return;
    dns_address *address = &records->addresses[records->address_count++];
    *address = (dns_address){
            .is_v6 = one->type == DNS_TYPE_AAAA, .service_index = (uint8_t)service_index};
    memcpy(address->bytes, contents->bytes + contents->at, count);
    limit_ttl(records, one->ttl_s);
}

static void add_service(record *one, dns_records *records)
{
    if (records->service_count == COIL_RESOLVER_SERVICES_MAX)
        return;
    dns_service *service = &records->services[records->service_count];
    service->priority = read_u16(&one->contents);
    service->weight = read_u16(&one->contents);
    service->port = read_u16(&one->contents);
    read_name(&one->contents, &service->target);
    if (one->contents.is_broken)
        return;
    limit_ttl(records, one->ttl_s);
    if (service->target.length == 0) {
        records->is_unwanted = true;
    } else {
        records->service_count++;
    }
}

/* How many records there were. */
static unsigned take_records(
        reader section, unsigned left, uint16_t type, const dns_name *name, dns_records *records)
{
    unsigned count = 0;
    record one;
    while (next_record(&section, &left, &one)) {
        if (!is_of(&one, name, type))
            continue;
        count++;
        if (type == DNS_TYPE_SRV) {
            add_service(&one, records);
        } else {
            add_address(&one, 0, records);
        }
    }
    return count;
}

/* Addresses of the targets, which servers may send along. */
static void take_additional(reader section, unsigned left, dns_records *records)
{
    record one;
    while (next_record(&section, &left, &one)) {
        for (unsigned i = 0; i < records->service_count; i++) {
            const dns_name *target = &records->services[i].target;
            if (is_of(&one, target, DNS_TYPE_A) || is_of(&one, target, DNS_TYPE_AAAA))
                add_address(&one, i, records);
        }
    }
}

/* RFC 2308 5: how long one may believe that there is nothing. Without that word, not at all. */
static uint32_t negative_ttl(reader section, unsigned left)
{
    record one;
    dns_name skipped;
    while (next_record(&section, &left, &one)) {
        if (one.type != DNS_TYPE_SOA)
            continue;
        read_name(&one.contents, &skipped);
        read_name(&one.contents, &skipped);
        for (int i = 0; i < 4; i++)
            (void)read_u32(&one.contents);
        uint32_t minimum_s = read_u32(&one.contents);
        if (!one.contents.is_broken)
            return minimum_s < one.ttl_s ? minimum_s : one.ttl_s;
    }
    return 0;
}

/* ------------------------------------------------------------------------------- the message -- */

typedef struct section {
    reader from;
    unsigned count;
} section;

enum { ANSWERS, AUTHORITIES, ADDITIONALS, SECTIONS };

/* Where each begins. Those behind a broken one are empty. */
static void find_sections(reader message, const uint16_t counts[SECTIONS], section sections[])
{
    record skipped;
    for (unsigned i = 0; i < SECTIONS; i++) {
        sections[i] = (section){message, message.is_broken ? 0 : limited(counts[i])};
        for (unsigned left = counts[i]; left > 0 && !message.is_broken; left--)
            read_record(&message, &skipped);
    }
}

static bool is_question(reader *message, uint16_t type, const dns_name *name)
{
    dns_name asked;
    read_name(message, &asked);
    uint16_t asked_type = read_u16(message);
    uint16_t asked_class = read_u16(message);
    return !message->is_broken && asked_type == type && asked_class == 1 &&
           dns_name_equal(&asked, name);
}

static int read_sections(const section sections[SECTIONS], unsigned code, uint16_t type,
        const dns_name *name, dns_records *records)
{
    const section *answers = &sections[ANSWERS];
    dns_name alias = *name;
    unsigned alias_count = 0;
    while (take_alias(answers->from, answers->count, &alias, records)) {
        if (++alias_count > ALIASES_MAX)
            return -EBADMSG;
    }
    unsigned before = records->address_count + records->service_count;
    unsigned count = take_records(answers->from, answers->count, type, &alias, records);
    if (type == DNS_TYPE_SRV && count > 0) {
        records->is_unwanted = records->is_unwanted && records->service_count == 0;
        take_additional(sections[ADDITIONALS].from, sections[ADDITIONALS].count, records);
    }
    if (records->address_count + records->service_count > before) {
        records->status = 0;
        return 0;
    }
    records->status = code == CODE_NO_NAME ? -ENOENT : -ENODATA;
    if (!records->is_unwanted)
        limit_ttl(records, negative_ttl(sections[AUTHORITIES].from, sections[AUTHORITIES].count));
    return 0;
}

int dns_message_read(const uint8_t *bytes, size_t size_bytes, uint16_t type, const dns_name *name,
        dns_records *records)
{
    reader message = {bytes, size_bytes, 0, false};
    uint16_t counts[SECTIONS];
    section sections[SECTIONS];

    (void)read_u16(&message); /* The id, which the one who sent the question has looked at. */
    unsigned flags = read_u16(&message);
    unsigned question_count = read_u16(&message);
    for (unsigned i = 0; i < SECTIONS; i++)
        counts[i] = read_u16(&message);
    unsigned code = flags & CODE_MASK;
    if (message.is_broken || !(flags & FLAG_ANSWER) || (flags & FLAG_CUT_OFF))
        return -EBADMSG;
    if (code != 0 && code != CODE_NO_NAME)
        return -EREMOTEIO;
    if (question_count != 1 || !is_question(&message, type, name))
        return -EBADMSG;
    find_sections(message, counts, sections);
    if (sections[ADDITIONALS].from.is_broken)
        return -EBADMSG;
    return read_sections(sections, code, type, name, records);
}

void dns_records_init(dns_records *records)
{
    records->status = -ENODATA;
    records->ttl_s = UINT32_MAX;
    records->is_unwanted = false;
    records->service_count = 0;
    records->address_count = 0;
}
