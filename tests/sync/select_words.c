/* SPDX-License-Identifier: MIT */
#include "select_words.h"

#include <coil/sugar.h>

coil_define(int, square_until_stopped, (switchboard *) board)
{
    vars(int which; int count; job next; int square);

    for (;;) {
        attempt(my->which, coil_select_in_order(coil_wait_until_set(&board->stop),
                                   coil_receive_from(&board->jobs, &my->next)));
        if (my->which == 0)
            return my->count;
        my->square = my->next.number * my->next.number;
        attempt(my->which, coil_select(coil_send_to(&board->results, &my->square),
                                   coil_wait_until_set(&board->stop)));
        if (my->which == 1)
            return my->count;
        my->count++;
    }
}

coil_define(int, sum_both, (int_channel *) odd, (int_channel *) even, (int *) sum)
{
    vars(int which; int number; int rc[2]);

    for (;;) {
        attempt(my->which, coil_select(coil_select_if(my->rc[0] == 0,
                                               coil_receive_from(odd, &my->number, &my->rc[0])),
                                   coil_select_if(my->rc[1] == 0,
                                           coil_receive_from(even, &my->number, &my->rc[1]))));
        if (my->rc[my->which] == 0)
            *sum += my->number;
    }
}

coil_define(
        int, wait_for_anything, (switchboard *) board, (coil_duration) limit, (outcome *) out_outcome)
{
    vars(coil_subscriber me; uint64_t seen; job next; int number; int which; int rc);

    coil_broadcast_subscribe(&board->news, &my->me);
    defer(coil_broadcast_unsubscribe(&my->me));
    my->seen = coil_watch_version(&board->level);
    my->number = 77;
    my->rc = 1;
    await(my->which,
            within(limit, coil_select(coil_receive_from(&board->jobs, &my->next, &my->rc),
                                  coil_send_to(&board->results, &my->number, &my->rc),
                                  coil_get_from(&board->queue, &my->number, &my->rc),
                                  coil_hear_from(&board->news, &my->me, &my->number, &my->rc),
                                  coil_change_of(&board->level, &my->seen, &my->rc),
                                  coil_wait_until_set(&board->stop),
                                  coil_select_if(false, coil_put_to(&board->queue, &my->number)))));
    if (my->which == 0)
        my->number = my->next.number;
    if (my->which == 4)
        my->number = *coil_watch_borrow(&board->level);
    *out_outcome = (outcome){my->which, my->rc, my->number};
    return 0;
}

int anything_now(switchboard *board, int *out_number)
{
    job next = {0};
    int which = coil_select_try(coil_receive_from(&board->jobs, &next),
            coil_get_from(&board->queue, out_number), coil_wait_until_set(&board->stop));
    if (which == 0)
        *out_number = next.number;
    return which;
}

int offer_literals(switchboard *board)
{
    int rc = coil_channel_try_send(&board->jobs, &((job){4, "four"}));
    if (rc == 0)
        rc = coil_queue_try_put(&board->queue, &(int){5});
    if (rc == 0)
        rc = coil_watch_set(&board->level, &(int){6});
    return rc == 0 ? coil_broadcast_try_send(&board->news, &(int){7}) : rc;
}
