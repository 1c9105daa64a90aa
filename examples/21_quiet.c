/* 21_quiet.c - less work for the same effect: save when the typing stops, look in only every
 * second, ask once for all who ask the same, tidy up in the background. The clock is virtual.
 *
 * Run it:  build/release/examples/example-21_quiet */
#include <weft/weft.h>

#include <errno.h>
#include <stdio.h>

static void say(const char *what, int number)
{
    printf("%5.1f s  %s %d\n", (double)(weft_now() - WEFT_SEC) / 1e9, what, number);
}

static int save(void *letters)
{
    say("saved, letters:", *(int *)letters);
    return 0;
}

static int tidy(void *rounds)
{
    say("tidied up, round", ++*(int *)rounds);
    return 0;
}

static int look_up(void *price, void *ret_price, size_t ret_bytes)
{
    say("asked the market:", *(int *)ret_price = *(int *)price);
    return weft_sleep(100 * WEFT_MSEC) < 0 ? -ECANCELED : (int)ret_bytes;
}

static int ask_the_price(void *flight)
{
    int price = 42, known;
    return weft_flight_do(flight, "tea", 3, look_up, &price, &known, sizeof known, WEFT_FOREVER);
}

static int start(void *arg)
{
    struct weft_debounce *editor;
    struct weft_throttle *glances;
    struct weft_flight *flight;
    struct weft_background background;
    struct weft_group group;
    int rounds = 0;
    const struct weft_debounce_options saving = {
        .fn = save, .arg_bytes = sizeof(int), .wait_ns = WEFT_SEC / 2};
    (void)arg;
    weft_background_init(&background, NULL);
    weft_background_every(&background, &(struct weft_periodic_options){.period_ns = 2 * WEFT_SEC},
                          tidy, &rounds, "tidy");
    weft_debounce_open(&editor, &saving);
    weft_throttle_open(&glances, &(struct weft_throttle_options){.interval_ns = WEFT_SEC,
                                                                 .mode = WEFT_THROTTLE_SKIP});
    weft_flight_open(&flight, NULL);
    for (int letters = 1; letters <= 30; letters++) {
        weft_debounce_call(editor, &letters);
        if (weft_throttle_enter(glances, WEFT_NOWAIT) == 0)
            say("looked in, letters:", letters);
        weft_sleep(letters == 20 ? WEFT_SEC : 100 * WEFT_MSEC);
    }
    weft_group_init(&group, NULL);
    for (int i = 0; i < 100; i++)
        weft_spawn(&group, ask_the_price, flight);
    int err = weft_group_wait(&group);
    say("know the price:", 100);
    weft_debounce_flush(editor, WEFT_FOREVER);
    weft_flight_close(flight);
    weft_throttle_close(glances);
    weft_debounce_close(editor);
    weft_background_stop(&background, WEFT_NOWAIT);
    return err;
}

int main(void)
{
    return weft_run(&(struct weft_run_options){.clock = WEFT_CLOCK_VIRTUAL}, start, NULL) < 0;
}
