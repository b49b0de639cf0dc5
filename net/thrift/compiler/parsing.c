/* SPDX-License-Identifier: MIT */
#include "parsing.h"

#include "memory.h"

#include <string.h>

/* What a token looks like, for messages. */
static const char *token_text(const idl_token *token)
{
    switch (token->kind) {
    case IDL_TOKEN_END:
        return "the end of the file";
    case IDL_TOKEN_LITERAL:
        return "a string";
    case IDL_TOKEN_SYMBOL:
        return idl_format("'%c'", token->symbol);
    default:
        return idl_format("'%s'", token->text == NULL ? "?" : token->text);
    }
}

void idl_lose(idl_parser *self, const char *expected)
{
    if (!self->is_lost && self->token.kind != IDL_TOKEN_BAD)
        idl_error(self->token.place, "expected %s, found %s", expected, token_text(&self->token));
    self->is_lost = true;
}

void idl_advance(idl_parser *self)
{
    self->last = self->token.place;
    self->token = idl_lexer_next(&self->lexer);
}

bool idl_at_symbol(const idl_parser *self, char symbol)
{
    return self->token.kind == IDL_TOKEN_SYMBOL && self->token.symbol == symbol;
}

bool idl_at_word(const idl_parser *self, const char *word)
{
    return self->token.kind == IDL_TOKEN_IDENTIFIER && strcmp(self->token.text, word) == 0;
}

bool idl_take_symbol(idl_parser *self, char symbol)
{
    if (self->is_lost || !idl_at_symbol(self, symbol))
        return false;
    idl_advance(self);
    return true;
}

bool idl_take_word(idl_parser *self, const char *word)
{
    if (self->is_lost || !idl_at_word(self, word))
        return false;
    idl_advance(self);
    return true;
}

bool idl_expect_symbol(idl_parser *self, char symbol)
{
    if (idl_take_symbol(self, symbol))
        return true;
    idl_lose(self, idl_format("'%c'", symbol));
    return false;
}

void idl_skip_separator(idl_parser *self)
{
    if (!idl_take_symbol(self, ','))
        idl_take_symbol(self, ';');
}

const char *idl_expect_identifier(idl_parser *self, const char *what)
{
    if (self->is_lost || self->token.kind != IDL_TOKEN_IDENTIFIER) {
        idl_lose(self, what);
        return NULL;
    }
    const char *text = self->token.text;
    idl_advance(self);
    return text;
}

const char *idl_expect_name(idl_parser *self, const char *what)
{
    const char *name = idl_expect_identifier(self, what);

    if (name != NULL && strchr(name, '.') != NULL)
        idl_error(self->last, "the name of what is defined has no dots: '%s'", name);
    return name;
}

const char *idl_expect_literal(idl_parser *self, const char *what)
{
    if (self->is_lost || self->token.kind != IDL_TOKEN_LITERAL) {
        idl_lose(self, what);
        return NULL;
    }
    const char *text = self->token.text;
    if (memchr(text, '\0', self->token.text_size) != NULL)
        idl_error(self->token.place, "a zero byte in %s", what);
    idl_advance(self);
    return text;
}

bool idl_has_more(const idl_parser *self, char end)
{
    return !self->is_lost && self->token.kind != IDL_TOKEN_END && !idl_at_symbol(self, end);
}
