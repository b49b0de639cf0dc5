/* SPDX-License-Identifier: MIT */
#include "greetings.h"

#include <coil/sugar.h>

coil_define(int, greetings_give, (greetings *) all, (coil_stream *) peer)
{
    vars(uint32_t number; coil_slice in; int rc);

    defer(coil_stream_close(peer));
    defer(coil_slice_release(&my->in));
    my->number = all->next_number++;
    if (corpus_chance(30))
        await(coil_sleep(corpus_moment(coil_ms(3))));
    await(my->rc, coil_write_all(peer, coil_bytes(&my->number, sizeof(my->number))));
    if (my->rc == 0)
        all->sent[my->number]++;
    await(my->in, coil_read_some(peer)); /* Until the client goes. */
    return my->rc;
}

coil_define(int, greetings_take, (greetings *) all, (coil_stream *) peer)
{
    vars(uint32_t number; ssize_t count);

    attempt(my->count, coil_read_exact(peer, &my->number, sizeof(my->number)));
    if (my->count == 0)
        return -ENODATA;
    corpus_expect(my->number < all->next_number, "nobody is greeted by %u", my->number);
    corpus_expect(all->received[my->number]++ == 0, "two are greeted by %u", my->number);
    return 0;
}

unsigned greetings_count(const greetings *all)
{
    unsigned count = 0;
    for (unsigned i = 0; i < all->next_number; i++)
        count += all->received[i];
    return count;
}
