/* SPDX-License-Identifier: MIT */
/*
 * lexer.h - the words of Thrift's interface definition language.
 *
 * Keywords are identifiers here: whether `list` is the name of a field is known to the parser only.
 */
#ifndef IDL_LEXER_H
#define IDL_LEXER_H

#include "source.h"

typedef enum idl_token_kind {
    IDL_TOKEN_END,
    IDL_TOKEN_IDENTIFIER, /* With dots: shop.Prize. */
    IDL_TOKEN_INTEGER,
    IDL_TOKEN_DOUBLE,
    IDL_TOKEN_LITERAL,
    IDL_TOKEN_SYMBOL, /* One character: see `symbol`. */
    IDL_TOKEN_BAD,    /* Has been reported. */
} idl_token_kind;

typedef struct idl_token {
    idl_token_kind kind;
    idl_place place;
    const char *doc; /* The documentation comment before it, without its stars; NULL. */
    char symbol;
    int64_t integer;
    double real;
    const char *text; /* Of an identifier; of a literal without quotes and escapes. Terminated. */
    size_t text_size; /* A literal may contain zeros. */
} idl_token;

typedef struct idl_lexer {
    const idl_source *source;
    uint32_t offset;
    const char *program_doc; /* A documentation comment before anything else. */
    bool has_begun;
} idl_lexer;

void idl_lexer_begin(idl_lexer *lexer, const idl_source *source);
idl_token idl_lexer_next(idl_lexer *lexer);

#endif
