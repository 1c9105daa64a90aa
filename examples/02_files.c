/* 02_files.c - count the lines of several files at once; results in the order they were asked for.
 * A file that cannot be read is one failed task among others: the group supervises.
 *
 * Run it:  build/release/examples/example-02_files [FILE...]    without files it makes its own */
#include <weft/weft.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILES_MAX 64

static int count_lines(void *path)
{
    char buffer[2048];
    ssize_t len;
    int lines = 0, fd = weft_file_open(path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    for (int64_t at = 0; (len = weft_file_read(fd, buffer, sizeof buffer, at)) > 0; at += len)
        for (ssize_t i = 0; i < len; i++)
            lines += buffer[i] == '\n';
    weft_close(fd);
    return len < 0 ? (int)len : lines;
}

static int count_all(void *arg)
{
    char **paths = arg; /* NULL comes after the last */
    struct weft_task tasks[FILES_MAX];
    struct weft_group group;
    weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE});
    for (int i = 0; i < FILES_MAX && paths[i]; i++)
        weft_spawn_task(&group, &tasks[i], count_lines, paths[i]);
    int err = weft_group_wait(&group); /* the first failure, once all have ended */

    for (int i = 0; i < FILES_MAX && paths[i]; i++)
        if (tasks[i].result < 0)
            printf("%s: %s\n", paths[i], weft_strerror(tasks[i].result));
        else
            printf("%s: %d lines\n", paths[i], tasks[i].result);
    return err;
}

static int write_lines(const char *path, int count)
{
    char text[3600];
    int len = 0, fd = weft_file_open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    while (count-- > 0)
        len += snprintf(text + len, sizeof text - (size_t)len, "line\n");
    int err = fd < 0 ? fd : weft_file_write_all(fd, text, (size_t)len, 0, NULL);
    if (fd >= 0)
        weft_close(fd);
    return err;
}

static int count_own(void *arg)
{
    char directory[] = "/tmp/weft-XXXXXX", two[] = "two", none[] = "none", many[] = "many";
    (void)arg;
    if (!mkdtemp(directory) || chdir(directory) < 0)
        return -1;
    int err = write_lines(two, 2);
    if (err == 0)
        err = write_lines(many, 700);
    if (err == 0)
        err = count_all((char *[]){two, none, many, NULL});
    weft_file_unlink(two);
    weft_file_unlink(many);
    weft_dir_remove(directory);
    return err == -ENOENT ? 0 : err; /* of none */
}

int main(int argc, char **argv)
{
    return weft_run(NULL, argc > 1 ? count_all : count_own, argv + 1) < 0;
}
