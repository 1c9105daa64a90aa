/* SPDX-License-Identifier: MIT
 * load_steps.c - the text of an open loop's steps. See weft/load.h.
 *
 *     profile = rate | step *( "," step )
 *     step    = rate [ ":" rate ] "/" duration */
#include <lab/load_steps.h>

#include <base/duration.h>

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define RATE_TEXT_MAX 32

/* A decimal number of requests per second at text, len bytes. */
static bool parse_rate(double *ret_rate, const char *text, size_t len)
{
    char copy[RATE_TEXT_MAX + 1], *end;
    /* strtod alone would take spaces, signs, "inf", "nan" and hexadecimal. */
    if (len == 0 || len > RATE_TEXT_MAX || strspn(text, "0123456789.eE+-") < len ||
        !strchr("0123456789.", *text))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *ret_rate = strtod(copy, &end);
    return *end == '\0';
}

/* Returns NULL or what is wrong. */
static const char *parse_step(struct weft_load_step *ret_step, const char *text, size_t len)
{
    static const char no_rate[] = "a rate is a number like 500 or 0.5, without a unit";
    const char *slash = memchr(text, '/', len);
    size_t rates_len = slash ? (size_t)(slash - text) : len;
    const char *colon = memchr(text, ':', rates_len);
    size_t from_len = colon ? (size_t)(colon - text) : rates_len;
    struct weft_load_step step = {0};
    if (!parse_rate(&step.from_per_s, text, from_len))
        return no_rate;
    step.to_per_s = step.from_per_s;
    if (colon && !parse_rate(&step.to_per_s, colon + 1, rates_len - from_len - 1))
        return no_rate;
    if (colon && !slash)
        return "a ramp needs its length, like 100:1000/30s";
    if (slash && (weft_duration_parse(&step.length_ns, slash + 1, len - rates_len - 1) < 0 ||
                  step.length_ns == 0))
        return "a length is a duration above 0, like 30s or 1m30s";
    *ret_step = step;
    return NULL;
}

const char *weft_load_steps_check(const struct weft_load_step *steps, size_t count)
{
    double most = 0;
    if (count > WEFT_LOAD_STEPS_MAX)
        return "there are more than 64 steps";
    for (size_t i = 0; i < count; i++) {
        const struct weft_load_step *step = &steps[i];
        bool valid = step->from_per_s >= 0 && step->from_per_s <= WEFT_LOAD_RATE_MAX &&
                     step->to_per_s >= 0 && step->to_per_s <= WEFT_LOAD_RATE_MAX;
        bool alone = count == 1 && !(step->from_per_s < step->to_per_s) &&
                     !(step->from_per_s > step->to_per_s);
        if (!valid)
            return "a rate is not between 0 and 1e9";
        if (step->length_ns < 0 || (step->length_ns == 0 && !alone))
            return "a step needs its length, like 100/10s";
        most = fmax(most, fmax(step->from_per_s, step->to_per_s));
    }
    return most < WEFT_LOAD_RATE_MIN ? "the rate is below 0.001" : NULL;
}

int weft_load_steps_parse(struct weft_load_step *ret_steps, size_t *ret_count, const char *text,
                          const char **ret_reason)
{
    size_t count = 0;
    const char *reason = NULL;
    for (bool last = false; !last && !reason;) {
        size_t len = strcspn(text, ",");
        last = text[len] == '\0';
        if (count == WEFT_LOAD_STEPS_MAX)
            reason = "there are more than 64 steps";
        else
            reason = parse_step(&ret_steps[count++], text, len);
        text += len + 1;
    }
    if (!reason)
        reason = weft_load_steps_check(ret_steps, count);
    if (reason) {
        *ret_reason = reason;
        return -EINVAL;
    }
    *ret_count = count;
    return 0;
}
