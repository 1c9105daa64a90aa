/* 11_map.c - ask twelve servers, three at a time: answers in the order they were asked for, then
 * the same with every answer shown as it comes, and once more giving up at the first failure.
 *
 * Run it:  build/release/examples/example-11_map */
#include <weft/weft.h>

#include <errno.h>
#include <stdio.h>

#define SERVERS 12

struct server {
    const char *name;
    int64_t answers_after_ns;
    int answer; /* negative: it fails */
};

/* One item: what would be a request takes its time. */
static int ask(void *arg, void *item, size_t index)
{
    const struct server *server = item;
    (void)arg, (void)index;
    int err = weft_sleep(server->answers_after_ns);
    return err < 0 ? err : server->answer;
}

static void show(void *arg, size_t index, int result)
{
    const struct server *servers = arg;
    printf("%s%s", servers[index].name, result < 0 ? "! " : " ");
}

static int ask_all(void *arg)
{
    struct server *servers = arg;
    int answers[SERVERS];
    int64_t start_ns = weft_now();

    /* All of them, the failed one as well; weft_map says how many failed. */
    struct weft_map_options options = {.concurrency_max = 3, .on_error = WEFT_MAP_COLLECT};
    int failed = weft_map(&options, ask, servers, servers, sizeof *servers, SERVERS, answers);
    for (int i = 0; i < SERVERS; i++)
        if (answers[i] < 0)
            printf("%s: %s\n", servers[i].name, weft_strerror(answers[i]));
        else
            printf("%s: %d\n", servers[i].name, answers[i]);
    printf("%d failed, %lld ms\n", failed, (long long)((weft_now() - start_ns) / WEFT_MSEC));

    /* As they come. */
    options.on_done = show;
    weft_map(&options, ask, servers, servers, sizeof *servers, SERVERS, NULL);
    printf("\n");

    /* The first failure cancels the others, and is the result. */
    options = (struct weft_map_options){.concurrency_max = 3, .on_done = show};
    int err = weft_map(&options, ask, servers, servers, sizeof *servers, SERVERS, NULL);
    printf(": %s\n", weft_strerror(err));
    return 0;
}

int main(void)
{
    struct server servers[SERVERS] = {
        {"a", 30 * WEFT_MSEC, 1},  {"b", 10 * WEFT_MSEC, 4},   {"c", 20 * WEFT_MSEC, 9},
        {"d", 40 * WEFT_MSEC, 16}, {"e", 45 * WEFT_MSEC, 25},  {"f", 50 * WEFT_MSEC, -ECONNREFUSED},
        {"g", 5 * WEFT_MSEC, 49},  {"h", 60 * WEFT_MSEC, 64},  {"i", 12 * WEFT_MSEC, 81},
        {"j", 7 * WEFT_MSEC, 100}, {"k", 31 * WEFT_MSEC, 121}, {"l", 3 * WEFT_MSEC, 144},
    };
    /* Pretend time passes: the example takes none, and always says the same. */
    const struct weft_run_options options = {.clock = WEFT_CLOCK_VIRTUAL};
    return weft_run(&options, ask_all, servers) < 0;
}
