/* SPDX-License-Identifier: MIT
 * rules.c - see rules.h. */
#include <fetch/rules.h>

#include <errno.h>
#include <string.h>
#include <strings.h>

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(word, *words) == 0)
            return true;
    }
    return false;
}

bool weft_fetch_is_safe(const char *method)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "TRACE", NULL};
    return is_one_of(method, methods);
}

bool weft_fetch_is_idempotent(const char *method)
{
    static const char *const methods[] = {"PUT", "DELETE", NULL};
    return weft_fetch_is_safe(method) || is_one_of(method, methods);
}

enum weft_fetch_kind weft_fetch_kind_of(int err)
{
    switch (err) {
    case 0:
        return WEFT_FETCH_OK;
    case -ETIMEDOUT:
        return WEFT_FETCH_TIMEOUT;
    case -ECONNREFUSED:
    case -EHOSTUNREACH:
    case -EHOSTDOWN:
    case -ENETUNREACH:
    case -ENETDOWN:
    case -ENOTCONN:
        return WEFT_FETCH_CONNECT;
    case -EADDRNOTAVAIL:
    case -EAGAIN:
        return WEFT_FETCH_DNS;
    case -EKEYREJECTED:
    case -ENOKEY:
        return WEFT_FETCH_TLS;
    case -ECONNRESET:
    case -ECONNABORTED:
    case -EPIPE:
        return WEFT_FETCH_RESET;
    case -EPROTO:
        return WEFT_FETCH_PROTOCOL;
    case -EMSGSIZE:
        return WEFT_FETCH_TOO_LARGE;
    case -EACCES:
        return WEFT_FETCH_REFUSED;
    case -ECANCELED:
        return WEFT_FETCH_CANCELLED;
    case -ELOOP:
        return WEFT_FETCH_REDIRECTS;
    case WEFT_EOPEN:
        return WEFT_FETCH_BREAKER;
    case WEFT_ELIMIT:
        return WEFT_FETCH_PAUSED;
    case -EINVAL:
    case -EPROTONOSUPPORT:
        return WEFT_FETCH_INVALID;
    case -ENOMEM:
    case -EMFILE:
    case -ENFILE:
    case WEFT_EFULL:
        return WEFT_FETCH_RESOURCES;
    default:
        return WEFT_FETCH_OTHER;
    }
}

const char *weft_fetch_kind_name(enum weft_fetch_kind kind)
{
    static const char *const names[WEFT_FETCH_KINDS] = {
        [WEFT_FETCH_TIMEOUT] = "timeout",
        [WEFT_FETCH_CONNECT] = "connect",
        [WEFT_FETCH_DNS] = "dns",
        [WEFT_FETCH_TLS] = "tls",
        [WEFT_FETCH_RESET] = "reset",
        [WEFT_FETCH_PROTOCOL] = "protocol",
        [WEFT_FETCH_TOO_LARGE] = "too-large",
        [WEFT_FETCH_REFUSED] = "refused",
        [WEFT_FETCH_CANCELLED] = "cancelled",
        [WEFT_FETCH_REDIRECTS] = "redirects",
        [WEFT_FETCH_BREAKER] = "breaker",
        [WEFT_FETCH_PAUSED] = "paused",
        [WEFT_FETCH_INVALID] = "invalid",
        [WEFT_FETCH_RESOURCES] = "resources",
        [WEFT_FETCH_OTHER] = "other",
    };
    return names[kind];
}

/* Failures of the network pass; a certificate, a size or a rule stay what they are. What an answer
 * that is no HTTP was about nobody knows: before anything was sent it was TLS that failed. */
static bool may_pass(const struct weft_fetch_end *end)
{
    switch (weft_fetch_kind_of(end->err)) {
    case WEFT_FETCH_TIMEOUT:
    case WEFT_FETCH_CONNECT:
    case WEFT_FETCH_DNS:
    case WEFT_FETCH_RESET:
        return true;
    case WEFT_FETCH_PROTOCOL:
        return !end->sent;
    case WEFT_FETCH_OK:
    case WEFT_FETCH_TLS:
    case WEFT_FETCH_TOO_LARGE:
    case WEFT_FETCH_REFUSED:
    case WEFT_FETCH_CANCELLED:
    case WEFT_FETCH_REDIRECTS:
    case WEFT_FETCH_BREAKER:
    case WEFT_FETCH_PAUSED:
    case WEFT_FETCH_INVALID:
    case WEFT_FETCH_RESOURCES:
    case WEFT_FETCH_OTHER:
    case WEFT_FETCH_KINDS:
        break;
    }
    return false;
}

bool weft_fetch_may_retry(const struct weft_fetch_end *end)
{
    bool repeatable = end->has_key || weft_fetch_is_idempotent(end->method);
    if (end->err < 0)
        return may_pass(end) && (!end->sent || repeatable);
    switch (end->status) {
    case 408: /* these say that nothing was done: RFC 9110, 15.5.9; */
    case 425: /* RFC 8470, 5.2; */
    case 429: /* RFC 6585, 4 */
        return true;
    case 502:
    case 503:
    case 504:
        return repeatable;
    case 500:
        return weft_fetch_is_safe(end->method);
    default:
        return false;
    }
}

enum weft_breaker_verdict weft_fetch_judge(int err, int status)
{
    switch (weft_fetch_kind_of(err)) {
    case WEFT_FETCH_OK:
        return status >= 500 || status == 408 || status == 429 ? WEFT_BREAKER_FAILURE
                                                               : WEFT_BREAKER_SUCCESS;
    case WEFT_FETCH_TIMEOUT:
    case WEFT_FETCH_CONNECT:
    case WEFT_FETCH_DNS:
    case WEFT_FETCH_TLS:
    case WEFT_FETCH_RESET:
    case WEFT_FETCH_PROTOCOL:
        return WEFT_BREAKER_FAILURE;
    case WEFT_FETCH_TOO_LARGE:
    case WEFT_FETCH_REFUSED:
    case WEFT_FETCH_CANCELLED:
    case WEFT_FETCH_REDIRECTS:
    case WEFT_FETCH_BREAKER:
    case WEFT_FETCH_PAUSED:
    case WEFT_FETCH_INVALID:
    case WEFT_FETCH_RESOURCES:
    case WEFT_FETCH_OTHER:
    case WEFT_FETCH_KINDS:
        break;
    }
    return WEFT_BREAKER_IGNORED;
}

bool weft_fetch_is_pause(int status)
{
    return status == 429 || status == 503;
}

int64_t weft_fetch_backoff(int64_t base_ns, int64_t cap_ns, unsigned n, uint64_t draw)
{
    int64_t most_ns = base_ns < cap_ns ? base_ns : cap_ns;
    while (n-- > 0 && most_ns < cap_ns)
        most_ns = most_ns > cap_ns / 2 ? cap_ns : most_ns * 2;
    if (most_ns <= 1)
        return 0;
    /* The upper 53 bits, as a share of 1; the rounding does not matter. */
    return (int64_t)((double)(draw >> 11) * 0x1p-53 * (double)most_ns);
}

struct weft_fetch_turn weft_fetch_turn_of(int status, const char *method)
{
    struct weft_fetch_turn turn = {.follows = true, .method = method};
    bool changes = false;
    switch (status) {
    case 301:
    case 302:
        changes = strcmp(method, "POST") == 0;
        break;
    case 303:
        changes = strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
        break;
    case 307:
    case 308:
        break;
    default:
        turn.follows = false;
    }
    if (changes) {
        turn.method = "GET";
        turn.without_body = true;
    }
    return turn;
}

bool weft_fetch_is_private(const char *field)
{
    static const char *const fields[] = {"Authorization", "Cookie", "Host", "Proxy-Authorization",
                                         NULL};
    for (const char *const *name = fields; *name; name++) {
        if (strcasecmp(field, *name) == 0)
            return true;
    }
    return false;
}
