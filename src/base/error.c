/* SPDX-License-Identifier: MIT
 * error.c - names for weft's own error codes; errno's come from the C library. */
#include <weft/base.h>

#include <string.h>

const char *weft_version(void)
{
    return WEFT_VERSION;
}

const char *weft_strerror(int err)
{
    switch (err) {
    case WEFT_EFULL:
        return "The queue is full";
    case WEFT_EVERSION:
        return "The data was written by a newer version of weft";
    case WEFT_ECORRUPT:
        return "The stored data contradicts itself";
    case WEFT_EOPEN:
        return "The circuit breaker is open";
    case WEFT_ELIMIT:
        return "The rate limit is reached";
    case WEFT_ELEAK:
        return "Something that was given out has not come back";
    case WEFT_EDUPLICATE:
        return "A job that counts as the same is there already";
    default:
        break;
    }
    if (err == INT32_MIN)
        return "Unknown error";
    /* strerrordesc_np is thread-safe and never translates, unlike strerror. */
    const char *text = strerrordesc_np(err < 0 ? -err : err);
    return text ? text : "Unknown error";
}
