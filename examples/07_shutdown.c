/* 07_shutdown.c - a service that ends well: SIGTERM or Ctrl-C cancels its work, background tasks
 * get time to finish, and those that do not are cancelled. A second Ctrl-C kills it at once.
 *
 * Run it:  build/release/examples/example-07_shutdown [--serve]    by itself it sends the signal */
#include <weft/weft.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM};

static int until_signal(void *work)
{
    int signal = weft_signal_cancel(work, signals, 2);
    if (signal > 0)
        printf("%s: no new work\n", signal == SIGINT ? "SIGINT" : "SIGTERM");
    return signal;
}

static int rebuild_index(void *arg) /* takes longer than anybody waits */
{
    int err = weft_sleep(3600 * WEFT_SEC);
    (void)arg;
    printf("index: %s\n", weft_strerror(err));
    return err;
}

static int report(void *background) /* again and again, until the service stops */
{
    while (weft_background_sleep(background, WEFT_SEC) == 0)
        printf("report: all is well\n");
    int err = weft_sleep(10 * WEFT_MSEC); /* there is still time: the keeper waits */
    printf("report: %s\n", err < 0 ? weft_strerror(err) : "the last one is written");
    return err;
}

static int serve(void *send_signal)
{
    struct weft_background background;
    struct weft_group group;
    struct weft_scope work;
    weft_background_init(&background, NULL);
    weft_group_init(&group, NULL); /* outside the scope that its fiber cancels */
    weft_scope_enter(&work, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
    weft_spawn(&group, until_signal, &work);

    weft_background_start(&background, report, &background, "report");
    weft_background_start(&background, rebuild_index, NULL, "index");
    if (*(int *)send_signal)
        kill(getpid(), SIGTERM);
    int err = weft_sleep(3600 * WEFT_SEC); /* here a server would accept connections */

    err = weft_scope_leave(&work, err); /* 0 when the scope was cancelled: that is how it ends */
    int forced = weft_background_stop(&background, weft_now() + 300 * WEFT_MSEC);
    printf("%d task had to be cancelled\n", forced);
    weft_group_close(&group);
    return err;
}

int main(int argc, char **argv)
{
    int send_signal = argc == 1;
    (void)argv;
    weft_signal_block(signals, 2); /* before any thread is made */
    return weft_run(NULL, serve, &send_signal) < 0;
}
