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

/* A whole test: everything happens in here, and retries as if their times had come. */
static int test_charge(void *arg)
{
    struct weft_jobs_request charge_ada = {.task = "charge", .payload = "{\"cents\":995}"};
    struct weft_jobs_view *view = NULL;
    struct weft_jobs *jobs;
    (void)arg;
    int err = weft_jobs_open(&jobs, &options, NULL, 0);
    if (err < 0)
        return err;
    weft_jobs_enqueue(jobs, &charge_ada, 1, 0);
    int attempts = weft_jobs_drain(jobs, 1, 0);
    err = weft_jobs_find(jobs, charge_ada.id, &view);
    if (err == 0)
        printf("%s after %d attempts: %s\n", weft_job_state_name(view->state), attempts,
               view->result);
    weft_jobs_view_free(view);
    weft_jobs_close(jobs);
    return err;
}

static int run_jobs(void *jobs)
{
    return weft_jobs_run(jobs);
}

/* As in the real program, a fiber runs the jobs; time goes on when all of them wait. */
static int test_a_week(void *arg)
{
    struct weft_jobs_request charge_ada = {.task = "charge", .payload = "{\"cents\":995}"};
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
    weft_jobs_enqueue(jobs, &charge_ada, 1, 0);
    if (weft_jobs_wait(jobs, charge_ada.id, WEFT_FOREVER, &view) == 0) {
        printf("charged after %d minutes\n",
               (int)((view->finished_us - view->created_us) / 60000000));
        weft_jobs_view_free(view);
    }
    weft_sleep(7 * 24 * 3600 * WEFT_SEC);
    weft_jobs_count(jobs, NULL, &counts);
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
