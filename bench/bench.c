/* SPDX-License-Identifier: MIT
 * bench.c - weft-bench: runs benchmarks and prints one line for each. See bench.h. */
#include "bench.h"

#include <weft/base.h>
#include <weft/runtime.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS       11
#define RUNS_MAX   101
#define RUN_NS     (200 * WEFT_MSEC)
#define OPS_MAX    (UINT64_C(1) << 40)
#define PLAIN_RUNS 5
#define NAMES_MAX  64

static struct benchmark *first_benchmark;

struct result {
    double ns[RUNS_MAX];
    int runs;
    const char *skipped;
};

void bench_register(struct benchmark *benchmark)
{
    struct benchmark **place = &first_benchmark;
    while (*place && strcmp((*place)->name, benchmark->name) < 0)
        place = &(*place)->next;
    benchmark->next = *place;
    *place = benchmark;
}

void bench_failed(const char *file, int line, const char *text)
{
    (void)fprintf(stderr, "weft-bench: %s:%d: %s does not hold\n", file, line, text);
    exit(1);
}

struct call {
    const struct benchmark *benchmark;
    struct bench bench;
};

static int run_on_fiber(void *arg)
{
    struct call *call = arg;
    int64_t start_ns = weft_now();
    call->benchmark->run(&call->bench);
    if (call->bench.elapsed_ns == 0)
        call->bench.elapsed_ns = weft_now() - start_ns;
    return 0;
}

static struct bench run_once(const struct benchmark *benchmark, uint64_t ops)
{
    struct call call = {.benchmark = benchmark, .bench = {.ops = ops}};
    if (benchmark->plain)
        benchmark->run(&call.bench);
    else
        BENCH_REQUIRE(weft_run(NULL, run_on_fiber, &call) == 0);
    return call.bench;
}

/* Grow until a run is long enough to measure, then scale to the wanted length. */
static uint64_t calibrate(const struct benchmark *benchmark)
{
    uint64_t ops = 1000;
    struct bench bench = run_once(benchmark, ops);
    while (!bench.skipped && bench.elapsed_ns < RUN_NS / 10 && ops < OPS_MAX) {
        ops *= 4;
        bench = run_once(benchmark, ops);
    }
    if (bench.skipped)
        return 0;
    double scaled = (double)ops * (double)RUN_NS / (double)bench.elapsed_ns;
    return scaled < 1 ? 1 : (uint64_t)scaled;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* runs 0: the usual number */
static struct result measure(const struct benchmark *benchmark, int runs)
{
    struct result result = {.runs = runs ? runs : benchmark->plain ? PLAIN_RUNS : RUNS};
    uint64_t ops = benchmark->plain ? 0 : calibrate(benchmark);
    for (int i = 0; i < result.runs; i++) {
        struct bench bench = run_once(benchmark, ops);
        if (bench.skipped) {
            result.skipped = bench.skipped;
            return result;
        }
        result.ns[i] = (double)bench.elapsed_ns / (double)bench.ops;
    }
    qsort(result.ns, (size_t)result.runs, sizeof result.ns[0], compare);
    return result;
}

static void print_text(const struct benchmark *benchmark, const struct result *result)
{
    if (result->skipped) {
        printf("%-22s skipped: %s\n", benchmark->name, result->skipped);
        return;
    }
    double median = result->ns[result->runs / 2];
    printf("%-22s %12.1f ns/op %14.0f %s/s   min %.1f  max %.1f  (%d runs)\n", benchmark->name,
           median, 1e9 / median, benchmark->unit, result->ns[0], result->ns[result->runs - 1],
           result->runs);
}

static void print_json(const struct benchmark *benchmark, const struct result *result)
{
    if (result->skipped) {
        printf("{\"name\":\"%s\",\"skipped\":\"%s\"}\n", benchmark->name, result->skipped);
        return;
    }
    printf("{\"name\":\"%s\",\"unit\":\"%s\",\"runs\":%d,\"ns_per_op\":%.2f,\"min\":%.2f,"
           "\"max\":%.2f}\n",
           benchmark->name, benchmark->unit, result->runs, result->ns[result->runs / 2],
           result->ns[0], result->ns[result->runs - 1]);
}

struct arguments {
    bool json, list;
    int runs; /* 0: the usual number */
    const char *names[NAMES_MAX];
    int names_len;
};

static _Noreturn void usage(int status)
{
    (void)fprintf(stderr, "usage: weft-bench [--json] [--list] [--runs=N] [name...]\nbenchmarks:");
    for (struct benchmark *b = first_benchmark; b; b = b->next)
        (void)fprintf(stderr, " %s", b->name);
    (void)fprintf(stderr, "\n");
    exit(status);
}

static struct arguments parse(int argc, char **argv)
{
    struct arguments arguments = {.json = false};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            arguments.json = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            arguments.list = true;
        } else if (strncmp(argv[i], "--runs=", 7) == 0) {
            arguments.runs = atoi(argv[i] + 7);
            if (arguments.runs < 1 || arguments.runs > RUNS_MAX)
                usage(2);
        } else if (argv[i][0] == '-' || arguments.names_len == NAMES_MAX) {
            usage(strcmp(argv[i], "--help") == 0 ? 0 : 2);
        } else {
            arguments.names[arguments.names_len++] = argv[i];
        }
    }
    return arguments;
}

static bool chosen(const char *name, const struct arguments *arguments)
{
    for (int i = 0; i < arguments->names_len; i++) {
        if (strcmp(name, arguments->names[i]) == 0)
            return true;
    }
    return arguments->names_len == 0;
}

int main(int argc, char **argv)
{
    struct arguments arguments = parse(argc, argv);
    unsigned ran = 0;
    for (struct benchmark *b = first_benchmark; b; b = b->next) {
        if (!chosen(b->name, &arguments))
            continue;
        ran++;
        if (arguments.list) {
            puts(b->name);
            continue;
        }
        struct result result = measure(b, arguments.runs);
        if (arguments.json)
            print_json(b, &result);
        else
            print_text(b, &result);
        (void)fflush(stdout);
    }
    if (ran == 0)
        (void)fprintf(stderr, "weft-bench: no benchmark of that name; see --help\n");
    return ran == 0 ? 2 : 0;
}
