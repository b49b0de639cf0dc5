/* SPDX-License-Identifier: MIT */
/* The operations that move bytes: read, write, recv, send and their kin. */
#ifndef SIM_TRANSFER_H
#define SIM_TRANSFER_H

#include "request.h"

/* Where the bytes are, in the memory of the process: NULL and 0 if buffers are provided. */
const struct iovec *transfer_parts(const sim_request *request, unsigned *out_count);

extern const sim_operation transfer_read;
extern const sim_operation transfer_write;
extern const sim_operation transfer_readv;
extern const sim_operation transfer_writev;
extern const sim_operation transfer_read_multishot;
extern const sim_operation transfer_recv;
extern const sim_operation transfer_send;
extern const sim_operation transfer_recvmsg;
extern const sim_operation transfer_sendmsg;

#endif
