/* 12_file_pipeline.c - read files, change them, write them elsewhere: three stages with short
 * queues between, so that slow writing holds back reading. A file that cannot be read is skipped.
 *
 * Run it:  build/release/examples/example-12_file_pipeline */
#include <weft/weft.h>

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct document { /* copied from stage to stage; what is larger goes by pointer, with a drop */
    char path[8], text[100];
    ssize_t len;
};

static int read_file(void *arg, const void *in, void *out)
{
    struct document *document = memcpy(out, in, sizeof *document);
    (void)arg;
    int fd = weft_file_open(document->path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    document->len = weft_file_read(fd, document->text, sizeof document->text, 0);
    weft_close(fd);
    return document->len < 0 ? (int)document->len : 1;
}

static int to_upper(void *arg, const void *in, void *out)
{
    struct document *document = memcpy(out, in, sizeof *document);
    (void)arg;
    for (ssize_t i = 0; i < document->len; i++)
        document->text[i] = (char)toupper(document->text[i]);
    (void)strcat(document->path, ".out");
    return 1;
}

static int write_file(void *arg, const void *in, void *out)
{
    const struct document *document = in;
    (void)arg, (void)out;
    int fd = weft_file_open(document->path, O_WRONLY | O_CREAT, 0600);
    if (fd < 0)
        return fd;
    printf("%s: %.*s", document->path, (int)document->len, document->text);
    int err = weft_file_write_all(fd, document->text, (size_t)document->len, 0, NULL);
    weft_close(fd);
    return err < 0 ? err : weft_file_unlink(document->path);
}

static int convert(void *names)
{
    const size_t bytes = sizeof(struct document);
    const struct weft_stage_options stages[] = {
        {"read", .fn = read_file, .item_bytes_in = bytes, .item_bytes_out = bytes, .queue_max = 4,
         .workers = 3, .ordered = 1, .on_error = WEFT_STAGE_SKIP},
        {"upper", .fn = to_upper, .item_bytes_in = bytes, .item_bytes_out = bytes, .queue_max = 4},
        {"write", .fn = write_file, .item_bytes_in = bytes, .queue_max = 4},
    };
    const struct weft_pipeline_options options = {.stages = stages, .stage_count = 3};
    struct weft_pipeline *pipeline = NULL;
    int err = weft_pipeline_open(&pipeline, &options);
    for (const char *name = names; err == 0 && *name; name++)
        err = weft_pipeline_push(pipeline, &(struct document){.path = {*name}}, WEFT_FOREVER);
    err = err < 0 ? err : weft_pipeline_finish(pipeline, WEFT_FOREVER); /* all are through */
    weft_pipeline_close(pipeline);
    return err;
}

int main(void)
{
    char directory[] = "/tmp/weft-XXXXXX", names[] = "abcdefg"; /* there is no g */
    return !mkdtemp(directory) || chdir(directory) < 0 ||
           system("for name in a b c d e f; do echo text of $name >$name; done") != 0 ||
           weft_run(NULL, convert, names) < 0 || system("rm ?; rmdir \"$PWD\"") != 0;
}
