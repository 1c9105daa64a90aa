/* SPDX-License-Identifier: MIT
 * replay.c - runs a fuzz target over stored inputs, without a fuzzing engine. Prints TAP.
 *
 * Arguments are directories; every file in them is one input. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A target that finds something aborts, which the test runner reports. */
static int replay_file(const char *directory, const char *name, uint8_t *input)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return -1;
    size_t size = fread(input, 1, INPUT_BYTES_MAX, file);
    (void)fclose(file);
    (void)LLVMFuzzerTestOneInput(input, size);
    return 0;
}

static int replay_directory(const char *directory, uint8_t *input)
{
    struct dirent *entry;
    int count = 0;
    DIR *open = opendir(directory);
    if (!open)
        return -1;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread, one directory stream */
    while (count >= 0 && (entry = readdir(open))) {
        if (entry->d_name[0] != '.')
            count = replay_file(directory, entry->d_name, input) < 0 ? -1 : count + 1;
    }
    (void)closedir(open);
    return count;
}

int main(int argc, char **argv)
{
    int failures = 0;
    uint8_t *input = malloc(INPUT_BYTES_MAX);
    if (!input)
        return 1;
    for (int i = 1; i < argc; i++) {
        int count = replay_directory(argv[i], input);
        failures += count <= 0;
        printf("%s %d - %d inputs\n", count > 0 ? "ok" : "not ok", i, count);
    }
    printf("1..%d\n", argc - 1);
    free(input);
    return failures ? 1 : 0;
}
