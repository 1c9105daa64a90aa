/* SPDX-License-Identifier: MIT
 * jobs_program.c - a program with jobs of its own, to be killed: jobs-program sqlite:PATH
 *
 * It puts in jobs without end, one or a few at a time, runs them at the same time, and writes the
 * id of each on a line of its own as soon as it is accepted. */
#include <weft/group.h>
#include <weft/jobs.h>
#include <weft/runtime.h>

#include <stdio.h>
#include <string.h>

#define AT_ONCE 5

static int task_sleep(struct weft_attempt *attempt, const void *settings)
{
    (void)attempt;
    (void)settings;
    return weft_sleep(3 * WEFT_MSEC);
}

static int task_parent(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    return weft_attempt_enqueue(attempt, &(struct weft_attempt_job){.task = "sleep"});
}

static const struct weft_handler handlers[] = {{.name = "sleep", .run = task_sleep},
                                               {.name = "parent", .run = task_parent}};

static int jobs_main(void *arg)
{
    return weft_jobs_run(arg);
}

static int put_some(struct weft_jobs *jobs, size_t count)
{
    struct weft_jobs_request requests[AT_ONCE];
    const struct weft_jobs_after first = {.index = 0};
    char lines[AT_ONCE * WEFT_JOBS_ID_BYTES + 1];
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        requests[i] = (struct weft_jobs_request){
            .task = i % 2 ? "sleep" : "parent",
            .delay_ns = i == 2 ? 20 * WEFT_MSEC : 0,
            .after = &first,
            .after_count = i == 3,
        };
    int err = weft_jobs_enqueue(jobs, requests, count, 1);
    for (size_t i = 0; !err && i < count; i++)
        used += (size_t)snprintf(lines + used, sizeof lines - used, "%s\n", requests[i].id);
    if (!err && fwrite(lines, 1, used, stdout) == used && fflush(stdout) == 0)
        return 0;
    return err ? err : -1;
}

static int program_main(void *arg)
{
    const struct weft_jobs_options options = {
        .broker = arg, .handlers = handlers, .handlers_count = 2};
    char error[256];
    struct weft_jobs *jobs;
    struct weft_group group;
    int err = weft_jobs_open(&jobs, &options, error, sizeof error);
    if (err) {
        (void)fprintf(stderr, "%s\n", error);
        return err;
    }
    err = weft_group_init(&group, NULL);
    if (!err)
        err = weft_spawn(&group, jobs_main, jobs);
    for (size_t round = 0; !err; round++)
        err = put_some(jobs, 1 + round % AT_ONCE);
    weft_group_close(&group);
    weft_jobs_close(jobs);
    return err;
}

int main(int argc, char **argv)
{
    return argc == 2 ? weft_run(NULL, program_main, argv[1]) != 0 : 2;
}
