/* SPDX-License-Identifier: MIT */
/*
 * coro_fuzz_draws.h - two eager leaves that come to their result in every way that there is: at
 * once, on a frame that they make, after a while, woken, or fed as a receiver feeds its reader.
 */
#ifndef CORO_FUZZ_DRAWS_H
#define CORO_FUZZ_DRAWS_H

#include <coil/coro.h>

enum draw_way {
    DRAW_AT_ONCE,
    DRAW_BY_STEP,  /* Begin leaves all of it to the step function. */
    DRAW_ON_FRAME, /* Makes itself a frame, and has its result after all. */
    DRAW_LATER,    /* Makes itself a frame, and waits. */
    DRAW_WAYS,
};

/* How it goes about it, for so long if it waits. */
typedef struct draw_plan {
    unsigned way;        /* A draw_way. */
    bool is_fed;         /* What ends the wait takes the leaf off the stack, if it may. */
    uint16_t push_bytes; /* Which it needs besides its frame. */
    coil_duration duration;
} draw_plan;

/* The result lies where the arguments were. */
typedef struct drawn {
    int64_t number;
    int64_t same;
} drawn;

coil_turn begin_draws(coil_task *task, coil_frame *leaf);
coil_turn begin_takes(coil_task *task, coil_frame *leaf);

/* Result: `number`, twice. */
coil_declare_eager_leaf(drawn, draws, begin_draws, (draw_plan) plan, (int64_t) number);

/* Result: `number`. */
coil_declare_eager(int, takes, begin_takes, (draw_plan) plan, (int) number);

#endif
