/* SPDX-License-Identifier: MIT
 * size.c - `weft size`: what fits this machine, with threads and with fibers side by side, and the
 * capacity guide's matrix of configurations. */
#include "commands.h"
#include "print.h"

#include <weft/size.h>

#include <inttypes.h>
#include <stdio.h>

struct size_arguments {
    bool json;
};

/* The guide's matrix. Its memory figures are minimums; what its own formula says the threads
 * take is printed beside them. */
static const struct setup {
    const char *priority, *memory, *cpus;
    unsigned workers, threads;
} matrix[] = {
    {"maximum performance", "32GB+", "16+", 16, 1000},
    {"production stability", "16GB+", "8+", 8, 500},
    {"development testing", "8GB+", "4+", 4, 1000},
    {"resource optimization", "4GB+", "2+", 2, 250},
    {"minimal footprint", "2GB+", "1+", 1, 100},
};
#define MATRIX (sizeof matrix / sizeof matrix[0])

static void print_row(const char *name, const char *threads, const char *fibers)
{
    (void)printf("%-22s%14s%14s\n", name, threads, fibers);
}

static void print_counts(const char *name, uint64_t threads, uint64_t fibers)
{
    (void)printf("%-22s%14" PRIu64 "%14" PRIu64 "\n", name, threads, fibers);
}

static void print_matrix(void)
{
    char threads[FIGURE_BYTES], fibers[FIGURE_BYTES];
    (void)printf("\n%-23s%-7s%-5s%16s%12s%12s\n", "the guide's setups", "memory", "cpus", "setup",
                 "as threads", "as fibers");
    for (size_t i = 0; i < MATRIX; i++) {
        const struct setup *setup = &matrix[i];
        uint64_t jobs = (uint64_t)setup->workers * setup->threads;
        (void)printf("%-23s%-7s%-5s%9u x %-4u%12s%12s\n", setup->priority, setup->memory,
                     setup->cpus, setup->workers, setup->threads,
                     format_bytes(threads, jobs * WEFT_THREAD_BYTES),
                     format_bytes(fibers, jobs * WEFT_FIBER_BYTES));
    }
}

static void print_table(const struct weft_machine *machine, const struct weft_size *size)
{
    char threads[FIGURE_BYTES], fibers[FIGURE_BYTES];
    (void)printf("this machine: %u cpus, %s memory", machine->cpus,
                 format_bytes(threads, machine->memory_bytes));
    (void)printf(", %s available\n\n", format_bytes(threads, machine->available_bytes));
    print_row("", "threads", "fibers");
    print_row("memory of one", format_bytes(threads, WEFT_THREAD_BYTES),
              format_bytes(fibers, WEFT_FIBER_BYTES));
    print_counts("workers", size->workers, size->workers);
    print_counts("per worker", size->threads_per_worker, size->fibers_per_worker);
    print_counts("jobs at once", size->workers * size->threads_per_worker,
                 size->workers * size->fibers_per_worker);
    print_row("memory for them", format_bytes(threads, size->threads_memory_bytes),
              format_bytes(fibers, size->fibers_memory_bytes));
    print_counts("in half of available", size->threads_memory_max,
                 size->workers * size->fibers_per_worker);
    if (size->workers * size->threads_per_worker > size->threads_memory_max)
        (void)printf("\nThat many threads do not fit in half of the available memory.\n");
    print_matrix();
}

static void print_json(const struct weft_machine *machine, const struct weft_size *size)
{
    (void)printf("{\"machine\": {\"cpus\": %u, \"memory_bytes\": %" PRIu64
                 ", \"available_bytes\": %" PRIu64 "},\n",
                 machine->cpus, machine->memory_bytes, machine->available_bytes);
    (void)printf(" \"workers\": %u,\n", size->workers);
    (void)printf(
        " \"threads\": {\"bytes_each\": %" PRIu64 ", \"per_worker\": %" PRIu64
        ", \"total\": %" PRIu64 ", \"memory_bytes\": %" PRIu64 ", \"total_max\": %" PRIu64 "},\n",
        WEFT_THREAD_BYTES, size->threads_per_worker, size->workers * size->threads_per_worker,
        size->threads_memory_bytes, size->threads_memory_max);
    (void)printf(" \"fibers\": {\"bytes_each\": %" PRIu64 ", \"per_worker\": %" PRIu64
                 ", \"total\": %" PRIu64 ", \"memory_bytes\": %" PRIu64 "},\n",
                 WEFT_FIBER_BYTES, size->fibers_per_worker, size->workers * size->fibers_per_worker,
                 size->fibers_memory_bytes);
    (void)printf(" \"setups\": [");
    for (size_t i = 0; i < MATRIX; i++) {
        uint64_t jobs = (uint64_t)matrix[i].workers * matrix[i].threads;
        (void)printf("%s\n  {\"priority\": \"%s\", \"workers\": %u, \"per_worker\": %u, "
                     "\"threads_memory_bytes\": %" PRIu64 ", \"fibers_memory_bytes\": %" PRIu64 "}",
                     i ? "," : "", matrix[i].priority, matrix[i].workers, matrix[i].threads,
                     jobs * WEFT_THREAD_BYTES, jobs * WEFT_FIBER_BYTES);
    }
    (void)printf("]}\n");
}

static int run(const struct command *command, int argc, char **argv)
{
    struct size_arguments arguments = {0};
    struct settings settings;
    struct weft_machine machine;
    struct weft_size size;
    int status = options_read(command, argc, argv, &arguments, &settings);
    settings_release(&settings);
    if (status != EXIT_OK)
        return status == OPTIONS_HELPED ? EXIT_OK : status;

    int err = weft_machine_read(&machine);
    if (err) {
        complain(command->name, "this machine cannot be read: %s", weft_strerror(err));
        return EXIT_FAILED;
    }
    weft_size_for(&machine, &size);
    if (arguments.json)
        print_json(&machine, &size);
    else
        print_table(&machine, &size);
    return EXIT_OK;
}

static const struct option options[] = {
    {.name = "json",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct size_arguments, json),
     .help = "print a JSON object"},
    {.name = NULL},
};

const struct command command_size = {
    .name = "size",
    .summary = "show how much concurrency fits this machine",
    .description =
        "Threads by the capacity guide: workers = min(cpus, 8), 1000 threads each from\n"
        "32 GiB of memory, 500 from 16, 250 from 8, else 100; 8 MiB per thread.\n"
        "Fibers by measure: as many waiting jobs as half of the available memory holds.\n",
    .options = options,
    .examples = "  weft size\n  weft size --json\n",
    .run = run,
};
