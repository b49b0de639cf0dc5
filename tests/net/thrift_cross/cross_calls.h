/* SPDX-License-Identifier: MIT */
/* cross_calls.h - all that a client of Apache Thrift's cross tests calls, and what it expects. */
#ifndef CROSS_CALLS_H
#define CROSS_CALLS_H

#include <coil/thrift_service.h>

/* Call everything once. How many results were not as they should be; each has been said. */
coil_declare(int, cross_call_everything, (coil_thrift_channel *) channel, (unsigned) binary_max);

/* The method of the other service, over a connection that tells services apart. As above. */
coil_declare(int, cross_call_second_service, (coil_thrift_channel *) channel);

#endif
