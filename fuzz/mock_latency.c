/* SPDX-License-Identifier: MIT
 * mock_latency.c - distributions and quotas of the mock server from arbitrary bytes: what is taken
 * draws nothing outside of its bounds, and what is refused has a reason and leaves the output
 * alone.
 *
 * The first two bytes of the input are the numbers that are drawn with. */
#include <lab/mock_latency.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_draws(const struct weft_mock_latency *latency, double first, double second)
{
    const double ends[] = {0, first, 1 - 0x1.0p-53};
    check(latency->low_ns >= 0 && latency->high_ns >= latency->low_ns &&
          latency->high_ns <= WEFT_MOCK_LATENCY_MAX_NS);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        int64_t drawn_ns = weft_mock_latency_draw(latency, ends[i], second);
        int64_t least_ns = latency->kind == WEFT_MOCK_LOGNORMAL ? 0 : latency->low_ns;
        check(drawn_ns >= least_ns && drawn_ns <= latency->high_ns);
        check(latency->low_ns > 0 || latency->kind == WEFT_MOCK_UNIFORM || drawn_ns == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t len = size - 2;
    char *text = malloc(len + 1); /* of exactly the size, for a sanitizer */
    check(text != NULL);
    memcpy(text, data + 2, len);
    text[len] = '\0';

    struct weft_mock_latency latency = {.low_ns = -7};
    const char *reason = NULL;
    int err = weft_mock_latency_parse(&latency, text, &reason);
    check(err == 0 || err == -EINVAL);
    if (err == 0)
        check_draws(&latency, data[0] / 256.0, data[1] / 256.0);
    else
        check(latency.low_ns == -7 && reason && *reason);

    struct weft_mock_quota quota = {.window_ns = -7};
    err = weft_mock_quota_parse(&quota, text, &reason);
    check(err == 0 ? quota.window_ns > 0 : err == -EINVAL && quota.window_ns == -7);

    double value = -7;
    bool good = weft_mock_decimal_parse(&value, text, len);
    check(good ? value >= 0 && value < 1e18 : value < 0);
    free(text);
    return 0;
}
