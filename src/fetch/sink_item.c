/* SPDX-License-Identifier: MIT
 * sink_item.c - a result on its way through the queue: one allocation, with everything in it. */
#include "sink_output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A digest becomes the name of a file: nothing else may. */
static bool is_digest(const char *text)
{
    size_t len = strspn(text, "0123456789abcdef");
    return len == SINK_DIGEST_BYTES - 1 && text[len] == '\0';
}

struct text {
    const char **at; /* in the copy */
    size_t bytes;    /* with the NUL; 0: there is none */
};

enum {
    TEXTS = 8
};

/* The texts of a copy, which still point to the caller's. Returns how many bytes they have. */
static size_t measure(struct weft_fetch_result *copy, struct text texts[TEXTS])
{
    const char **all[TEXTS] = {&copy->url,         &copy->final_url,   &copy->method,
                               &copy->error,       &copy->error_class, &copy->content_type,
                               &copy->body_digest, &copy->tag};
    size_t bytes = 0;
    for (int i = 0; i < TEXTS; i++) {
        texts[i].at = all[i];
        texts[i].bytes = *all[i] ? strlen(*all[i]) + 1 : 0;
        bytes += texts[i].bytes;
    }
    return bytes;
}

int weft_sink_item_make(struct sink_item **ret_item, const struct weft_fetch_result *result,
                        bool keeps_body)
{
    struct weft_fetch_result copy = *result;
    struct text texts[TEXTS];
    if (!copy.url || (copy.body_digest && !is_digest(copy.body_digest)) ||
        (copy.body_len > 0 && !copy.body && keeps_body))
        return -EINVAL;
    if (!copy.method)
        copy.method = "GET";
    if (!keeps_body)
        copy.body = NULL;
    if (!copy.body)
        copy.body_len = 0;

    size_t text_bytes = measure(&copy, texts);
    if (text_bytes > SINK_TEXT_BYTES_MAX)
        return -EMSGSIZE;
    if (copy.body_len > SIZE_MAX - SINK_TEXT_BYTES_MAX - sizeof(struct sink_item))
        return -ENOMEM;
    size_t bytes = sizeof(struct sink_item) + text_bytes + copy.body_len;
    struct sink_item *item = malloc(bytes);
    if (!item)
        return -ENOMEM;
    char *end = (char *)(item + 1);
    for (int i = 0; i < TEXTS; i++) {
        if (texts[i].bytes == 0)
            continue;
        *texts[i].at = memcpy(end, *texts[i].at, texts[i].bytes);
        end += texts[i].bytes;
    }
    if (copy.body)
        copy.body = copy.body_len ? memcpy(end, copy.body, copy.body_len) : end;
    if (copy.fingerprint) {
        item->fingerprint = *copy.fingerprint;
        copy.fingerprint = &item->fingerprint;
    }
    item->result = copy;
    item->bytes = bytes;
    *ret_item = item;
    return 0;
}

void weft_sink_item_free(struct sink_item *item)
{
    free(item);
}
