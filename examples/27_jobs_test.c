/* 27_jobs_test.c - test a handler without files and without waiting: jobs in memory, virtual time.
 * The first two attempts fail, and the next come an hour later each; a schedule runs for a week.
 *
 * Run it:  build/release/examples/example-27_jobs_test */
#include <weft/weft.h>

#include <stdio.h>

/* What is to be tested: ordinary handlers. */
static int charge(struct weft_attempt *attempt, const void *settings)
{
    int64_t cents;
    int err = weft_attempt_get_int(attempt, "cents", &cents);
    (void)settings;
    if (err < 0)
        return weft_attempt_discard(attempt, "the payload has no number \"cents\"");
    if (weft_attempt_number(attempt) < 3)
        return weft_attempt_retry_after(attempt, 3600 * WEFT_SEC, "the bank is closed");
    return weft_attempt_printf_result(attempt, "{\"charged\":%d}", (int)cents);
}

static int report(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    return weft_attempt_result_json(attempt, "true", 4);
}

static const struct weft_handler handlers[] = {{.name = "charge", .run = charge},
                                               {.name = "report", .run = report}};
static const struct weft_jobs_request nightly = {.task = "report"};
static const struct weft_jobs_cron crons[] = {
    {.name = "nightly", .expression = "30 2 * * *", .job = &nightly},
};
static const struct weft_jobs_options options = {.broker = "memory:",
                                                 .handlers = handlers,
                                                 .handlers_count = 2,
                                                 .crons = crons,
                                                 .crons_count = 1,
                                                 .seed = 1,
                                                 .clock_us = 1767225600000000}; /* 2026-01-01 */

/* Everything in the caller, retries as if their times had come: the whole test. */
static int test_charge(void *arg)
{
    struct weft_jobs_request good = {.task = "charge", .payload = "{\"cents\":995}"};
    struct weft_jobs_request wrong = {.task = "charge", .payload = "{}"};
    struct weft_jobs_view *view;
    struct weft_jobs *jobs;
    (void)arg;
    int err = weft_jobs_open(&jobs, &options, NULL, 0);
    if (err < 0)
        return err;
    (void)weft_jobs_enqueue(jobs, &good, 1, 0);
    (void)weft_jobs_enqueue(jobs, &wrong, 1, 0);
    printf("attempts: %d\n", weft_jobs_drain(jobs, 1, 0));
    if (weft_jobs_find(jobs, good.id, &view) == 0) {
        printf("%s at the %drd attempt: %s\n", weft_job_state_name(view->state), (int)view->attempt,
               view->result);
        weft_jobs_view_free(view);
    }
    if (weft_jobs_find(jobs, wrong.id, &view) == 0) {
        printf("%s: %s\n", weft_job_state_name(view->state), view->error);
        weft_jobs_view_free(view);
    }
    weft_jobs_close(jobs);
    return 0;
}

static int run_jobs(void *jobs)
{
    return weft_jobs_run(jobs);
}

/* As in the real program, a fiber runs the jobs; time goes on when all of them wait. */
static int test_a_week(void *arg)
{
    struct weft_jobs_request request = {.task = "charge", .payload = "{\"cents\":995}"};
    struct weft_jobs_counts counts = {0};
    struct weft_jobs_view *view;
    struct weft_jobs *jobs;
    struct weft_group group;
    (void)arg;
    int err = weft_jobs_open(&jobs, &options, NULL, 0);
    if (err < 0)
        return err;
    weft_group_init(&group, NULL);
    weft_spawn(&group, run_jobs, jobs);
    (void)weft_jobs_enqueue(jobs, &request, 1, 0);
    if (weft_jobs_wait(jobs, request.id, WEFT_FOREVER, &view) == 0) {
        printf("charged after %d minutes\n",
               (int)((view->finished_us - view->created_us) / 60000000));
        weft_jobs_view_free(view);
    }
    (void)weft_sleep(7 * 24 * 3600 * WEFT_SEC);
    (void)weft_jobs_count(jobs, NULL, &counts);
    printf("completed in a week: %d\n", (int)counts.completed);
    weft_jobs_stop(jobs, 0);
    err = weft_group_wait(&group);
    weft_jobs_close(jobs);
    return err;
}

int main(void)
{
    const struct weft_run_options virtual_time = {.clock = WEFT_CLOCK_VIRTUAL};
    int err = weft_run(&virtual_time, test_charge, NULL);
    if (err == 0)
        err = weft_run(&virtual_time, test_a_week, NULL);
    return err < 0;
}
