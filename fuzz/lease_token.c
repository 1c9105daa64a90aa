/* SPDX-License-Identifier: MIT
 * lease_token.c - the token of a lease, from arbitrary text: /v1/settle, /v1/extend and a worker
 * that reads /v1/lease take the same ones, those that are a number of 64 bits in digits, and read
 * the same number; and a worker gives back what it was given. */
#include <broker/remote_internal.h>
#include <serve/work_json.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ID     "0190b7e0-1c2d-7abc-8def-0123456789ab"
#define DIGITS 20 /* of the largest number: more are zeros in front, which nobody writes */

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* What the C library makes of it. */
static bool is_token(const char *text, uint64_t *ret_token)
{
    errno = 0;
    unsigned long long token = strtoull(text, NULL, 10);
    *ret_token = token;
    return *text && text[strspn(text, "0123456789")] == '\0' && errno == 0;
}

static void check_refusal(int err, const struct weft_refusal *refusal)
{
    check(err == -EINVAL && refusal->status == 422);
    check(strstr(refusal->detail, "token") != NULL);
}

static void build(struct weft_buffer *body, const char *before, const char *text, size_t len,
                  const char *behind)
{
    weft_buffer_clear(body);
    weft_buffer_append_string(body, before);
    weft_buffer_append_json_string(body, text, len);
    weft_buffer_append_string(body, behind);
    check(!body->err);
}

static void settle(const struct weft_buffer *body, bool good, uint64_t token)
{
    struct weft_settle_request request;
    struct weft_refusal refusal;
    int err = weft_settle_request_parse(&request, body->data, body->len, &refusal);
    check((err == 0) == good);
    if (err) {
        check_refusal(err, &refusal);
        return;
    }
    check(request.count == 1 && request.items[0].token == token);
    weft_settle_request_deinit(&request);
}

static void extend(const struct weft_buffer *body, bool good, uint64_t token)
{
    struct weft_extend_request request;
    struct weft_refusal refusal;
    int err = weft_extend_request_parse(&request, body->data, body->len, &refusal);
    check((err == 0) == good);
    if (err) {
        check_refusal(err, &refusal);
        return;
    }
    check(request.count == 1 && request.items[0].token == token);
    weft_extend_request_deinit(&request);
}

/* What a worker was given stands in what it says. */
static void check_given_back(struct weft_buffer *body, uint64_t token)
{
    struct weft_uuid id;
    check(weft_uuid_parse(&id, ID, strlen(ID)) == 0);
    weft_buffer_clear(body);
    weft_buffer_append_string(body, "{\"jobs\":[");
    weft_remote_append_lease(body, &id, token);
    weft_buffer_append_string(body, ",\"lease\":30}]}");
    extend(body, true, token);
}

static void lease(struct weft_buffer *body, const char *text, size_t len, bool good, uint64_t token)
{
    uint64_t read = 0;
    build(body, "", text, len, "");
    struct weft_remote_value value = {body->data, body->len};
    int err = weft_remote_token(&value, &read);
    check(err == 0 || err == -EPROTO);
    check((err == 0) == (good && len <= DIGITS));
    check(err || read == token);
    if (!err)
        check_given_back(body, token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_buffer body;
    uint64_t token;
    if (size > 4096)
        return 0;
    char *text = malloc(size + 1);
    check(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    bool good = is_token(text, &token) && strlen(text) == size;
    weft_buffer_init(&body, 8 * size + 256);
    build(&body, "{\"jobs\":[{\"id\":\"" ID "\",\"outcome\":\"complete\",\"token\":", text, size,
          "}]}");
    settle(&body, good, token);
    build(&body, "{\"jobs\":[{\"id\":\"" ID "\",\"lease\":30,\"token\":", text, size, "}]}");
    extend(&body, good, token);
    lease(&body, text, size, good, token);
    weft_buffer_deinit(&body);
    free(text);
    return 0;
}
