/* SPDX-License-Identifier: MIT */
/*
 * parsing.h - what the parts of the parser have in common: one token after the other, and what may
 * stand in many places.
 *
 * After a mistake the parser is lost: nothing is taken any more, and no further mistake reported,
 * until it has found its way to the next definition.
 */
#ifndef IDL_PARSING_H
#define IDL_PARSING_H

#include "lexer.h"
#include "syntax.h"

typedef struct idl_parser {
    idl_lexer lexer;
    idl_document *document;
    idl_token token; /* The next one. */
    idl_place last;  /* The place of the one before. */
    bool is_lost;    /* An error has been reported: back to the definitions. */
    unsigned depth;
} idl_parser;

/* Report what stands here in place of what was `expected`, and be lost. */
void idl_lose(idl_parser *self, const char *expected);

void idl_advance(idl_parser *self);

bool idl_at_symbol(const idl_parser *self, char symbol);
bool idl_at_word(const idl_parser *self, const char *word);

/* Take it, if it is next. */
bool idl_take_symbol(idl_parser *self, char symbol);
bool idl_take_word(idl_parser *self, const char *word);
bool idl_expect_symbol(idl_parser *self, char symbol);

/* Commas and semicolons between things may be left out. */
void idl_skip_separator(idl_parser *self);

/* `what` is for the message. NULL after an error. */
const char *idl_expect_identifier(idl_parser *self, const char *what);
const char *idl_expect_literal(idl_parser *self, const char *what);

/* The name of something that is defined here, hence without dots. */
const char *idl_expect_name(idl_parser *self, const char *what);

/* Whether there is another thing before the closing `end`. */
bool idl_has_more(const idl_parser *self, char end);

/* (key = "value", key2), or nothing. */
idl_annotation *idl_parse_annotations(idl_parser *self);

/* Never NULL. */
idl_type *idl_parse_type(idl_parser *self);
idl_value *idl_parse_value(idl_parser *self);

#endif
