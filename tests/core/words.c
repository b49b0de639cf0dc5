/* SPDX-License-Identifier: MIT */
/*
 * Every word of the language once, in C and C++ alike: with all our warnings on this compiles
 * silently (tests/core/misuse), and it does what it says (task_test.cc).
 */
#include "words.h"

#include <errno.h>

#include <coil/sugar.h>

#ifndef __cplusplus
enum words_color { WORDS_RED, WORDS_GREEN };
typedef enum words_color words_color;
#else
enum words_color : int { WORDS_RED, WORDS_GREEN };
#endif

coil_define(int, words_sum, (int) first, (int) second)
{
    vars();
    await(coil_yield());
    return first + second;
}

coil_define(struct words_text, words_reply, (const char *) text, (coil_duration) after)
{
    vars(struct words_text reply);
    await(coil_sleep(after));
    snprintf(my->reply.text, sizeof(my->reply.text), "%s", text);
    my->reply.status = (int64_t)strlen(my->reply.text);
    return my->reply;
}

async(void, nothing)
{
    vars();
}

async(unsigned, counts, (unsigned) to)
{
    vars(unsigned i);
    for (my->i = 0; my->i < to; my->i++)
        await(coil_yield());
    return my->i;
}

async(size_t, measures, (const char *) text)
{
    vars();
    return strlen(text);
}

async(words_color, paints, (bool) green)
{
    vars();
    return green ? WORDS_GREEN : WORDS_RED;
}

async(const char *, names, (const char *const *) list, (size_t) index)
{
    vars();
    return list[index];
}

async(bool, decides, (double) x, (float) y)
{
    vars();
    return x < (double)y;
}

async(float, halves, (float) x)
{
    vars();
    return x / 2.0F;
}

async(int64_t, fails, (int) error)
{
    vars();
    return -error;
}

/* attempt takes every integer, and a struct that begins with its status; so does its coroutine. */
async(int, tries_integers)
{
    vars(unsigned u; size_t size; bool b; words_color color; short narrow; int64_t wide);
    attempt(counts(1));
    attempt(my->u, counts(2));
    attempt(my->size, measures("four"));
    attempt(my->b, decides(1.0, 2.0F));
    attempt(my->color, paints(true));
    attempt(my->wide, fails(0));
    if (my->u != 2 || my->size != 4 || !my->b || my->color != WORDS_GREEN || my->wide != 0)
        return 1;
    /* The error is seen although the destination is unsigned. */
    attempt(my->size, fails(EIO));
    return 2;
}

async(struct words_text, tries_replies, (int) error)
{
    vars(struct words_text reply);
    attempt(my->reply, words_reply("hello", coil_ms(1)));
    attempt(fails(error));
    return my->reply;
}

async(short, tries_in_a_narrow_coroutine)
{
    vars();
    attempt(fails(ENOENT));
    return 1;
}

async(int, joins, (int *) score)
{
    vars(coil_group group; int64_t results[2]; coil_task *task; int rc);
    open_group(&my->group);
    spawn(&my->group, words_sum(1, 2));
    my->task = spawn(&my->group, within(coil_ms(5), shield(within(coil_ms(1), words_sum(3, 4)))));
    coil_spawn_result(&my->group, &my->results[0], words_sum(5, 6));
    coil_spawn_result(&my->group, &my->results[1], within(coil_ms(1), words_sum(7, 8)));
    await(my->rc, coil_group_join(&my->group));
    *score += (int)(my->results[0] + my->results[1]);
    return my->rc;
}

static int leaves(int *score)
{
    *score += 100;
    return 0;
}

coil_define(void, words_all, (int *) score)
{
    vars(int rc; int i; struct words_text reply; struct words_text replies[2]; const char *name;
            float half);
    static const char *const list[] = {"a", "b"};
    defer((void)leaves(score));
    defer(await(nothing()); for (my->i = 0; my->i < 2; my->i++) {
        await(within(coil_ms(1), coil_yield()));
        *score += 10;
    });

    await(nothing());
    ignore(words_sum(1, 2));
    await(my->rc, words_sum(*score, 1));
    *score = my->rc;
    await(within(coil_ms(5), within(coil_ms(6), nothing())));
    await(shield(until(COIL_NEVER, within(coil_ms(5), nothing()))));
    await(my->name, names(list, 1));
    *score += my->name[0] == 'b';
    await(my->half, halves(1.0F));

    switch (my->rc) {
    case 1:
        await(my->rc, tries_integers());
        *score += my->rc == -EIO;
        break;
    default:
        ignore(within(coil_ms(1), nothing()));
    }
    my->i = 0;
    await(my->replies[my->i++], tries_replies(0));
    await(my->replies[my->i++], tries_replies(EPIPE));
    *score += my->i == 2 && my->replies[0].status == 5 && my->replies[1].status == -EPIPE;
    await(my->reply, within(coil_ms(1), words_reply("late", coil_ms(2))));
    *score += my->reply.status == -ETIME && my->reply.text[0] == '\0';
    await(my->rc, tries_in_a_narrow_coroutine());
    *score += my->rc == -ENOENT;
    if (my->rc != 0)
        await(my->rc, joins(score));
    else
        await(nothing());
    if (coil_self == NULL)
        return;
    /* clang-format off */
    await(coil_yield()); await(coil_yield());
    /* clang-format on */
}
