/* 05_pipeline.c - three stages connected by channels that hold two items: who is ahead waits.
 * A stage that stops closes its channels and says why; the last one gets everything before that.
 *
 * Run it:  build/release/examples/example-05_pipeline */
#include <weft/weft.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define AT_END (-ENODATA) /* why a channel is closed when all went well */

struct pipeline {
    const char *const *words;    /* NULL comes after the last */
    struct weft_channel texts;   /* of const char * */
    struct weft_channel numbers; /* of long */
};

static int read_words(void *arg)
{
    struct pipeline *p = arg;
    int err = 0;
    for (const char *const *word = p->words; *word && err == 0; word++)
        err = weft_send(&p->texts, word, WEFT_FOREVER);
    weft_channel_close(&p->texts, AT_END);
    return err; /* why the next stage takes no more */
}

static int parse(void *arg)
{
    struct pipeline *p = arg;
    const char *text;
    char *end;
    int err = 0;
    while (err == 0 && (err = weft_receive(&p->texts, &text, WEFT_FOREVER)) == 0) {
        long number = strtol(text, &end, 10);
        err = *end ? -EINVAL : weft_send(&p->numbers, &number, WEFT_FOREVER);
    }
    weft_channel_close(&p->texts, err);   /* upstream: send no more, and why */
    weft_channel_close(&p->numbers, err); /* downstream: no more will come, and why */
    return err == AT_END ? 0 : err;
}

static int add(void *arg)
{
    struct pipeline *p = arg;
    long number, sum = 0;
    int err;
    while ((err = weft_receive(&p->numbers, &number, WEFT_FOREVER)) == 0)
        sum += number;
    printf("sum %ld, %s\n", sum, err == AT_END ? "complete" : weft_strerror(err));
    return err == AT_END ? 0 : err;
}

static int run_pipeline(void *words)
{
    struct pipeline p = {.words = words};
    struct weft_group stages;
    int err = weft_channel_init(&p.texts, sizeof(const char *), 2);
    if (err == 0)
        err = weft_channel_init(&p.numbers, sizeof(long), 2);
    if (err < 0)
        goto out;
    weft_group_init(&stages, &(struct weft_group_options){.policy = WEFT_SUPERVISE});
    weft_spawn(&stages, read_words, &p);
    weft_spawn(&stages, parse, &p);
    weft_spawn(&stages, add, &p);
    err = weft_group_wait(&stages);
out:
    weft_channel_deinit(&p.texts);
    weft_channel_deinit(&p.numbers);
    return err;
}

int main(void)
{
    const char *good[] = {"1", "2", "3", "4", "5", NULL}, *bad[] = {"1", "2", "three", "4", NULL};
    return weft_run(NULL, run_pipeline, good) < 0 || weft_run(NULL, run_pipeline, bad) != -EINVAL;
}
