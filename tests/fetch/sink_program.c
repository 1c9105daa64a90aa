/* SPDX-License-Identifier: MIT
 * sink_program.c - a program that is killed: puts one result for each of COUNT requests that has
 * none in DATABASE yet, into the database and a file of JSON lines, and says "N\n" on standard
 * output when N of this run are safe by a flush.
 *
 *     sink-program DATABASE LINES COUNT      (LINES "-": standard output gets the lines instead)
 *     sink-program --memory DATABASE COUNT   (says how far its resident memory grew, in KiB) */
#include <weft/weft.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PORTION 256u

struct work {
    const char *database, *lines;
    unsigned count;
    bool memory;
};

static void say(const char *text)
{
    size_t len = strlen(text);
    if (write(STDOUT_FILENO, text, len) != (ssize_t)len)
        _exit(3);
}

static int fail(const char *text)
{
    (void)fprintf(stderr, "%s\n", text);
    return -EIO;
}

static int put(struct weft_sink *sink, unsigned i)
{
    char url[64];
    (void)snprintf(url, sizeof url, "http://host/%u", i);
    const struct weft_fetch_result result = {
        .url = url, .status_code = 200, .attempt = 1, .content_type = "text/plain"};
    return weft_sink_put(sink, &result, WEFT_FOREVER);
}

/* The next requests, which are asked about together. */
static int work_on(struct weft_sink *sink, struct weft_resume *resume, unsigned first,
                   unsigned count, unsigned *put_count)
{
    struct weft_fingerprint prints[PORTION];
    unsigned char done[PORTION] = {0};
    for (unsigned i = 0; i < count; i++) {
        char url[64];
        (void)snprintf(url, sizeof url, "http://host/%u", first + i);
        if (weft_fingerprint(&prints[i], NULL, url, NULL, 0, NULL) < 0)
            return -ENOMEM;
    }
    int64_t taken = resume ? weft_resume_take(resume, prints, count, done) : 0;
    int err = taken < 0 ? (int)taken : 0;
    for (unsigned i = 0; i < count && err == 0; i++) {
        if (done[i])
            continue;
        err = put(sink, first + i);
        *put_count += err == 0;
    }
    return err;
}

/* In KiB. */
static long resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1)
        pages = -1;
    if (file)
        (void)fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int put_all(const struct work *work, struct weft_sink *sink, struct weft_resume *resume)
{
    unsigned put_count = 0;
    long before = 0, most = 0;
    int err = 0;
    for (unsigned first = 0; first < work->count && err == 0; first += PORTION) {
        unsigned left = work->count - first;
        char text[32];
        err = work_on(sink, resume, first, left < PORTION ? left : PORTION, &put_count);
        if (work->memory) {
            long now = resident();
            if (first < work->count / 10)
                before = now > before ? now : before;
            most = now > most ? now : most;
            continue;
        }
        if (err == 0 && (first / PORTION) % 4 == 3)
            err = weft_sink_flush(sink, WEFT_FOREVER);
        (void)snprintf(text, sizeof text, "%u\n", put_count);
        if (err == 0 && (first / PORTION) % 4 == 3 && strcmp(work->lines, "-") != 0)
            say(text);
    }
    if (work->memory)
        printf("%ld\n", most - before);
    return err;
}

static int run(void *arg)
{
    const struct work *work = arg;
    const struct weft_sink_output outputs[] = {
        {.path = work->database, .existing = WEFT_SINK_APPEND},
        {.path = work->lines, .existing = WEFT_SINK_APPEND}};
    const struct weft_sink_options options = {
        .outputs = outputs, .outputs_count = work->lines ? 2 : 1, .batch_max = 100};
    const struct weft_resume_options of = {.path = work->database};
    struct weft_sink *sink = NULL;
    struct weft_resume *resume = NULL;
    char error[300] = "";
    int err = weft_sink_open(&sink, &options, error, sizeof error);
    if (err == 0)
        err = weft_resume_open(&resume, &of, error, sizeof error);
    if (err < 0)
        (void)fail(error);
    if (err == 0)
        err = put_all(work, sink, resume);
    if (err == 0)
        err = weft_sink_finish(sink, WEFT_FOREVER);
    if (err < 0 && sink)
        (void)fail(weft_sink_error(sink));
    weft_resume_close(resume);
    weft_sink_close(sink);
    return err;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    struct work work = {argv[1], argv[2], (unsigned)strtoul(argv[3], NULL, 10), false};
    if (strcmp(argv[1], "--memory") == 0) {
        work.database = argv[2];
        work.lines = NULL;
        work.memory = true;
    }
    return weft_run(NULL, run, &work) < 0;
}
