/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of the state file of coil/adoption.h. A checksum keeps chance out, so the first byte
 * says whether the rest is the whole file (0) or what a right checksum is put behind. Beside not
 * crashing it must hold that what is read is written as the same again.
 */
#include <coil/adoption.h>

#include <coil/check.h>

#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const char EMPTY[] = "coil-children 1\n";

/* As the writer has it: the last line of a file of our own. */
static uint32_t sum_of(const uint8_t *bytes, size_t size)
{
    uint32_t sum = ~UINT32_C(0);
    for (size_t i = 0; i < size; i++) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (UINT32_C(0xedb88320) & -(sum & 1));
    }
    return ~sum;
}

static void check_again(const coil_child_records *records)
{
    char *text = NULL;
    size_t text_bytes = 0;
    coil_child_records again = {NULL, 0};

    COIL_CHECK(coil_child_records_format(records, &text, &text_bytes) == 0);
    COIL_CHECK(coil_child_records_parse(text, text_bytes, &again, NULL) == 0);
    COIL_CHECK(again.count == records->count);
    for (size_t i = 0; i < again.count; i++) {
        COIL_CHECK(strcmp(again.records[i].name, records->records[i].name) == 0);
        COIL_CHECK(again.records[i].pid == records->records[i].pid);
        COIL_CHECK(again.records[i].identity == records->records[i].identity);
    }
    free(again.records);
    free(text);
}

static void read_file(const char *text, size_t size)
{
    char reason[COIL_ADOPTION_TEXT_BYTES] = "";
    coil_child_records records = {NULL, 0};
    if (coil_child_records_parse(text, size, &records, reason) == 0) {
        check_again(&records);
        free(records.records);
    } else {
        COIL_CHECK(reason[0] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return 0;
    char *text = malloc(size + sizeof(EMPTY) + 16);
    if (text == NULL)
        return 0;
    if (bytes[0] == 0) {
        memcpy(text, bytes + 1, size - 1);
        read_file(text, size - 1);
    } else {
        const size_t head_bytes = sizeof(EMPTY) - 1;
        memcpy(text, EMPTY, head_bytes);
        memcpy(text + head_bytes, bytes + 1, size - 1);
        const size_t body_bytes = head_bytes + size - 1;
        const uint32_t sum = sum_of((const uint8_t *)text, body_bytes);
        static const char digits[] = "0123456789abcdef";
        char *end = text + body_bytes;
        memcpy(end, "end ", 4);
        for (int i = 0; i < 8; i++)
            end[4 + i] = digits[sum >> (28 - 4 * i) & 15];
        end[12] = '\n';
        read_file(text, body_bytes + 13);
    }
    free(text);
    return 0;
}
