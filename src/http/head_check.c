/* SPDX-License-Identifier: MIT
 * head_check.c - see head_check.h. */
#include <http/head_check.h>
#include <http/method.h>
#include <http/target.h>

#include <string.h>
#include <strings.h>

static const struct weft_http_refusal accepted = {0, NULL};

static struct weft_http_refusal refusal(int status, const char *detail)
{
    return (struct weft_http_refusal){status, detail};
}

/* ---- lines ------------------------------------------------------------------------------ */

/* Walk the lines from the first byte to the empty line behind the headers. Every one must end
 * with CR LF, hold no other CR, and not be the continuation of the one before (obs-fold).
 * Returns NULL with *ret_len set to the head's length, or what is wrong */
static const char *check_lines(const char *message, size_t len, size_t *ret_len)
{
    const char *end = message + len, *line = message;
    bool started = false; /* empty lines before the request line are allowed */
    for (;;) {
        const char *feed = memchr(line, '\n', (size_t)(end - line));
        if (!feed || feed == line || feed[-1] != '\r')
            return "line feed without carriage return";
        size_t line_len = (size_t)(feed - 1 - line);
        if (line_len == 0 && started)
            break;
        if (memchr(line, '\r', line_len))
            return "carriage return without line feed";
        if (line[0] == ' ' || line[0] == '\t')
            return "folded header line";
        started = started || line_len > 0;
        line = feed + 1;
    }
    *ret_len = (size_t)(line + 2 - message);
    return NULL;
}

/* "METHOD SP target SP HTTP/1.x CR LF", with nothing more and nothing less between the parts. */
static bool check_request_line(const struct weft_http_incoming *request, size_t head_len)
{
    const char *method = weft_http_method_name(request->method);
    size_t method_len = method ? strlen(method) : 0;
    size_t at = request->url.at, end = at + request->url.len;
    if (!method || at < method_len + 1 || head_len - end < sizeof " HTTP/1.1\r\n" - 1)
        return false;
    const char *line = request->message + at - method_len - 1;
    const char *rest = request->message + end;
    return (line == request->message || line[-1] == '\n') &&
           memcmp(line, method, method_len) == 0 && line[method_len] == ' ' &&
           memcmp(rest, " HTTP/1.", 8) == 0 && memcmp(rest + 9, "\r\n", 2) == 0;
}

/* ---- headers ---------------------------------------------------------------------------- */

static void trim(const char *message, struct weft_http_span *value)
{
    while (value->len > 0 && (message[value->at + value->len - 1] == ' ' ||
                              message[value->at + value->len - 1] == '\t'))
        value->len--;
}

/* End names and values with a NUL: the bytes behind them are separators that nobody needs now. */
static void terminate_headers(struct weft_http_incoming *request)
{
    for (size_t i = 0; i < request->headers_count; i++) {
        struct weft_http_header *header = &request->headers[i];
        trim(request->message, &header->value);
        if (header->value.len == 0)
            header->value.at = header->name.at + header->name.len;
        request->message[header->name.at + header->name.len] = '\0';
        request->message[header->value.at + header->value.len] = '\0';
    }
}

/* How often the headers that decide about framing and routing were sent, and what they said. */
struct head_fields {
    unsigned hosts, lengths, codings, expectations;
    bool host_malformed, coding_unknown, expectation_unknown;
};

/* The characters of a host, a port, and an IPv6 address in brackets: enough to keep out what
 * another server could take for something else. An empty host is allowed. */
static bool host_well_formed(const char *host)
{
    static const bool allowed[256] = {
        ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['-'] = true,
        ['.'] = true,         ['_'] = true,         ['~'] = true,         ['!'] = true,
        ['$'] = true,         ['&'] = true,         ['\''] = true,        ['('] = true,
        [')'] = true,         ['*'] = true,         ['+'] = true,         [';'] = true,
        ['='] = true,         ['%'] = true,         [':'] = true,         ['['] = true,
        [']'] = true,
    };
    while (allowed[(unsigned char)*host])
        host++;
    return *host == '\0';
}

static void look_at_header(struct head_fields *fields, const char *name, size_t name_len,
                           const char *value)
{
    switch (name_len) { /* most headers are ruled out by their length alone */
    case 4:
        if (strcasecmp(name, "host") == 0) {
            fields->hosts++;
            fields->host_malformed |= !host_well_formed(value);
        }
        break;
    case 6:
        if (strcasecmp(name, "expect") == 0) {
            fields->expectations++;
            fields->expectation_unknown |= strcasecmp(value, "100-continue") != 0;
        }
        break;
    case 14:
        fields->lengths += strcasecmp(name, "content-length") == 0;
        break;
    case 17:
        if (strcasecmp(name, "transfer-encoding") == 0) {
            fields->codings++;
            fields->coding_unknown |= strcasecmp(value, "chunked") != 0;
        }
        break;
    default:
        break;
    }
}

static struct head_fields read_fields(const struct weft_http_incoming *request)
{
    struct head_fields fields = {0};
    for (size_t i = 0; i < request->headers_count; i++) {
        const struct weft_http_header *header = &request->headers[i];
        look_at_header(&fields, weft_http_text(request, header->name), header->name.len,
                       weft_http_text(request, header->value));
    }
    return fields;
}

static struct weft_http_refusal check_fields(const struct weft_http_incoming *request,
                                             const struct head_fields *fields)
{
    for (size_t i = 0; i < request->headers_count; i++)
        if (request->headers[i].name.len == 0)
            return refusal(400, "header without a name");
    if (fields->lengths > 1 || fields->codings > 1 || (fields->lengths && fields->codings))
        return refusal(400, "contradictory body length");
    if (fields->codings && request->version_minor == 0)
        return refusal(400, "Transfer-Encoding in HTTP/1.0");
    if (fields->coding_unknown)
        return refusal(501, "transfer coding not supported");
    if (fields->hosts > 1 || fields->host_malformed)
        return refusal(400, "malformed Host");
    if (fields->hosts == 0 && request->version_minor > 0)
        return refusal(400, "missing Host");
    return accepted;
}

/* ---- decision --------------------------------------------------------------------------- */

static bool keeps_alive(const llhttp_t *llhttp)
{
    return llhttp_should_keep_alive(llhttp) && !(llhttp->flags & F_CONNECTION_CLOSE);
}

struct weft_http_refusal weft_http_head_check(struct weft_http_incoming *request,
                                              const llhttp_t *llhttp, size_t message_len,
                                              size_t header_bytes_max)
{
    size_t head_len = 0;
    const char *error = check_lines(request->message, message_len, &head_len);
    if (error)
        return refusal(400, error);
    if (head_len > header_bytes_max)
        return refusal(431, "headers too large");
    if (llhttp->http_major != 1 || llhttp->http_minor > 1)
        return refusal(505, "HTTP/1.1 and HTTP/1.0 only");
    request->method = llhttp->method;
    request->version_minor = llhttp->http_minor;
    if (request->method == HTTP_CONNECT)
        return refusal(501, "CONNECT is not supported");
    if (!check_request_line(request, head_len))
        return refusal(400, "malformed request line");

    terminate_headers(request);
    struct head_fields fields = read_fields(request);
    struct weft_http_refusal bad = check_fields(request, &fields);
    if (bad.status)
        return bad;
    error = weft_http_target_split(request);
    if (error)
        return refusal(400, error);

    bool expects = fields.expectations > 0 && request->version_minor > 0; /* 1.0 knows none */
    if (expects && fields.expectation_unknown)
        return refusal(417, "only 100-continue can be expected");
    request->chunked = fields.codings > 0;
    request->content_length = request->chunked ? 0 : llhttp->content_length;
    request->expects_continue = expects && (request->chunked || request->content_length > 0);
    request->keep_alive = keeps_alive(llhttp);
    request->body_at = head_len;
    request->head_complete = true;
    return accepted;
}
