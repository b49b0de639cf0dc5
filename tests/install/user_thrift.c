/* SPDX-License-Identifier: MIT */
/* A service that extends an interface which comes with Coil, and its client. */
#include <coil/coil.h>
#include <coil/sugar.h>

#include <stdio.h>

#include "shop_thrift.h"

async(int, buy, (shop_Shop_buy_call *) call)
{
    vars();
    call->result.gone.item = call->arguments.item;
    call->result.has.gone = true;
    return 0;
}

static const shop_Shop_handlers handlers = {.buy = shop_Shop_buy_handler(buy)};

async(int, use, (const char *) address)
{
    vars(coil_thrift_pool *pool; coil_arena arena; shop_Shop_buy_result bought; int rc;
            fb303_FacebookService_getStatus_result status);

    int rc = coil_thrift_pool_create(coil_loop_current(), address, NULL, &my->pool);
    if (rc < 0)
        return rc;
    defer(coil_thrift_pool_destroy(my->pool));
    coil_arena_init(&my->arena, 1024 * 1024);
    defer(coil_arena_fini(&my->arena));
    await(my->rc, shop_Shop_buy(coil_thrift_pool_channel(my->pool),
                          (shop_Shop_buy_arguments){.item = coil_thrift_text_of("chair")},
                          &my->arena, &my->bought));
    if (my->rc != -EREMOTEIO || !coil_thrift_text_is(my->bought.gone.item, "chair"))
        return -EINVAL;
    attempt(fb303_FacebookService_getStatus(
            coil_thrift_pool_channel(my->pool), &my->arena, &my->status));
    return my->status.success == fb303_fb_status_ALIVE ? 0 : -EINVAL;
}

async(int, serve_and_use)
{
    vars(shop_Shop shop; coil_thrift_service *services[1]; coil_thrift_server server;
            coil_listener *listener; coil_group group; char address[COIL_ADDRESS_TEXT_BYTES]);

    int rc = coil_listen("127.0.0.1:0", NULL, &my->listener);
    if (rc < 0)
        return rc;
    defer(coil_listener_close(my->listener));
    coil_address_format(coil_listener_address(my->listener), my->address);
    shop_Shop_init(&my->shop, &handlers);
    my->services[0] = &my->shop.service;
    my->server.services = my->services;
    my->server.service_count = 1;
    open_group(&my->group);
    spawn(&my->group, coil_thrift_serve(my->listener, &my->server));
    attempt(use(my->address));
    return 0;
}

int main(void)
{
    return coil_run(serve_and_use()) < 0;
}
