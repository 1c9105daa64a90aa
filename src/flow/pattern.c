/* SPDX-License-Identifier: MIT
 * pattern.c - see pattern.h. */
#include <flow/pattern.h>

#include <runtime/worker.h>

#include <errno.h>
#include <string.h>
#include <sys/random.h>

int weft_pattern_name(char target[WEFT_NAME_MAX + 1], const char *name, const char *kind)
{
    if (!name)
        name = kind;
    size_t len = strnlen(name, WEFT_NAME_MAX + 1);
    if (len > WEFT_NAME_MAX)
        return -EINVAL;
    memcpy(target, name, len);
    target[len] = 0;
    return 0;
}

static uint64_t seed_from_kernel(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed)
        return seed;
    return (uint64_t)weft_now();
}

void weft_pattern_seed(struct weft_random *random, uint64_t seed)
{
    struct weft_worker *worker = weft_current_worker;
    if (seed == 0)
        seed = worker && worker->repeats ? weft_random_next(&worker->random) : seed_from_kernel();
    weft_random_seed(random, seed);
}

void weft_pattern_secret(uint64_t secret[2], uint64_t seed)
{
    struct weft_random random;
    weft_random_seed(&random, seed ? seed : seed_from_kernel());
    secret[0] = weft_random_next(&random);
    secret[1] = weft_random_next(&random);
}

double weft_pattern_draw(struct weft_random *random)
{
    return (double)(weft_random_next(random) >> 11) * 0x1p-53;
}
