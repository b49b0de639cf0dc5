/* SPDX-License-Identifier: MIT */
#include <coil/error.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

static int magnitude(int error)
{
    return error == INT_MIN ? INT_MAX : error < 0 ? -error : error;
}

const char *coil_error_name(int error)
{
    const char *name = strerrorname_np(magnitude(error));
    return name == NULL ? "EUNKNOWN" : name;
}

const char *coil_error_text(int error)
{
    switch (magnitude(error)) {
    case ECANCELED:
        return "cancelled";
    case ETIME:
        return "deadline passed";
    case ETIMEDOUT:
        return "the network timed out";
    }
    const char *text = strerrordesc_np(magnitude(error));
    return text == NULL ? "unknown error" : text;
}
