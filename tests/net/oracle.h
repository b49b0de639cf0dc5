/* SPDX-License-Identifier: MIT */
/*
 * What coil-thrift would make of
 *
 *     exception Refusal { 1: string why }
 *     service Oracle {
 *       string ask(1: string question) throws (1: Refusal refusal)
 *       string look(1: string question) throws (1: Refusal refusal) (idempotent)
 *       void rest()
 *       oneway void tell(1: string question)
 *     }
 *
 * by hand, so that what carries calls is tested without the generator.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <coil/thrift_service.h>

COIL_BEGIN_DECLS

typedef struct oracle_refusal {
    coil_thrift_text why;
    uint32_t has;
} oracle_refusal;

typedef struct oracle_question {
    coil_thrift_text question;
    uint32_t has;
} oracle_question;

typedef struct oracle_answer {
    coil_thrift_text success;
    oracle_refusal refusal;
    uint32_t has; /* 1: success, 2: refusal. */
} oracle_answer;

typedef struct oracle_nothing {
    uint32_t has;
} oracle_nothing;

extern const coil_thrift_method_schema oracle_ask;
extern const coil_thrift_method_schema oracle_look;
extern const coil_thrift_method_schema oracle_rest;
extern const coil_thrift_method_schema oracle_tell;

COIL_END_DECLS

#endif
