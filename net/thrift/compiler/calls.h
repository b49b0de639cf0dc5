/* SPDX-License-Identifier: MIT */
/*
 * calls.h - the structs that the wire has for each function of a service and that the language does
 * not name: its arguments, and what it comes to.
 *
 *     i32 buy(1: i32 item) throws (1: SoldOut gone)
 *
 *     struct Shop_buy_arguments { 1: i32 item }
 *     struct Shop_buy_result { 0: optional i32 success, 1: optional SoldOut gone }
 */
#ifndef IDL_CALLS_H
#define IDL_CALLS_H

#include "syntax.h"

/* Add them to the definitions of a document that has been resolved, before its services. */
void idl_add_calls(idl_document *document);

/* "shop_Shop_buy": the coroutine that calls it, and how the names of its structs begin. */
const char *idl_function_name(const idl_definition *service, const idl_function *function);

/* "buy": in a table of handlers. */
const char *idl_handler_name(const idl_function *function);

#endif
