/* 01_hello.c - fibers in a group: straight-line C that takes turns, and a block that waits for all.
 *
 * Run it:  build/release/examples/example-01_hello */
#include <weft/weft.h>

#include <stdio.h>

static int greet(void *arg)
{
    const char *name = arg;
    printf("hello, %s\n", name);
    int err = weft_yield(); /* give way: the others say hello before this one goes on */
    printf("goodbye, %s\n", name);
    return err;
}

static int greet_all(void *arg)
{
    char names[][8] = {"Ada", "Grace", "Barbara"};
    struct weft_group group;
    (void)arg;

    weft_group_init(&group, NULL);
    for (int i = 0; i < 3; i++)
        weft_spawn(&group, greet, names[i]); /* a spawn that fails shows in the wait */
    int err = weft_group_wait(&group);       /* all have ended, so names[] may go */

    printf("nobody is left\n");
    return err;
}

int main(void)
{
    return weft_run(NULL, greet_all, NULL) < 0;
}
