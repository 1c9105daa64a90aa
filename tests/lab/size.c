/* SPDX-License-Identifier: MIT
 * size.c - the capacity guide's formulas, and reading memory limits from made-up /proc trees. */
#include <lab/machine.h>
#include <weft/size.h>

#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define GIB ((uint64_t)1 << 30)
#define MIB ((uint64_t)1 << 20)

/* Cores and memory of the guide's recommendation table and decision matrix. Expected values are
 * from its formula; where its tables say something else, the comment has what they say. */
TEST(size_follows_the_formula_of_the_guide)
{
    static const struct {
        uint64_t memory_gib;
        unsigned cpus, workers;
        uint64_t threads, memory_mib;
    } vectors[] = {
        {8, 4, 4, 250, 8000},     /* development; the tables: 1000 threads */
        {16, 8, 8, 500, 32000},   /* production, "4GB memory usage" */
        {32, 16, 8, 1000, 64000}, /* high performance; the matrix: 16 workers */
        {4, 2, 2, 100, 1600},     /* cloud instance; the tables: 250 threads */
        {2, 1, 1, 100, 800},      /* container */
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint64_t bytes = vectors[i].memory_gib * GIB;
        struct weft_machine machine = {vectors[i].cpus, bytes, bytes};
        struct weft_size size;
        weft_size_for(&machine, &size);
        CHECK_EQUAL(size.workers, vectors[i].workers);
        CHECK_EQUAL(size.threads_per_worker, vectors[i].threads);
        CHECK_EQUAL(size.threads_memory_bytes, vectors[i].memory_mib * MIB);
    }
}

TEST(four_thousand_threads_are_31_gib_not_4)
{
    /* estimate_memory_usage(4, 1000) of the guide: 32000 MB, 31.25 GB; its comment says 4 GB. */
    struct weft_machine machine = {4, 32 * GIB, 32 * GIB};
    struct weft_size size;
    weft_size_for(&machine, &size);
    CHECK_EQUAL(size.workers * size.threads_per_worker, 4000);
    CHECK_EQUAL(size.threads_memory_bytes, 32000 * MIB);
}

TEST(half_of_the_available_memory_is_the_bound)
{
    struct weft_machine machine = {2, 8 * GIB, 7 * GIB};
    struct weft_size size;
    weft_size_for(&machine, &size);
    CHECK_EQUAL(size.threads_memory_max, 448); /* 3.5 GiB / 8 MiB */
    CHECK_EQUAL(size.fibers_per_worker, 262144);
    CHECK_EQUAL(size.fibers_memory_bytes, 7 * GIB / 2);
}

TEST(steps_change_exactly_at_their_memory)
{
    static const struct {
        uint64_t bytes, threads;
    } vectors[] = {{32 * GIB, 1000},    {32 * GIB - 1, 500}, {16 * GIB, 500},
                   {16 * GIB - 1, 250}, {8 * GIB, 250},      {8 * GIB - 1, 100}};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct weft_machine machine = {1, vectors[i].bytes, 0};
        struct weft_size size;
        weft_size_for(&machine, &size);
        CHECK_EQUAL(size.threads_per_worker, vectors[i].threads);
    }
}

TEST(a_machine_of_nothing_still_has_one_worker)
{
    struct weft_machine machine = {0, 0, 0};
    struct weft_size size;
    weft_size_for(&machine, &size);
    CHECK_EQUAL(size.workers, 1);
    CHECK_EQUAL(size.threads_memory_max, 0);
    CHECK_EQUAL(size.fibers_per_worker, 0);
}

TEST(this_machine_can_be_read)
{
    struct weft_machine machine = {0};
    CHECK_EQUAL(weft_machine_read(&machine), 0);
    CHECK(machine.cpus >= 1);
    CHECK(machine.memory_bytes >= machine.available_bytes);
}

/* Write a file below root and make the directories on its way. */
static void write_file(const char *root, const char *path, const char *content)
{
    char place[512];
    REQUIRE((size_t)snprintf(place, sizeof place, "%s%s", root, path) < sizeof place);
    for (char *at = place + 1; (at = strchr(at, '/')); *at++ = '/') {
        *at = '\0';
        REQUIRE(mkdir(place, 0755) == 0 || errno == EEXIST);
    }
    FILE *file = fopen(place, "w");
    REQUIRE(file);
    REQUIRE(fputs(content, file) >= 0 && fclose(file) == 0);
}

static const char meminfo[] = "MemTotal:       1000 kB\nMemFree: 5 kB\nMemAvailable:   800 kB\n";

static struct weft_machine memory_of(const char *name, const char *groups, const char *files[][2])
{
    struct weft_machine machine = {0};
    char root[256];
    (void)snprintf(root, sizeof root, "%s/%s", test_directory(), name);
    write_file(root, "/proc/meminfo", meminfo);
    if (groups)
        write_file(root, "/proc/self/cgroup", groups);
    for (size_t i = 0; files && files[i][0]; i++)
        write_file(root, files[i][0], files[i][1]);
    CHECK_EQUAL(weft_machine_read_memory(&machine, root), 0);
    return machine;
}

TEST(without_control_groups_meminfo_counts)
{
    struct weft_machine machine = memory_of("plain", NULL, NULL);
    CHECK_EQUAL(machine.memory_bytes, 1000 << 10);
    CHECK_EQUAL(machine.available_bytes, 800 << 10);
}

TEST(a_limit_of_max_is_none)
{
    const char *files[][2] = {{"/sys/fs/cgroup/a/memory.max", "max\n"}, {NULL, NULL}};
    struct weft_machine machine = memory_of("max", "0::/a\n", files);
    CHECK_EQUAL(machine.memory_bytes, 1000 << 10);
}

TEST(the_tightest_group_on_the_way_up_counts)
{
    const char *files[][2] = {{"/sys/fs/cgroup/a/b/memory.max", "700000\n"},
                              {"/sys/fs/cgroup/a/b/memory.current", "1\n"},
                              {"/sys/fs/cgroup/a/memory.max", "500000\n"},
                              {"/sys/fs/cgroup/a/memory.current", "100000\n"},
                              {NULL, NULL}};
    struct weft_machine machine = memory_of("v2", "0::/a/b\n", files);
    CHECK_EQUAL(machine.memory_bytes, 500000);
    CHECK_EQUAL(machine.available_bytes, 400000);
}

TEST(a_container_sees_its_group_at_the_root)
{
    const char *files[][2] = {{"/sys/fs/cgroup/memory.max", "600000\n"},
                              {"/sys/fs/cgroup/memory.current", "700000\n"},
                              {NULL, NULL}};
    struct weft_machine machine = memory_of("root", "0::/\n", files);
    CHECK_EQUAL(machine.memory_bytes, 600000);
    CHECK_EQUAL(machine.available_bytes, 0);
}

TEST(version_1_limits_count_too)
{
    const char *files[][2] = {
        {"/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "300000\n"},
        {"/sys/fs/cgroup/memory/a/memory.usage_in_bytes", "0\n"},
        {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"},
        {NULL, NULL}};
    struct weft_machine machine =
        memory_of("v1", "11:memoryless:/x\n4:cpu,memory:/a\n0::/\n", files);
    CHECK_EQUAL(machine.memory_bytes, 300000);
    CHECK_EQUAL(machine.available_bytes, 300000);
}

TEST(meminfo_without_its_lines_is_an_error)
{
    struct weft_machine machine = {.cpus = 3};
    char root[256];
    (void)snprintf(root, sizeof root, "%s/broken", test_directory());
    CHECK_EQUAL(weft_machine_read_memory(&machine, root), -ENOENT);
    write_file(root, "/proc/meminfo", "MemTotal: 1000 kB\n");
    CHECK_EQUAL(weft_machine_read_memory(&machine, root), -ENODATA);
    CHECK_EQUAL(machine.memory_bytes, 0);
}
