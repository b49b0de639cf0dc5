/* SPDX-License-Identifier: MIT */
/* coil/coil.h - everything, for small programs. Larger ones include what they use. */
#ifndef COIL_COIL_H
#define COIL_COIL_H

#include <coil/acceptor.h>
#include <coil/address.h>
#include <coil/barrier.h>
#include <coil/base.h>
#include <coil/broadcast.h>
#include <coil/buffer.h>
#include <coil/channel.h>
#include <coil/check.h>
#include <coil/child.h>
#include <coil/condition.h>
#include <coil/coro.h>
#include <coil/debug.h>
#include <coil/dump.h>
#include <coil/error.h>
#include <coil/event.h>
#include <coil/fb303.h>
#include <coil/fb303_service.h>
#include <coil/future.h>
#include <coil/group.h>
#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/latch.h>
#include <coil/list.h>
#include <coil/listener.h>
#include <coil/loader.h>
#include <coil/local.h>
#include <coil/loop.h>
#include <coil/mutex.h>
#include <coil/once.h>
#include <coil/queue.h>
#include <coil/rate_limiter.h>
#include <coil/receiver.h>
#include <coil/rwlock.h>
#include <coil/sched.h>
#include <coil/select.h>
#include <coil/semaphore.h>
#include <coil/signal.h>
#include <coil/spawn.h>
#include <coil/stream.h>
#include <coil/task.h>
#include <coil/thrift.h>
#include <coil/thrift_client.h>
#include <coil/thrift_server.h>
#include <coil/time.h>
#include <coil/timeout.h>
#include <coil/timer.h>
#include <coil/trace.h>
#include <coil/waiter.h>
#include <coil/watch.h>
#include <coil/watchdog.h>

#endif
