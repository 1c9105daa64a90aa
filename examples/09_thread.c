/* 09_thread.c - a thread that is not weft's own works with fibers: it calls into the runtime and
 * waits for the answer, and it sends through a channel.
 *
 * Run it:  build/release/examples/example-09_thread */
#include <weft/weft.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

struct sensor {
    struct weft_runtime *runtime;
    struct weft_channel readings; /* of int */
    pthread_t thread;
    int started; /* the thread was made */
    int threshold;
};

static int read_threshold(void *arg) /* a fiber: may wait, and may use what only fibers touch */
{
    struct sensor *sensor = arg;
    int err = weft_sleep(WEFT_MSEC);
    return err < 0 ? err : sensor->threshold;
}

static void *measure(void *arg) /* a plain thread */
{
    struct sensor *sensor = arg;
    int threshold = weft_call(sensor->runtime, read_threshold, sensor), err = 0;
    printf("thread: readings from %d on\n", threshold);
    for (int reading = 17; err == 0 && reading <= 23; reading++)
        if (reading >= threshold)
            err = weft_send(&sensor->readings, &reading, WEFT_FOREVER); /* blocks when full */
    weft_channel_close(&sensor->readings, -ENODATA);
    weft_runtime_release(sensor->runtime);
    return NULL;
}

static int show_readings(void *arg)
{
    struct sensor *sensor = arg;
    int reading, err;
    sensor->runtime = weft_runtime_acquire(); /* the thread gives it back */
    err = -pthread_create(&sensor->thread, NULL, measure, sensor);
    if (err < 0) {
        weft_runtime_release(sensor->runtime);
        return err;
    }
    sensor->started = 1;
    while ((err = weft_receive(&sensor->readings, &reading, WEFT_FOREVER)) == 0)
        printf("fiber: %d\n", reading);
    weft_channel_close(&sensor->readings, err); /* were this fiber cancelled, the thread is told */
    printf("fiber: no more\n");
    return err == -ENODATA ? 0 : err;
}

int main(void)
{
    struct sensor sensor = {.threshold = 20};
    int err = weft_channel_init_with(
        &sensor.readings, &(struct weft_channel_options){
                              .item_bytes = sizeof(int), .capacity = 2, .sharing = WEFT_SHARED});
    if (err == 0)
        err = weft_run(NULL, show_readings, &sensor);
    if (sensor.started)
        pthread_join(sensor.thread, NULL);
    weft_channel_deinit(&sensor.readings);
    return err < 0;
}
