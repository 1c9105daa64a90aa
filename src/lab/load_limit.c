/* SPDX-License-Identifier: MIT
 * load_limit.c - conditions under which a load has failed. See weft/load.h.
 *
 *     limit  = figure ( ">" | ">=" | "<" | "<=" ) value
 *     figure = "p" percent | "min" | "mean" | "max" | "rate" | "errors" | "not-started"
 *     value  = duration | rate | number | percent "%" */
#include <base/duration.h>
#include <lab/load_result.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 32
#define NAME_BYTES 16

enum figure {
    FIGURE_PERCENTILE,
    FIGURE_MIN,
    FIGURE_MEAN,
    FIGURE_MAX,
    FIGURE_RATE,
    FIGURE_ERRORS,
    FIGURE_NOT_STARTED,
};

enum unit {
    UNIT_NS,
    UNIT_NUMBER,
    UNIT_PERCENT,
};

struct limit {
    enum figure figure;
    char name[NAME_BYTES];
    uint32_t millionths; /* of a percentile */
    bool above;          /* fails above the value, else below */
    bool inclusive;
    enum unit unit;
    double value;
};

/* A plain decimal number of len bytes: digits, perhaps a point and digits. */
static bool parse_number(double *ret_value, const char *text, size_t len)
{
    char copy[NUMBER_MAX + 1], *end;
    if (len == 0 || len > NUMBER_MAX || strspn(text, "0123456789.") < len || *text == '.')
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *ret_value = strtod(copy, &end);
    return *end == '\0';
}

static bool parse_figure(struct limit *limit, const char *text, size_t len)
{
    static const struct {
        const char *name;
        enum figure figure;
    } names[] = {
        {"min", FIGURE_MIN},   {"mean", FIGURE_MEAN},     {"max", FIGURE_MAX},
        {"rate", FIGURE_RATE}, {"errors", FIGURE_ERRORS}, {"not-started", FIGURE_NOT_STARTED},
    };
    double percent;
    if (len >= sizeof limit->name)
        return false;
    memcpy(limit->name, text, len);
    limit->name[len] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(limit->name, names[i].name) == 0) {
            limit->figure = names[i].figure;
            return true;
        }
    }
    limit->figure = FIGURE_PERCENTILE;
    if (len < 2 || *text != 'p' || !parse_number(&percent, text + 1, len - 1) || percent > 100)
        return false;
    limit->millionths = (uint32_t)(percent * 10000 + 0.5);
    return true;
}

static bool parse_value(struct limit *limit, const char *text)
{
    size_t len = strlen(text);
    int64_t value_ns;
    if (limit->figure <= FIGURE_MAX) {
        limit->unit = UNIT_NS;
        if (weft_duration_parse(&value_ns, text, len) < 0)
            return false;
        limit->value = (double)value_ns;
        return true;
    }
    limit->unit = UNIT_NUMBER;
    if (limit->figure != FIGURE_RATE && len > 0 && text[len - 1] == '%') {
        limit->unit = UNIT_PERCENT;
        len--;
    }
    return parse_number(&limit->value, text, len);
}

/* Returns NULL or what is wrong. */
static const char *parse_limit(struct limit *limit, const char *text)
{
    size_t len = strcspn(text, "<>");
    *limit = (struct limit){.above = text[len] == '>'};
    if (text[len] == '\0')
        return "it has no < or >, as in p99>50ms";
    if (!parse_figure(limit, text, len))
        return "it begins with none of p50, p99.9 and so on, min, mean, max, rate, errors, "
               "not-started";
    text += len + 1;
    limit->inclusive = *text == '=';
    if (parse_value(limit, text + limit->inclusive))
        return NULL;
    if (limit->figure <= FIGURE_MAX)
        return "a latency is compared with a duration, like 50ms";
    return limit->figure == FIGURE_RATE ? "a rate is compared with a number"
                                        : "it is compared with a number or a share, like 1%";
}

static double share_of(uint64_t count, uint64_t of)
{
    return of > 0 ? 100.0 * (double)count / (double)of : 0;
}

static double measured(const struct limit *limit, const struct weft_load_result *result)
{
    const struct weft_load_counts *total = &result->total;
    uint64_t due = total->requests + result->not_started;
    bool share = limit->unit == UNIT_PERCENT;
    switch (limit->figure) {
    case FIGURE_PERCENTILE:
        return (double)weft_histogram_percentile(result->data->total.latency, limit->millionths);
    case FIGURE_MIN:
        return (double)total->latency.min_ns;
    case FIGURE_MEAN:
        return (double)total->latency.mean_ns;
    case FIGURE_MAX:
        return (double)total->latency.max_ns;
    case FIGURE_RATE:
        return result->requests_per_s;
    case FIGURE_ERRORS:
        return share ? share_of(total->failed, total->requests) : (double)total->failed;
    case FIGURE_NOT_STARTED:
        return share ? share_of(result->not_started, due) : (double)result->not_started;
    }
    return 0;
}

static void print_value(char *text, size_t bytes, const struct limit *limit, double value)
{
    if (limit->unit == UNIT_NS)
        (void)snprintf(text, bytes, "%.6g ms", value / 1e6);
    else
        (void)snprintf(text, bytes, "%.6g%s", value, limit->unit == UNIT_PERCENT ? " %" : "");
}

int weft_load_limit_check(const char *text, const struct weft_load_result *result, char *ret_text,
                          size_t text_bytes)
{
    struct limit limit;
    char got[NUMBER_MAX], wanted[NUMBER_MAX];
    const char *reason = parse_limit(&limit, text);
    if (reason) {
        if (text_bytes > 0)
            (void)snprintf(ret_text, text_bytes, "'%.60s' is not a limit: %s", text, reason);
        return -EINVAL;
    }
    if (!result)
        return 0;
    double value = measured(&limit, result);
    bool beyond = limit.above ? value > limit.value : value < limit.value;
    bool equal = !(value > limit.value) && !(value < limit.value);
    /* Of nothing, no latency can be said to be low enough. */
    bool unknown = limit.unit == UNIT_NS && result->total.succeeded == 0;
    if (!beyond && !(limit.inclusive && equal) && !unknown)
        return 0;
    print_value(got, sizeof got, &limit, value);
    print_value(wanted, sizeof wanted, &limit, limit.value);
    if (text_bytes > 0 && unknown)
        (void)snprintf(ret_text, text_bytes, "%s is not known: no request succeeded", limit.name);
    else if (text_bytes > 0)
        (void)snprintf(ret_text, text_bytes, "%s is %s, and fails %s %s", limit.name, got,
                       limit.above       ? limit.inclusive ? "from" : "above"
                       : limit.inclusive ? "down from"
                                         : "below",
                       wanted);
    return 1;
}
