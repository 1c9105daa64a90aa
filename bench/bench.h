/* SPDX-License-Identifier: MIT
 * bench.h - a benchmark is a body that does bench->ops operations; the runner owns the rest.
 *
 * The runner warms up, finds how many operations take about a fifth of a second, repeats, and
 * prints median and spread. Bodies run on a fiber with the real clock. */
#ifndef WEFT_BENCH_BENCH_H
#define WEFT_BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

struct bench {
    uint64_t ops;
    int64_t elapsed_ns;  /* set by a body that times itself, with ops set to what it did */
    const char *skipped; /* set by a body that cannot run here: why */
};

struct benchmark {
    const char *name, *unit;
    void (*run)(struct bench *bench);
    bool plain; /* runs on the plain thread, once per repeat, and times itself */
    struct benchmark *next;
};

void bench_register(struct benchmark *benchmark);

/* End the program: a benchmark that measures a failure is worse than none. */
_Noreturn void bench_failed(const char *file, int line, const char *text);

#define BENCH_REGISTER_(id, unit, plain)                                                           \
    static void id(struct bench *bench);                                                           \
    static struct benchmark id##_benchmark = {#id, unit, id, plain, 0};                            \
    __attribute__((constructor)) static void id##_register(void)                                   \
    {                                                                                              \
        bench_register(&id##_benchmark);                                                           \
    }                                                                                              \
    static void id(struct bench *bench)

#define BENCH(id, unit)       BENCH_REGISTER_(id, unit, false)
#define PLAIN_BENCH(id, unit) BENCH_REGISTER_(id, unit, true)

#define BENCH_REQUIRE(condition)                                                                   \
    do {                                                                                           \
        if (!(condition))                                                                          \
            bench_failed(__FILE__, __LINE__, #condition);                                          \
    } while (0)

#endif
