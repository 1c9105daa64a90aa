/* 08_workers.c - two workers share a priority queue: what is urgent overtakes what only waits.
 * The clock is virtual, so the jobs take no time and end the same way on every run.
 *
 * Run it:  build/release/examples/example-08_workers */
#include <weft/weft.h>

#include <errno.h>
#include <stdio.h>

#define WORKERS 2

enum priority {
    URGENT, /* the lowest number comes out first */
    NORMAL,
    IDLE,
};

struct job {
    const char *name;
    int64_t duration_ns;
    enum priority priority;
};

static const struct job early[] = {
    {"clean up", 2 * WEFT_SEC, IDLE},
    {"picture 1", 1 * WEFT_SEC, NORMAL},
    {"picture 2", 2 * WEFT_SEC, NORMAL},
    {"picture 3", 2 * WEFT_SEC, NORMAL},
};
static const struct job late = {"charge the customer", 1 * WEFT_SEC, URGENT};

static int work(void *arg)
{
    struct weft_priority_queue *queue = arg;
    struct job job;
    int err;
    while ((err = weft_priority_queue_pop(queue, &job, WEFT_FOREVER)) == 0) {
        printf("%s\n", job.name);
        err = weft_sleep(job.duration_ns);
        if (err < 0)
            break;
    }
    return err == -EPIPE ? 0 : err; /* closed, and nothing is left */
}

static int push(struct weft_priority_queue *queue, const struct job *job)
{
    return weft_priority_queue_push(queue, job, job->priority, WEFT_FOREVER);
}

static int start(void *arg)
{
    struct weft_priority_queue queue;
    struct weft_group workers;
    (void)arg;
    int err = weft_priority_queue_init(&queue, sizeof(struct job), 100, WEFT_AUTO);
    for (size_t i = 0; err == 0 && i < sizeof early / sizeof early[0]; i++)
        err = push(&queue, &early[i]);
    if (err < 0)
        return err;

    weft_group_init(&workers, NULL);
    for (int i = 0; i < WORKERS; i++)
        weft_spawn(&workers, work, &queue);
    weft_sleep(WEFT_SEC / 2); /* each is busy with a picture */
    err = push(&queue, &late);
    weft_priority_queue_close(&queue, 0); /* no more comes: the workers end when it is empty */
    int workers_err = weft_group_wait(&workers);
    weft_priority_queue_deinit(&queue);
    return err < 0 ? err : workers_err;
}

int main(void)
{
    return weft_run(&(struct weft_run_options){.clock = WEFT_CLOCK_VIRTUAL}, start, NULL) < 0;
}
