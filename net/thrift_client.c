/* SPDX-License-Identifier: MIT */
#include <coil/thrift_client.h>

#include <errno.h>
#include <stdlib.h>

struct coil_thrift_client {
    coil_stream *stream;
    coil_thrift_writer writer;
    coil_thrift_reader reply;
    coil_slice frame; /* What the reply is read from. */
    coil_thrift_exception exception;
    int32_t seqid;
    uint32_t unanswered_count; /* Calls whose replies have not come: ours, and abandoned ones. */
    bool is_borrowed;          /* The stream is somebody else's. */
    bool broken;               /* The peer and we do not agree about what has been said. */
};

int coil_thrift_client_create(coil_stream *stream, coil_thrift_client **out_client)
{
    coil_thrift_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return -ENOMEM;
    client->stream = stream;
    client->is_borrowed = true;
    coil_thrift_writer_init(&client->writer, NULL);
    *out_client = client;
    return 0;
}

coil_define(coil_thrift_client *, coil_thrift_connect, (const char *) address)
{
    coil_vars(coil_stream *stream; coil_thrift_client *client);

    coil_attempt(my->stream, coil_connect(address));
    int rc = coil_thrift_client_create(my->stream, &my->client);
    if (rc < 0) {
        coil_stream_close(my->stream);
        return coil_error_pointer(rc);
    }
    my->client->is_borrowed = false;
    return my->client;
}

bool coil_thrift_client_is_idle(const coil_thrift_client *client)
{
    return !client->broken && client->unanswered_count == 0;
}

void coil_thrift_client_close(coil_thrift_client *client)
{
    if (client == NULL)
        return;
    coil_slice_release(&client->frame);
    coil_thrift_writer_fini(&client->writer);
    if (!client->is_borrowed)
        coil_stream_close(client->stream);
    free(client);
}

coil_thrift_writer *coil_thrift_client_begin(coil_thrift_client *client, const char *method)
{
    coil_slice_release(&client->frame);
    coil_thrift_writer_reset(&client->writer);
    client->seqid = client->seqid == INT32_MAX ? 1 : client->seqid + 1;
    coil_thrift_message call = {
            .name = coil_thrift_text_of(method),
            .type = COIL_THRIFT_CALL,
            .seqid = client->seqid,
    };
    coil_thrift_writer_begin(&client->writer, &call);
    return &client->writer;
}

coil_thrift_reader *coil_thrift_client_reply(coil_thrift_client *client)
{
    return &client->reply;
}

const coil_thrift_exception *coil_thrift_client_exception(const coil_thrift_client *client)
{
    return &client->exception;
}

/* The type of a message stands in the fourth byte of its version, behind the frame's length. */
static void make_oneway(coil_thrift_writer *writer)
{
    writer->bytes[COIL_THRIFT_LENGTH_BYTES + 3] = COIL_THRIFT_ONEWAY;
}

/* Until the frame has left completely, the connection counts as broken. */
coil_async(int, send_frame, (coil_thrift_client *) client, (bool) oneway)
{
    coil_vars(int rc);
    coil_thrift_writer *writer = &client->writer;

    if (client->broken)
        return -ENOTCONN;
    coil_thrift_write_stop(writer);
    int size = coil_thrift_writer_finish(writer);
    if (size < 0)
        return size;
    if (oneway)
        make_oneway(writer);
    client->broken = true;
    coil_attempt(my->rc, coil_write_all(client->stream, coil_bytes(writer->bytes, writer->size)));
    client->broken = false;
    return 0;
}

coil_async(int, read_frame, (coil_thrift_client *) client)
{
    coil_vars(int size);

    coil_await(client->frame, coil_read_block(client->stream, COIL_THRIFT_LENGTH_BYTES));
    if (client->frame.size_bytes <= 0)
        return client->frame.size_bytes == 0 ? -ENOTCONN : (int)client->frame.size_bytes;
    my->size = coil_thrift_frame_size((const uint8_t *)client->frame.bytes, NULL);
    if (my->size < 0)
        return my->size;
    /* Header and frame are taken together, so that a cancellation in between loses neither. */
    int rc = coil_stream_unread_again(client->stream, &client->frame);
    if (rc < 0)
        return rc;
    coil_await(client->frame,
            coil_read_block(client->stream, COIL_THRIFT_LENGTH_BYTES + (size_t)my->size));
    if (client->frame.size_bytes <= 0)
        return client->frame.size_bytes == 0 ? -ENODATA : (int)client->frame.size_bytes;
    return 0;
}

/* 1: this is our reply, 0: one that came too late for its caller, else an error. */
static int take_reply(coil_thrift_client *client)
{
    coil_thrift_reader *reply = &client->reply;
    coil_thrift_message message;

    coil_thrift_reader_init(reply, client->frame.bytes + COIL_THRIFT_LENGTH_BYTES,
            (uint32_t)client->frame.size_bytes - COIL_THRIFT_LENGTH_BYTES, NULL);
    if (!coil_thrift_read_message(reply, &message))
        return coil_thrift_reader_finish(reply);
    if (message.type == COIL_THRIFT_EXCEPTION && message.seqid == 0 && client->seqid != 0)
        message.seqid = client->seqid; /* About a frame that it could not read. */
    client->unanswered_count--;
    if (message.seqid != client->seqid) {
        coil_slice_release(&client->frame);
        return client->unanswered_count > 0 ? 0 : -EBADMSG;
    }
    if (message.type == COIL_THRIFT_REPLY)
        return 1;
    if (message.type != COIL_THRIFT_EXCEPTION)
        return -EBADMSG;
    coil_thrift_read_exception(reply, &client->exception);
    int rc = coil_thrift_reader_finish(reply);
    return rc < 0 ? rc : -EREMOTEIO;
}

coil_define(int, coil_thrift_client_call, (coil_thrift_client *) client)
{
    coil_vars(int rc);

    coil_attempt(send_frame(client, false));
    client->unanswered_count++;
    do {
        coil_await(my->rc, read_frame(client));
        if (my->rc == 0)
            my->rc = take_reply(client);
    } while (my->rc == 0);
    if (my->rc < 0 && my->rc != -EREMOTEIO)
        client->broken = true;
    return my->rc < 0 ? my->rc : 0;
}

coil_define(int, coil_thrift_client_send, (coil_thrift_client *) client)
{
    coil_vars(int rc);
    coil_await(my->rc, send_frame(client, true));
    return my->rc;
}
