/* SPDX-License-Identifier: MIT */
/* The operations of coil/io.h on files and names, which a thread of the kernel may have to do. */
#include <coil/io.h>

#include "loop_private.h"

#include <errno.h>

static void prepare_openat(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_openat__args *a = OP_ARGUMENTS(coil_openat, op);
    io_uring_prep_openat(sqe, a->directory, a->path, a->flags | O_CLOEXEC, a->mode);
}
OP_WORKER_LEAF(coil_openat, prepare_openat);

static void prepare_fsync(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_fsync__args *a = OP_ARGUMENTS(coil_fsync, op);
    io_uring_prep_fsync(sqe, 0, a->data_only ? IORING_FSYNC_DATASYNC : 0);
    op_set_fd(sqe, a->fd);
}
OP_WORKER_LEAF(coil_fsync, prepare_fsync);

static void prepare_statx(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_statx__args *a = OP_ARGUMENTS(coil_statx, op);
    io_uring_prep_statx(sqe, a->directory, a->path, a->flags, a->mask, a->out_status);
}
OP_WORKER_LEAF(coil_statx, prepare_statx);

static void prepare_fallocate(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_fallocate__args *a = OP_ARGUMENTS(coil_fallocate, op);
    io_uring_prep_fallocate(sqe, 0, a->mode, (uint64_t)a->offset, (uint64_t)a->size_bytes);
    op_set_fd(sqe, a->fd);
}
OP_WORKER_LEAF(coil_fallocate, prepare_fallocate);

static void prepare_ftruncate(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_ftruncate__args *a = OP_ARGUMENTS(coil_ftruncate, op);
    io_uring_prep_ftruncate(sqe, 0, a->size_bytes);
    op_set_fd(sqe, a->fd);
}
OP_WORKER_LEAF(coil_ftruncate, prepare_ftruncate);

/* ----------------------------------------------------------------------------------- names -- */

static void prepare_renameat(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_renameat__args *a = OP_ARGUMENTS(coil_renameat, op);
    io_uring_prep_renameat(sqe, a->from_directory, a->from, a->to_directory, a->to, a->flags);
}
OP_WORKER_LEAF(coil_renameat, prepare_renameat);

static void prepare_linkat(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_linkat__args *a = OP_ARGUMENTS(coil_linkat, op);
    io_uring_prep_linkat(sqe, a->from_directory, a->from, a->to_directory, a->to, a->flags);
}
OP_WORKER_LEAF(coil_linkat, prepare_linkat);

static void prepare_symlinkat(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_symlinkat__args *a = OP_ARGUMENTS(coil_symlinkat, op);
    io_uring_prep_symlinkat(sqe, a->target, a->directory, a->path);
}
OP_WORKER_LEAF(coil_symlinkat, prepare_symlinkat);

static void prepare_unlinkat(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_unlinkat__args *a = OP_ARGUMENTS(coil_unlinkat, op);
    io_uring_prep_unlinkat(sqe, a->directory, a->path, a->flags);
}
OP_WORKER_LEAF(coil_unlinkat, prepare_unlinkat);

static void prepare_mkdirat(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_mkdirat__args *a = OP_ARGUMENTS(coil_mkdirat, op);
    io_uring_prep_mkdirat(sqe, a->directory, a->path, a->mode);
}
OP_WORKER_LEAF(coil_mkdirat, prepare_mkdirat);
