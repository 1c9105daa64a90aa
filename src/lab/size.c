/* SPDX-License-Identifier: MIT
 * size.c - see size.h. The formulas of the capacity guide, and fibers by the same rule: half of
 * the available memory divided by what one costs.
 *
 * The guide contradicts itself in places; its formula wins over its examples:
 * - estimate_memory_usage(4, 1000) is said to be 4 GB; 4,000 threads of 8 MB are 31.25 GB. The
 *   same for (8, 500), and (16, 1000) is 125 GB, not 16.
 * - its table gives an 8 GB machine 1,000 threads and a 4 GB one 250; its code gives 250 and 100.
 * - its matrix has a row of 16 workers; its code allows at most 8. */
#include <weft/size.h>

#include <lab/machine.h>

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIB            ((uint64_t)1 << 30)
#define WORKERS_MAX    8u
#define CPUS_MAX       65536u
#define NO_LIMIT_BYTES UINT64_MAX
#define PATH_BYTES     1024 /* a group with a longer path is passed over */

static uint64_t threads_for(uint64_t memory_bytes)
{
    static const struct {
        uint64_t memory_bytes, threads;
    } steps[] = {{32 * GIB, 1000}, {16 * GIB, 500}, {8 * GIB, 250}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (memory_bytes >= steps[i].memory_bytes)
            return steps[i].threads;
    }
    return 100;
}

void weft_size_for(const struct weft_machine *machine, struct weft_size *ret_size)
{
    uint64_t usable_bytes = machine->available_bytes / 2;
    struct weft_size size = {.workers = machine->cpus};
    if (size.workers < 1)
        size.workers = 1;
    if (size.workers > WORKERS_MAX)
        size.workers = WORKERS_MAX;
    size.threads_per_worker = threads_for(machine->memory_bytes);
    size.threads_memory_bytes = size.workers * size.threads_per_worker * WEFT_THREAD_BYTES;
    size.threads_memory_max = usable_bytes / WEFT_THREAD_BYTES;
    size.fibers_per_worker = usable_bytes / WEFT_FIBER_BYTES / size.workers;
    size.fibers_memory_bytes = size.workers * size.fibers_per_worker * WEFT_FIBER_BYTES;
    *ret_size = size;
}

/* The number at the beginning of a text, spaces before it allowed.
 * Returns false, *ret_value untouched, when there is none or it is too large. */
static bool parse_number(const char *text, uint64_t *ret_value)
{
    char *end;
    text += strspn(text, " \t");
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno)
        return false;
    *ret_value = value;
    return true;
}

/* A file with one number. Returns NO_LIMIT_BYTES when it is missing or says "max". */
static uint64_t read_number(const char *path)
{
    uint64_t value = NO_LIMIT_BYTES;
    char line[32];
    FILE *file = fopen(path, "re");
    if (!file)
        return NO_LIMIT_BYTES;
    if (fgets(line, sizeof line, file))
        (void)parse_number(line, &value);
    (void)fclose(file);
    return value;
}

struct memory_group {
    uint64_t limit_bytes, used_bytes;
};

/* Look at a group and those around it: the tightest limit counts. group is "/a/b" or "/". */
static void read_group(struct memory_group *tightest, const char *base, const char *group,
                       const char *limit_name, const char *used_name)
{
    char path[PATH_BYTES], place[PATH_BYTES];
    (void)snprintf(place, sizeof place, "%s", strcmp(group, "/") == 0 ? "" : group);
    for (;;) {
        if ((size_t)snprintf(path, sizeof path, "%s%s/%s", base, place, limit_name) < sizeof path) {
            uint64_t limit_bytes = read_number(path);
            if (limit_bytes < tightest->limit_bytes &&
                (size_t)snprintf(path, sizeof path, "%s%s/%s", base, place, used_name) <
                    sizeof path) {
                uint64_t used_bytes = read_number(path);
                tightest->limit_bytes = limit_bytes;
                tightest->used_bytes = used_bytes == NO_LIMIT_BYTES ? 0 : used_bytes;
            }
        }
        char *slash = strrchr(place, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
}

static bool names_memory(const char *controllers)
{
    const char *at = strstr(controllers, "memory");
    return at && (at == controllers || at[-1] == ',') && (at[6] == '\0' || at[6] == ',');
}

/* /proc/self/cgroup has a line "id:controllers:path" per hierarchy; version 2 is id 0 without
 * controllers. */
static struct memory_group read_groups(const char *root)
{
    struct memory_group tightest = {NO_LIMIT_BYTES, 0};
    char path[PATH_BYTES], line[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    if (!file)
        return tightest;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *controllers++ = '\0';
        *group++ = '\0';
        bool unified = strcmp(line, "0") == 0 && *controllers == '\0';
        if (!unified && !names_memory(controllers))
            continue;
        (void)snprintf(path, sizeof path, "%s/sys/fs/cgroup%s", root, unified ? "" : "/memory");
        if (unified)
            read_group(&tightest, path, group, "memory.max", "memory.current");
        else
            read_group(&tightest, path, group, "memory.limit_in_bytes", "memory.usage_in_bytes");
    }
    (void)fclose(file);
    return tightest;
}

static int read_meminfo(const char *root, uint64_t *ret_total, uint64_t *ret_available)
{
    static const char total[] = "MemTotal:", available[] = "MemAvailable:";
    char path[PATH_BYTES], line[256];
    uint64_t total_kib = 0, available_kib = 0;
    (void)snprintf(path, sizeof path, "%s/proc/meminfo", root);
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, total, strlen(total)) == 0)
            (void)parse_number(line + strlen(total), &total_kib);
        else if (strncmp(line, available, strlen(available)) == 0)
            (void)parse_number(line + strlen(available), &available_kib);
    }
    (void)fclose(file);
    if (total_kib == 0 || available_kib == 0)
        return -ENODATA;
    *ret_total = total_kib << 10;
    *ret_available = available_kib << 10;
    return 0;
}

int weft_machine_read_memory(struct weft_machine *ret_machine, const char *root)
{
    uint64_t total_bytes = 0, available_bytes = 0;
    int err = read_meminfo(root, &total_bytes, &available_bytes);
    if (err)
        return err;
    struct memory_group group = read_groups(root);
    if (group.limit_bytes < total_bytes) {
        uint64_t left =
            group.used_bytes < group.limit_bytes ? group.limit_bytes - group.used_bytes : 0;
        total_bytes = group.limit_bytes;
        if (left < available_bytes)
            available_bytes = left;
    }
    ret_machine->memory_bytes = total_bytes;
    ret_machine->available_bytes = available_bytes;
    return 0;
}

/* The kernel refuses a set smaller than its own, whose size it does not tell. */
static int count_cpus(unsigned *ret_cpus)
{
    for (unsigned cpus_max = CPU_SETSIZE; cpus_max <= CPUS_MAX; cpus_max *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus_max);
        if (!set)
            return -ENOMEM;
        size_t set_bytes = CPU_ALLOC_SIZE(cpus_max);
        int err = sched_getaffinity(0, set_bytes, set) == 0 ? 0 : -errno;
        int count = err ? 0 : CPU_COUNT_S(set_bytes, set);
        CPU_FREE(set);
        if (err == 0)
            *ret_cpus = (unsigned)count;
        if (err != -EINVAL)
            return err;
    }
    return -EINVAL;
}

int weft_machine_read(struct weft_machine *ret_machine)
{
    struct weft_machine machine = {0};
    int err = count_cpus(&machine.cpus);
    if (err == 0)
        err = weft_machine_read_memory(&machine, "");
    if (err == 0)
        *ret_machine = machine;
    return err;
}
