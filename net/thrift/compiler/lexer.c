/* SPDX-License-Identifier: MIT */
#include "lexer.h"

#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void idl_lexer_begin(idl_lexer *lexer, const idl_source *source)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    static const idl_lexer nothing;

    *lexer = nothing;
    lexer->source = source;
    if (strncmp(source->text, byte_order_mark, 3) == 0)
        lexer->offset = 3;
}

static char character(const idl_lexer *lexer, uint32_t ahead)
{
    const uint32_t offset = lexer->offset + ahead;

    if (offset >= lexer->source->size)
        return '\0';
    return lexer->source->text[offset];
}

static idl_place place_from(const idl_lexer *lexer, uint32_t offset)
{
    const idl_place place = {lexer->source, offset, lexer->offset - offset};
    return place;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

/* One line of a comment, without white space at its ends and the star at its beginning. */
static void append_doc_line(char **end, const char *line, size_t size)
{
    while (size > 0 && is_space(line[size - 1]))
        size--;
    while (size > 0 && (is_space(*line) || *line == '*')) {
        const bool is_star = *line == '*';
        line++;
        size--;
        if (is_star) {
            if (size > 0 && *line == ' ') {
                line++;
                size--;
            }
            break;
        }
    }
    memcpy(*end, line, size);
    *end += size;
    *(*end)++ = '\n';
}

/* The text of a comment, between its first and its last line that say something. */
static const char *doc_of(const char *text, size_t size)
{
    char *doc = idl_allocate(size + 2);
    char *end = doc;

    while (size > 0) {
        const char *newline = memchr(text, '\n', size);
        const size_t line_size = newline == NULL ? size : (size_t)(newline - text);
        append_doc_line(&end, text, line_size);
        size -= newline == NULL ? line_size : line_size + 1;
        text += newline == NULL ? line_size : line_size + 1;
    }
    while (end > doc && end[-1] == '\n')
        *--end = '\0';
    return doc + strspn(doc, "\n");
}

/* At its opening. Its text, if it is documentation. */
static const char *skip_block_comment(idl_lexer *lexer)
{
    const char *begin = lexer->source->text + lexer->offset;
    const bool is_doc = begin[2] == '*' && begin[3] != '/';
    const char *end = memmem(begin + 2, lexer->source->size - lexer->offset - 2, "*/", 2);

    if (end == NULL) {
        lexer->offset += 2;
        idl_error(place_from(lexer, lexer->offset - 2), "this comment has no end");
        lexer->offset = (uint32_t)lexer->source->size;
        return NULL;
    }
    lexer->offset += (uint32_t)(end - begin) + 2;
    return is_doc ? doc_of(begin + 3, (size_t)(end - begin) - 3) : NULL;
}

static void skip_line(idl_lexer *lexer)
{
    while (lexer->offset < lexer->source->size && character(lexer, 0) != '\n')
        lexer->offset++;
}

/* To the next word. The last documentation comment on the way. */
static const char *skip_blanks(idl_lexer *lexer)
{
    const char *doc = NULL;

    for (;;) {
        const char c = character(lexer, 0);
        if (c == '#' || (c == '/' && character(lexer, 1) == '/')) {
            skip_line(lexer);
        } else if (c == '/' && character(lexer, 1) == '*') {
            const char *found = skip_block_comment(lexer);
            if (found != NULL && !lexer->has_begun && lexer->program_doc == NULL)
                lexer->program_doc = found;
            doc = found != NULL ? found : doc;
        } else if (is_space(c)) {
            lexer->offset++;
        } else {
            return doc;
        }
    }
}

static void scan_identifier(idl_lexer *lexer, idl_token *token)
{
    const uint32_t begin = lexer->offset;

    token->kind = IDL_TOKEN_IDENTIFIER;
    while (is_letter(character(lexer, 0)) || is_digit(character(lexer, 0)) ||
            (character(lexer, 0) == '.' &&
                    (is_letter(character(lexer, 1)) || is_digit(character(lexer, 1))))) {
        lexer->offset++;
    }
    token->text_size = lexer->offset - begin;
    token->text = idl_copy(lexer->source->text + begin, token->text_size);
}

static void skip_digits(idl_lexer *lexer)
{
    while (is_digit(character(lexer, 0)))
        lexer->offset++;
}

static bool skip_exponent(idl_lexer *lexer)
{
    const char c = character(lexer, 0);
    const uint32_t sign = character(lexer, 1) == '+' || character(lexer, 1) == '-';

    if ((c != 'e' && c != 'E') || !is_digit(character(lexer, 1 + sign)))
        return false;
    lexer->offset += 1 + sign;
    skip_digits(lexer);
    return true;
}

static bool skip_fraction(idl_lexer *lexer)
{
    if (character(lexer, 0) != '.' || !is_digit(character(lexer, 1)))
        return false;
    lexer->offset++;
    skip_digits(lexer);
    return true;
}

/* Hexadecimal numbers are bit patterns up to 64 bits, as elsewhere: 0xffffffffffffffff is -1. */
static int parse_integer(const char *text, bool is_hex, int64_t *out_integer)
{
    errno = 0;
    if (is_hex) {
        const bool is_negative = *text == '-';
        const uint64_t bits = strtoull(text + (*text == '-' || *text == '+'), NULL, 16);
        *out_integer = (int64_t)(is_negative ? 0 - bits : bits);
    } else {
        *out_integer = strtoll(text, NULL, 10);
    }
    return -errno;
}

static void scan_number(idl_lexer *lexer, idl_token *token)
{
    const uint32_t begin = lexer->offset;
    bool is_real = false;
    bool is_hex = false;

    if (character(lexer, 0) == '+' || character(lexer, 0) == '-')
        lexer->offset++;
    if (character(lexer, 0) == '0' && (character(lexer, 1) == 'x' || character(lexer, 1) == 'X') &&
            is_hex_digit(character(lexer, 2))) {
        is_hex = true;
        lexer->offset += 2;
        while (is_hex_digit(character(lexer, 0)))
            lexer->offset++;
    } else {
        skip_digits(lexer);
        is_real = skip_fraction(lexer);
        is_real = skip_exponent(lexer) || is_real;
    }
    token->text = idl_copy(lexer->source->text + begin, lexer->offset - begin);
    token->kind = is_real ? IDL_TOKEN_DOUBLE : IDL_TOKEN_INTEGER;
    if (is_real) {
        token->real = strtod(token->text, NULL);
    } else if (parse_integer(token->text, is_hex, &token->integer) < 0) {
        idl_error(place_from(lexer, begin), "%s does not fit 64 bits", token->text);
    }
}

/* A backslash and what follows. 0: nothing of meaning. */
static char escaped(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case '"':
    case '\'':
    case '\\':
        return c;
    default:
        return '\0';
    }
}

static char take_escape(idl_lexer *lexer)
{
    const char meaning = escaped(character(lexer, 1));

    lexer->offset += 2;
    if (meaning == '\0') {
        const idl_place place = place_from(lexer, lexer->offset - 2);
        idl_error(place, "no such escape; there are \\n \\r \\t \\\" \\' \\\\");
    }
    return meaning;
}

static void scan_literal(idl_lexer *lexer, idl_token *token)
{
    const uint32_t begin = lexer->offset;
    const char quote = character(lexer, 0);

    token->kind = IDL_TOKEN_LITERAL;
    lexer->offset++;
    while (lexer->offset < lexer->source->size && character(lexer, 0) != quote)
        lexer->offset += character(lexer, 0) == '\\' ? 2 : 1;
    if (lexer->offset >= lexer->source->size) {
        lexer->offset = begin + 1;
        idl_error(place_from(lexer, begin), "this string has no end");
        lexer->offset = (uint32_t)lexer->source->size;
        token->kind = IDL_TOKEN_BAD;
        return;
    }
    const uint32_t end = lexer->offset;
    char *text = idl_allocate(end - begin);
    lexer->offset = begin + 1;
    while (lexer->offset < end) {
        const char c = character(lexer, 0);
        if (c == '\\') {
            text[token->text_size++] = take_escape(lexer);
        } else {
            text[token->text_size++] = c;
            lexer->offset++;
        }
    }
    lexer->offset = end + 1;
    token->text = text;
}

static void scan_symbol(idl_lexer *lexer, idl_token *token)
{
    const char c = character(lexer, 0);

    lexer->offset++;
    token->kind = IDL_TOKEN_SYMBOL;
    token->symbol = c;
    if (c != '\0' && strchr("{}()[]<>,;:=*&@", c) != NULL)
        return;
    token->kind = IDL_TOKEN_BAD;
    if (c > ' ' && c <= '~') {
        idl_error(place_from(lexer, lexer->offset - 1), "'%c' has no meaning here", c);
    } else {
        idl_error(place_from(lexer, lexer->offset - 1), "the byte 0x%02x has no meaning here",
                (unsigned char)c);
    }
}

static bool begins_number(const idl_lexer *lexer)
{
    const char c = character(lexer, 0);
    const uint32_t sign = c == '+' || c == '-';
    const char next = character(lexer, sign);

    return is_digit(next) || (next == '.' && is_digit(character(lexer, sign + 1)));
}

idl_token idl_lexer_next(idl_lexer *lexer)
{
    idl_token token = {.kind = IDL_TOKEN_END};

    token.doc = skip_blanks(lexer);
    const uint32_t begin = lexer->offset;
    lexer->has_begun = true;
    if (lexer->offset >= lexer->source->size) {
        token.place = place_from(lexer, begin);
        return token;
    }
    const char c = character(lexer, 0);
    if (is_letter(c)) {
        scan_identifier(lexer, &token);
    } else if (begins_number(lexer)) {
        scan_number(lexer, &token);
    } else if (c == '"' || c == '\'') {
        scan_literal(lexer, &token);
    } else {
        scan_symbol(lexer, &token);
    }
    token.place = place_from(lexer, begin);
    return token;
}
