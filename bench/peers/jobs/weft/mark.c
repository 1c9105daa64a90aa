/* SPDX-License-Identifier: MIT
 * mark.c - weft's job in bench/jobs: notes the time and that it ran under its number, in the file
 * JOBS_MARKS that is mapped into memory, as the jobs of all peers do. bench/peers/jobs/driver.py
 * says what is where in it.
 *
 *     {"number": "12"}    a string, because weft load puts the number of a request before two more
 *                         digits: "012"; with "seconds" it waits so long before it ends */
#include <weft/runtime.h>
#include <weft/task.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t *times, *counts;
static int64_t marks_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void map_marks(void)
{
    struct stat info;
    const char *path = getenv("JOBS_MARKS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    if (fstat(fd, &info) == 0) {
        void *map = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_POPULATE, fd, 0);
        if (map != MAP_FAILED) {
            marks_count = info.st_size / 16;
            times = map;
            counts = times + marks_count;
        }
    }
    (void)close(fd);
}

static int mark(struct weft_attempt *attempt, const void *settings)
{
    const char *number;
    struct timespec now;
    (void)settings;
    (void)pthread_once(&once, map_marks);
    if (weft_attempt_get_string(attempt, "number", &number))
        return weft_attempt_discard(attempt, "the payload has no string \"number\"");
    int64_t index = strtoll(number, NULL, 10);
    if (!times || index < 0 || index >= marks_count)
        return weft_attempt_discard(attempt, "there is no place for the mark of %s", number);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    atomic_store(&times[index], now.tv_sec * INT64_C(1000000000) + now.tv_nsec);
    (void)atomic_fetch_add(&counts[index], 1);
    double seconds = 0;
    (void)weft_attempt_get_double(attempt, "seconds", &seconds);
    return seconds > 0 ? weft_sleep((int64_t)(seconds * 1e9)) : 0;
}

static const struct weft_handler handlers[] = {{.name = "mark", .run = mark}};
WEFT_TASK_LIBRARY(handlers);
