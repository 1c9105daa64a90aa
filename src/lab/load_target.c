/* SPDX-License-Identifier: MIT
 * load_target.c - see load_target.h. */
#include <lab/load_target.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FILE_BYTES_MAX ((size_t)16 << 20)
#define JSON_TYPE      "application/json"

/* What is being made, and where it goes wrong. */
struct making {
    const struct weft_load_options *options;
    struct weft_load_targets *targets;
    size_t line_number; /* 0: no file */
    char *error;
    size_t error_bytes;
};

/* Say what is wrong. Returns err, so that a failure is one statement. */
__attribute__((format(printf, 3, 4))) static int fail(const struct making *making, int err,
                                                      const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (making->error_bytes > 0 && making->line_number > 0)
        (void)snprintf(making->error, making->error_bytes, "%.200s: line %zu: %s",
                       making->options->url_file, making->line_number, text);
    else if (making->error_bytes > 0)
        (void)snprintf(making->error, making->error_bytes, "%s", text);
    return err;
}

static int out_of_memory(const struct making *making)
{
    return fail(making, -ENOMEM, "out of memory");
}

bool weft_load_method_is_valid(const char *method)
{
    size_t len = strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_");
    return len > 0 && len <= WEFT_LOAD_METHOD_MAX && method[len] == '\0';
}

void weft_load_line_free(struct weft_load_line *line)
{
    for (size_t i = 0; i < line->headers_count; i++)
        free(line->headers[i]);
    free(line->headers);
    free(line->url);
    free(line->method);
    free(line->body);
    free(line->content_type);
    *line = (struct weft_load_line){0};
}

/* ---- one target ------------------------------------------------------------------------ */

/* The line's own headers first, as a name is taken where it comes first. */
static int gather_headers(const struct making *making, const struct weft_load_line *line,
                          const char ***ret_headers, size_t *ret_count)
{
    const struct weft_load_options *options = making->options;
    size_t count = line->headers_count + options->headers_count;
    const char **headers = calloc(count + 1, sizeof *headers);
    if (!headers)
        return out_of_memory(making);
    for (size_t i = 0; i < count; i++) {
        headers[i] =
            i < line->headers_count ? line->headers[i] : options->headers[i - line->headers_count];
        const char *reason = weft_load_header_check(headers[i]);
        if (reason) {
            int err = fail(making, -EINVAL, "'%.100s' is not a header: %s", headers[i], reason);
            free(headers);
            return err;
        }
    }
    *ret_headers = headers;
    *ret_count = count;
    return 0;
}

static int make_message(const struct making *making, struct weft_load_target *target)
{
    const struct weft_load_options *options = making->options;
    const struct weft_load_line *line = &target->line;
    const char *type = line->content_type ? line->content_type : options->content_type;
    struct weft_load_request request = {
        .url = &target->url,
        .method = line->method,
        .body = line->body ? line->body : options->body,
        .content_type = type ? type : JSON_TYPE,
    };
    const char **headers = NULL;
    if (request.body)
        request.body_len =
            !line->body && options->body_len > 0 ? options->body_len : strlen(request.body);
    if (request.body_len > WEFT_LOAD_BODY_MAX)
        return fail(making, -EINVAL, "the body is larger than 16 MiB");
    if (strpbrk(request.content_type, "\r\n"))
        return fail(making, -EINVAL, "the content type contains a line feed");
    int err = gather_headers(making, line, &headers, &request.headers_count);
    if (err)
        return err;
    request.headers = headers;
    err = weft_load_message_init(&target->message, &request);
    free(headers);
    if (err == -EMSGSIZE)
        return fail(making, -EINVAL, "the request is larger than 32 MiB");
    return err ? out_of_memory(making) : 0;
}

/* What the line leaves open, from the options. */
static int complete_line(const struct making *making, struct weft_load_line *line)
{
    const struct weft_load_options *options = making->options;
    const char *method = options->method;
    if (!method)
        method = line->body || options->body ? "POST" : "GET";
    if (!line->method && !(line->method = strdup(method)))
        return out_of_memory(making);
    if (!weft_load_method_is_valid(line->method))
        return fail(making, -EINVAL, "'%.40s' is not a method", line->method);
    if (line->weight == 0)
        line->weight = 1;
    return 0;
}

/* Put a target behind the others; the line is its own from now on, also after a failure. */
static int add_target(struct making *making, struct weft_load_line *line)
{
    struct weft_load_targets *targets = making->targets;
    const char *reason;
    if (targets->count == WEFT_LOAD_TARGETS_MAX) {
        weft_load_line_free(line);
        return fail(making, -EINVAL, "there are more than %d URLs", WEFT_LOAD_TARGETS_MAX);
    }
    struct weft_load_target *target = &targets->items[targets->count++];
    *target = (struct weft_load_target){.line = *line};
    int err = weft_load_url_parse(&target->url, target->line.url, &reason);
    if (err)
        return fail(making, err, "'%.200s' is not a URL to load: %s", target->line.url, reason);
    const struct weft_load_url *first = &targets->items[0].url;
    if (target->url.port != first->port || strcasecmp(target->url.host, first->host) != 0)
        return fail(making, -EINVAL, "all URLs of a load have one host and port, %s and %u are not",
                    target->url.host, target->url.port);
    err = complete_line(making, &target->line);
    return err ? err : make_message(making, target);
}

/* ---- the file -------------------------------------------------------------------------- */

/* "http://host/path", or with a weight behind it. */
static int read_plain(struct weft_load_line *line, const char *text, size_t len,
                      const char **ret_reason)
{
    size_t url_len = 0;
    while (url_len < len && text[url_len] != ' ' && text[url_len] != '\t')
        url_len++;
    const char *weight = text + url_len, *end = text + len;
    while (weight < end && (*weight == ' ' || *weight == '\t'))
        weight++;
    for (; weight < end; weight++) {
        if (*weight < '0' || *weight > '9' || line->weight > WEFT_LOAD_ORDER_MAX) {
            *ret_reason = "behind the URL stands something that is not a weight, like 3";
            return -EINVAL;
        }
        line->weight = line->weight * 10 + (uint64_t)(*weight - '0');
    }
    if (len > url_len && line->weight == 0) {
        *ret_reason = "the weight is 0";
        return -EINVAL;
    }
    line->url = strndup(text, url_len);
    return line->url ? 0 : -ENOMEM;
}

static int read_line(struct making *making, const char *text, size_t len)
{
    struct weft_load_line line = {0};
    const char *reason = "";
    while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    while (len > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        len--;
    }
    if (len == 0 || *text == '#')
        return 0;
    if (memchr(text, '\0', len))
        return fail(making, -EINVAL, "it contains a NUL byte");
    int err = *text == '{' ? weft_load_line_from_json(&line, text, len, &reason)
                           : read_plain(&line, text, len, &reason);
    if (err == 0)
        return add_target(making, &line);
    weft_load_line_free(&line);
    return err == -ENOMEM ? out_of_memory(making) : fail(making, err, "%s", reason);
}

static int read_lines(struct making *making, const char *text, size_t len)
{
    int err = 0;
    for (making->line_number = 1; len > 0 && err == 0; making->line_number++) {
        const char *end = memchr(text, '\n', len);
        size_t line_len = end ? (size_t)(end - text) : len;
        err = read_line(making, text, line_len);
        if (err)
            return err;
        line_len += end != NULL;
        text += line_len;
        len -= line_len;
    }
    making->line_number = 0;
    if (making->targets->count == 0)
        return fail(making, -EINVAL, "%.200s: there is no URL in it", making->options->url_file);
    return 0;
}

static int read_file(struct making *making)
{
    const char *path = making->options->url_file;
    FILE *file = fopen(path, "re");
    if (!file)
        return fail(making, -errno, "%.200s cannot be opened: %s", path, weft_strerror(errno));
    char *text = malloc(FILE_BYTES_MAX + 1);
    size_t len = text ? fread(text, 1, FILE_BYTES_MAX + 1, file) : 0;
    int err = 0;
    if (!text)
        err = out_of_memory(making);
    else if (ferror(file))
        err = fail(making, -EIO, "%.200s cannot be read", path);
    else if (len > FILE_BYTES_MAX)
        err = fail(making, -EINVAL, "%.200s is larger than 16 MiB", path);
    else
        err = read_lines(making, text, len);
    (void)fclose(file);
    free(text);
    return err;
}

/* ---- the order ------------------------------------------------------------------------- */

/* The k-th of a target's places in the order, at (2k+1)/(2 weight) of it. */
struct turn {
    uint64_t k, weight;
    uint32_t target;
};

static int by_place(const void *a, const void *b)
{
    const struct turn *left = a, *right = b;
    uint64_t before = (2 * left->k + 1) * right->weight, behind = (2 * right->k + 1) * left->weight;
    if (before != behind)
        return before < behind ? -1 : 1;
    return left->target < right->target ? -1 : left->target > right->target;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b > 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static int make_order(struct making *making)
{
    struct weft_load_targets *targets = making->targets;
    uint64_t divisor = targets->items[0].line.weight, sum = 0;
    for (size_t i = 0; i < targets->count; i++) {
        divisor = common_divisor(targets->items[i].line.weight, divisor);
        sum += targets->items[i].line.weight;
    }
    size_t len = sum / divisor, at = 0;
    if (len == 0 || len > WEFT_LOAD_ORDER_MAX)
        return fail(making, -EINVAL,
                    "the weights add up to more than %d (without their common divisor)",
                    WEFT_LOAD_ORDER_MAX);
    struct turn *turns = calloc(len, sizeof *turns);
    targets->order = calloc(len, sizeof targets->order[0]);
    if (!turns || !targets->order) {
        free(turns);
        return out_of_memory(making);
    }
    for (uint32_t i = 0; i < targets->count; i++) {
        uint64_t weight = targets->items[i].line.weight / divisor;
        for (uint64_t k = 0; k < weight; k++)
            turns[at++] = (struct turn){k, weight, i};
    }
    qsort(turns, len, sizeof *turns, by_place);
    for (at = 0; at < len; at++)
        targets->order[at] = turns[at].target;
    targets->order_len = len;
    free(turns);
    return 0;
}

/* ---- all of it ------------------------------------------------------------------------- */

static int add_only_url(struct making *making)
{
    struct weft_load_line line = {.url = strdup(making->options->url)};
    return line.url ? add_target(making, &line) : out_of_memory(making);
}

int weft_load_targets_init(struct weft_load_targets *targets,
                           const struct weft_load_options *options, char *ret_error,
                           size_t error_bytes)
{
    struct making making = {options, targets, 0, ret_error, error_bytes};
    *targets = (struct weft_load_targets){0};
    if (!options->url && !options->url_file)
        return fail(&making, -EINVAL, "the URL is missing");
    if (options->url && options->url_file)
        return fail(&making, -EINVAL, "there is a URL besides the file of URLs");
    size_t room = options->url_file ? WEFT_LOAD_TARGETS_MAX : 1;
    targets->items = calloc(room, sizeof targets->items[0]);
    if (!targets->items)
        return out_of_memory(&making);
    int err = options->url_file ? read_file(&making) : add_only_url(&making);
    return err || targets->count == 1 ? err : make_order(&making);
}

int weft_load_targets_replace(struct weft_load_targets *targets,
                              const struct weft_load_options *options, const char *method,
                              const char *body)
{
    struct making making = {.options = options, .targets = targets};
    struct weft_load_target *target = &targets->items[0];
    char *new_method = strdup(method), *new_body = strdup(body);
    if (!new_method || !new_body) {
        free(new_method);
        free(new_body);
        return -ENOMEM;
    }
    free(target->line.method);
    free(target->line.body);
    target->line.method = new_method;
    target->line.body = new_body;
    weft_load_message_deinit(&target->message);
    return make_message(&making, target);
}

void weft_load_targets_deinit(struct weft_load_targets *targets)
{
    for (size_t i = 0; i < targets->count; i++) {
        weft_load_message_deinit(&targets->items[i].message);
        weft_load_line_free(&targets->items[i].line);
    }
    free(targets->items);
    free(targets->order);
    *targets = (struct weft_load_targets){0};
}
