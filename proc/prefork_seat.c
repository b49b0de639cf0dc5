/* SPDX-License-Identifier: MIT */
/* The other side: a worker of a master. */
#include "prefork_private.h"
#include "worker_wire.h"

#include <coil/call.h>
#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <stdlib.h>

struct coil_seat {
    prefork_heritage heritage;
    int control;
    bool is_leaving;
    prefork_page *page; /* NULL: none. */
    coil_call beat;
    char word;
};

int coil_seat_take(coil_seat **out_seat)
{
    coil_seat *seat = calloc(1, sizeof(*seat));

    if (seat == NULL)
        return -ENOMEM;
    seat->control = PREFORK_CONTROL_FD;
    const int rc = prefork_inherit(PREFORK_WORKER_VARIABLE, &seat->heritage);
    if (rc <= 0) {
        free(seat);
        return rc;
    }
    *out_seat = seat;
    return 1;
}

int coil_seat_socket(coil_seat *seat, const char *name)
{
    return prefork_take_socket(&seat->heritage, name);
}

unsigned coil_seat_number(const coil_seat *seat)
{
    return seat->heritage.number;
}

unsigned coil_seat_generation(const coil_seat *seat)
{
    return seat->heritage.generation;
}

static void beat(coil_call *call)
{
    const coil_seat *seat = coil_container_of(call, coil_seat, beat);
    __atomic_store_n(&seat->page->beat, coil_kernel_now(), __ATOMIC_RELAXED);
}

/* The page that goes with the word; or without one, if there is none. */
static int make_page(coil_seat *seat)
{
    void *memory = NULL;
    const int fd = worker_page_make("coil-seat", &memory);

    seat->page = memory;
    if (memory != NULL)
        beat(&seat->beat);
    return fd;
}

int coil_seat_ready(coil_seat *seat)
{
    const char word = PREFORK_READY;

    COIL_CHECK(seat->page == NULL); /* Once. */
    coil_call_init(&seat->beat, beat);
    const int fd = make_page(seat);
    int rc = worker_send_now(seat->control, &word, sizeof(word), NULL, 0, fd);
    if (fd >= 0)
        (void)coil_kernel_close(fd);
    if (rc == 0 && seat->page != NULL && seat->heritage.beat_ms > 0)
        coil_call_every(coil_loop_current(), &seat->beat, coil_ms(seat->heritage.beat_ms));
    return rc == -ECONNRESET ? -EPIPE : rc;
}

void coil_seat_set_load(coil_seat *seat, unsigned load)
{
    if (seat->page != NULL)
        __atomic_store_n(&seat->page->load, load, __ATOMIC_RELAXED);
}

coil_define(int, coil_seat_leaving, (coil_seat *) seat)
{
    coil_vars(ssize_t count);

    if (!seat->is_leaving)
        coil_await(my->count, coil_recv(seat->control, &seat->word, sizeof(seat->word), 0));
    seat->is_leaving = true;
    return 0;
}

void coil_seat_release(coil_seat *seat)
{
    if (seat == NULL)
        return;
    if (seat->page != NULL) {
        coil_call_cancel(&seat->beat);
        coil_kernel_memory_unmap(seat->page, WORKER_PAGE_BYTES);
    }
    prefork_close_heritage(&seat->heritage);
    (void)coil_kernel_close(seat->control);
    free(seat);
}
