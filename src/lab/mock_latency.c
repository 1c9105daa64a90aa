/* SPDX-License-Identifier: MIT
 * mock_latency.c - see mock_latency.h. */
#include <lab/mock_latency.h>

#include <base/duration.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#define SHAPE_MIN  0.01
#define SHAPE_MAX  100.0
#define WINDOW_MAX (INT64_C(24) * 3600 * 1000000000)

static const char not_a_latency[] =
    "it is none of 100ms, uniform:50ms,150ms, lognormal:80ms,0.5 and pareto:20ms,1.5";

/* strtod would ask the locale for the point, and take signs, exponents and "inf". */
bool weft_mock_decimal_parse(double *ret_value, const char *text, size_t len)
{
    double value = 0, unit = 1;
    size_t digits = 0;
    bool behind_point = false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '.' && !behind_point) {
            behind_point = true;
            continue;
        }
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
        unit *= behind_point ? 10 : 1;
        digits++;
    }
    if (digits == 0 || digits > 18) /* more say nothing that a double holds */
        return false;
    *ret_value = value / unit;
    return true;
}

/* A length of time between commas, of which *text is moved behind. */
static bool take_duration(const char **text, int64_t *ret_ns)
{
    size_t len = strcspn(*text, ",");
    if (weft_duration_parse(ret_ns, *text, len) < 0 || *ret_ns > WEFT_MOCK_LATENCY_MAX_NS)
        return false;
    *text += len;
    return true;
}

static bool take_shape(const char **text, double *ret_shape)
{
    size_t len = strcspn(*text, ",");
    if (!weft_mock_decimal_parse(ret_shape, *text, len) || *ret_shape < SHAPE_MIN ||
        *ret_shape > SHAPE_MAX)
        return false;
    *text += len;
    return true;
}

static bool take_comma(const char **text)
{
    bool there = **text == ',';
    *text += there;
    return there;
}

static const char *parse_fixed(struct weft_mock_latency *latency, const char *text)
{
    if (!take_duration(&text, &latency->low_ns) || *text)
        return "it is no length of time from 0 to 60s";
    latency->high_ns = latency->low_ns;
    return NULL;
}

static const char *parse_uniform(struct weft_mock_latency *latency, const char *text)
{
    if (!take_duration(&text, &latency->low_ns) || !take_comma(&text) ||
        !take_duration(&text, &latency->high_ns) || *text)
        return "it is not two lengths of time from 0 to 60s, like uniform:50ms,150ms";
    return latency->high_ns < latency->low_ns ? "the second time is shorter than the first" : NULL;
}

static const char *parse_shaped(struct weft_mock_latency *latency, const char *text)
{
    latency->high_ns = WEFT_MOCK_LATENCY_MAX_NS;
    if (!take_duration(&text, &latency->low_ns) || !take_comma(&text))
        return "it does not begin with a length of time from 0 to 60s and a comma";
    if (!take_shape(&text, &latency->shape))
        return "its second number is not one from 0.01 to 100";
    if (take_comma(&text) && !take_duration(&text, &latency->high_ns))
        return "its longest time is not one from 0 to 60s";
    if (*text)
        return "there is something behind it";
    return latency->high_ns < latency->low_ns ? "its longest time is shorter than its first" : NULL;
}

int weft_mock_latency_parse(struct weft_mock_latency *ret_latency, const char *text,
                            const char **ret_reason)
{
    static const struct {
        const char *prefix;
        enum weft_mock_latency_kind kind;
        const char *(*parse)(struct weft_mock_latency *latency, const char *text);
    } kinds[] = {
        {"fixed:", WEFT_MOCK_FIXED, parse_fixed},
        {"uniform:", WEFT_MOCK_UNIFORM, parse_uniform},
        {"lognormal:", WEFT_MOCK_LOGNORMAL, parse_shaped},
        {"pareto:", WEFT_MOCK_PARETO, parse_shaped},
    };
    struct weft_mock_latency latency = {.kind = WEFT_MOCK_FIXED};
    const char *reason = NULL;
    size_t i = 0;
    while (i < sizeof kinds / sizeof kinds[0] &&
           strncmp(text, kinds[i].prefix, strlen(kinds[i].prefix)) != 0)
        i++;
    if (i < sizeof kinds / sizeof kinds[0]) {
        latency.kind = kinds[i].kind;
        reason = kinds[i].parse(&latency, text + strlen(kinds[i].prefix));
    } else if (parse_fixed(&latency, text)) {
        reason = not_a_latency;
    }
    if (reason) {
        *ret_reason = reason;
        return -EINVAL;
    }
    *ret_latency = latency;
    return 0;
}

/* A number from the normal distribution (Box and Muller 1958); 1 - first is above 0. */
static double normal(double first, double second)
{
    static const double two_pi = 6.283185307179586;
    return sqrt(-2 * log(1 - first)) * cos(two_pi * second);
}

int64_t weft_mock_latency_draw(const struct weft_mock_latency *latency, double first, double second)
{
    double low = (double)latency->low_ns, drawn = 0;
    if (latency->low_ns == 0 && latency->kind != WEFT_MOCK_UNIFORM)
        return 0; /* times what may be infinite, it would be no number */
    switch (latency->kind) {
    case WEFT_MOCK_FIXED:
        drawn = low;
        break;
    case WEFT_MOCK_UNIFORM:
        drawn = low + first * ((double)(latency->high_ns - latency->low_ns) + 1);
        break;
    case WEFT_MOCK_LOGNORMAL:
        drawn = low * exp(latency->shape * normal(first, second));
        break;
    case WEFT_MOCK_PARETO:
        drawn = low * pow(1 - first, -1 / latency->shape);
        break;
    }
    return drawn < (double)latency->high_ns ? (int64_t)drawn : latency->high_ns;
}

int weft_mock_quota_parse(struct weft_mock_quota *ret_quota, const char *text,
                          const char **ret_reason)
{
    struct weft_mock_quota quota = {0};
    size_t len = strspn(text, "0123456789");
    *ret_reason = "it is not a number and a time, like 10/1s";
    if (len == 0 || len > 9 || text[len] != '/')
        return -EINVAL;
    for (size_t i = 0; i < len; i++)
        quota.requests = quota.requests * 10 + (uint64_t)(text[i] - '0');
    const char *window = text + len + 1;
    if (weft_duration_parse(&quota.window_ns, window, strlen(window)) < 0 || quota.window_ns <= 0 ||
        quota.window_ns > WINDOW_MAX)
        return -EINVAL;
    *ret_quota = quota;
    return 0;
}
