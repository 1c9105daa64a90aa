/* SPDX-License-Identifier: MIT
 * crawl_url.c - URLs from arbitrary bytes: no crash, and what comes out is a normal form: short
 * enough, of letters that may stand there, the same when it is read again, and on its own host.
 *
 * The first byte of the input says what the rules are; then the base up to a newline, and the
 * reference. */
#include <crawl/url.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_normal(const struct weft_buffer *url, const struct weft_url_rules *rules)
{
    struct weft_url parts;
    struct weft_buffer again;
    check(url->len <= (rules->bytes_max ? rules->bytes_max : WEFT_URL_DEFAULT_MAX));
    check(strlen(url->data) == url->len);
    check(strncmp(url->data, "http://", 7) == 0 || strncmp(url->data, "https://", 8) == 0);
    for (size_t i = 0; i < url->len; i++)
        check(url->data[i] > ' ' && url->data[i] < 0x7f && !strchr("\"<>\\^`{|}#", url->data[i]));
    weft_url_read(&parts, url->data);
    check(parts.path[0] == '/' && parts.host_len > 0 && parts.port > 0);
    check(!memchr(url->data, '@', parts.origin_len));
    check(!memmem(parts.path, parts.path_len, "/./", 3) &&
          !memmem(parts.path, parts.path_len, "/../", 4));
    weft_buffer_init(&again, WEFT_URL_MAX * 4);
    check(weft_url_resolve(&again, NULL, url->data, url->len, rules) == 0);
    check(again.len == url->len && memcmp(again.data, url->data, url->len) == 0);
    weft_buffer_deinit(&again);
}

/* In memory of exactly its size. */
static char *copy(const uint8_t *data, size_t len)
{
    char *text = malloc(len > 0 ? len : 1);
    check(text != NULL);
    if (len > 0)
        memcpy(text, data, len);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const drops[] = {"sid", "utm_*"};
    struct weft_buffer base, url;
    if (size < 1)
        return 0;
    const struct weft_url_rules rules = {
        .sorts_query = data[0] & 1,
        .drops = drops,
        .drops_count = data[0] & 2 ? 2 : 0,
        .bytes_max = data[0] & 4 ? WEFT_URL_MAX : 0,
    };
    const uint8_t *newline = memchr(data + 1, '\n', size - 1);
    size_t base_len = newline ? (size_t)(newline - data) - 1 : 0;
    size_t at = newline ? base_len + 2 : 1;
    weft_buffer_init(&base, WEFT_URL_MAX * 4);
    weft_buffer_init(&url, WEFT_URL_MAX * 4);
    char *base_text = copy(data + 1, base_len), *text = copy(data + at, size - at);
    bool based = newline && weft_url_resolve(&base, NULL, base_text, base_len, &rules) == 0;
    if (based)
        check_normal(&base, &rules);
    int err = weft_url_resolve(&url, based ? base.data : NULL, text, size - at, &rules);
    check(err == 0 || err == -EINVAL || err == -EPROTONOSUPPORT || err == -EMSGSIZE);
    if (err == 0)
        check_normal(&url, &rules);
    free(base_text);
    free(text);
    weft_buffer_deinit(&base);
    weft_buffer_deinit(&url);
    return 0;
}
