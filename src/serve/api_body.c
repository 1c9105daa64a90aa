/* SPDX-License-Identifier: MIT
 * api_body.c - see api_body.h. */
#include <serve/api_body.h>

#include <serve/api.h>

#include <weft/offload.h>

#define INLINE_MAX ((size_t)64 << 10) /* larger bodies would hold up everybody else */

struct parse_call {
    weft_body_parser *parse;
    void *request;
    const char *body;
    size_t len;
    int err;
    struct weft_refusal refusal;
};

static int parse(void *arg)
{
    struct parse_call *call = arg;
    call->err = call->parse(call->request, call->body, call->len, &call->refusal);
    return 0;
}

bool weft_api_read_body(struct weft_http_exchange *exchange, weft_body_parser *parser,
                        void *ret_request)
{
    struct parse_call call = {.parse = parser, .request = ret_request};
    call.body = weft_http_body(exchange, &call.len);
    int err = 0;
    if (call.len <= INLINE_MAX)
        (void)parse(&call);
    else
        err = weft_offload(parse, &call);
    if (err)
        weft_api_reply_busy(exchange, "5", "the server is stopping");
    else if (call.err && call.refusal.status == 503)
        weft_api_reply_busy(exchange, "5", "the server has no memory left for this");
    else if (call.err)
        weft_http_reply_error(exchange, call.refusal.status, call.refusal.detail);
    return !err && !call.err;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The first byte at or behind `at` that is no space, or len. */
static size_t skip_spaces(const char *body, size_t len, size_t at)
{
    while (at < len && is_space(body[at]))
        at++;
    return at;
}

static bool says_nothing(const char *body, size_t len)
{
    size_t at = skip_spaces(body, len, 0);
    if (at == len)
        return true;
    size_t inside = skip_spaces(body, len, at + 1);
    return body[at] == '{' && inside < len && body[inside] == '}' &&
           skip_spaces(body, len, inside + 1) == len;
}

bool weft_api_read_nothing(struct weft_http_exchange *exchange)
{
    size_t len;
    const char *body = weft_http_body(exchange, &len);
    if (says_nothing(body, len))
        return true;
    weft_http_reply_error(exchange, 422, "nothing can be said in the body here");
    return false;
}
