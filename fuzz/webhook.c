/* SPDX-License-Identifier: MIT
 * webhook.c - what strangers send about webhooks: a url that passes leads where the list says, and
 * secrets and signatures of any bytes are answered with an error of theirs.
 *
 * The input is a url, or after a first byte of 0: a secret, and the three headers and the body of a
 * request, with a 0 after each but the last. */
#include <job/webhook.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t end_len = strlen(end);
    return len > end_len && strncasecmp(text + len - end_len, end, end_len) == 0;
}

static bool is(const char *text, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(text, word, len) == 0;
}

/* What every reader of urls would make of one that was let through. */
static void check_leads_there(const char *url)
{
    bool encrypted = strncasecmp(url, "https://", 8) == 0;
    check(encrypted || strncasecmp(url, "http://", 7) == 0);
    const char *host = url + (encrypted ? 8 : 7);
    size_t len = strcspn(host, "/?#\\");
    const char *path = host + len;
    check(!memchr(host, '@', len) && !memchr(host, '%', len));
    for (const char *at = url; *at; at++)
        check(*at > ' ' && *at < 127 && *at != '\\' && *at != '#');
    if (!encrypted) {
        check(is(host, len, "127.0.0.1:8080") || host[0] == '[');
    } else if (is(host, len, "a.example") || is(host, len, "a.example:443")) {
        check(strncmp(path, "/in", 3) == 0 && (!path[3] || strchr("/?", path[3])));
    } else {
        check(ends_with(host, len, ".b.example:8443"));
    }
    size_t path_len = strcspn(path, "?");
    check(!memmem(path, path_len, "/../", 4) && !memmem(path, path_len, "%2f", 3));
    check(path_len < 3 || memcmp(path + path_len - 3, "/..", 3) != 0);
}

static void try_url(const char *url)
{
    static const char *const allowed[] = {"https://a.example/in", "https://*.b.example:8443",
                                          "http://127.0.0.1:8080", "http://[::1]", NULL};
    const char *reason = NULL;
    int err = weft_webhook_url_check(allowed, url, &reason);
    check(err == 0 || ((err == -EINVAL || err == -EACCES) && reason));
    if (err == 0)
        check_leads_there(url);
    err = weft_webhook_pattern_check(url, &reason);
    check(err == 0 || err == -EINVAL);
}

static void try_request(const char *at, const char *end)
{
    const char *parts[4] = {NULL};
    struct weft_webhook_keys keys = {.count = 0};
    for (size_t i = 0; i < 4; i++) {
        const char *zero = memchr(at, '\0', (size_t)(end - at));
        if (!zero)
            return;
        parts[i] = at;
        at = zero + 1;
    }
    int err = weft_webhook_keys_add(&keys, parts[0]);
    check(err == -EINVAL || (err == 0 && keys.keys[0].len >= WEFT_WEBHOOK_KEY_MIN &&
                             keys.keys[0].len <= WEFT_WEBHOOK_KEY_MAX));
    err = weft_webhook_verify(&keys, parts[1], parts[2], parts[3], at, (size_t)(end - at),
                              1614265330, 0);
    check(err == 0 || err == -EINVAL || err == -ESTALE || err == -EBADMSG);
    check(err != 0 || keys.count == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* with a 0 behind it, and nothing more */
    check(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    if (size > 0 && data[0] == 0)
        try_request(text + 1, text + size);
    else
        try_url(text);
    free(text);
    return 0;
}
