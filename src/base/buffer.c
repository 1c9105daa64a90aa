/* SPDX-License-Identifier: MIT
 * buffer.c - see buffer.h. */
#include <base/buffer.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 256u

void weft_buffer_init(struct weft_buffer *buffer, size_t len_max)
{
    *buffer = (struct weft_buffer){.len_max = len_max};
}

void weft_buffer_deinit(struct weft_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct weft_buffer){.len_max = buffer->len_max};
}

void weft_buffer_clear(struct weft_buffer *buffer)
{
    buffer->len = 0;
    buffer->err = 0;
}

static int grow(struct weft_buffer *buffer, size_t len)
{
    if (len > buffer->len_max - buffer->len)
        return -EMSGSIZE;
    size_t needed = buffer->len + len;
    if (needed > SIZE_MAX / 4)
        return -ENOMEM;
    size_t capacity = buffer->capacity ? buffer->capacity : CAPACITY_MIN;
    while (capacity < needed)
        capacity *= 2;
    char *data = realloc(buffer->data, capacity + 1); /* room for a NUL that does not count */
    if (!data)
        return -ENOMEM;
    buffer->data = data;
    buffer->capacity = capacity;
    return 0;
}

char *weft_buffer_reserve(struct weft_buffer *buffer, size_t len)
{
    if (buffer->err)
        return NULL;
    if (!buffer->data || len > buffer->capacity - buffer->len ||
        len > buffer->len_max - buffer->len) {
        buffer->err = grow(buffer, len);
        if (buffer->err)
            return NULL;
    }
    return buffer->data + buffer->len;
}

void weft_buffer_consume(struct weft_buffer *buffer, size_t len)
{
    buffer->len -= len;
    if (buffer->len > 0)
        memmove(buffer->data, buffer->data + len, buffer->len);
}

void weft_buffer_append(struct weft_buffer *buffer, const void *data, size_t len)
{
    char *end = weft_buffer_reserve(buffer, len);
    if (!end || len == 0)
        return;
    memcpy(end, data, len);
    buffer->len += len;
}

void weft_buffer_append_string(struct weft_buffer *buffer, const char *text)
{
    weft_buffer_append(buffer, text, strlen(text));
}

void weft_buffer_append_char(struct weft_buffer *buffer, char c)
{
    weft_buffer_append(buffer, &c, 1);
}

void weft_buffer_append_int(struct weft_buffer *buffer, int64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        digits[--at] = '-';
    weft_buffer_append(buffer, digits + at, sizeof digits - at);
}

void weft_buffer_append_format(struct weft_buffer *buffer, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0 && !buffer->err)
        buffer->err = -EINVAL;
    char *end = len < 0 ? NULL : weft_buffer_reserve(buffer, (size_t)len);
    if (end) {
        (void)vsnprintf(end, (size_t)len + 1, format, again);
        buffer->len += (size_t)len;
    }
    va_end(again);
}
