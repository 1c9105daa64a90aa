/* SPDX-License-Identifier: MIT
 * sink_kill.c - a program that writes results is killed again and again: what a flush has waited
 * for is there, files go on, and in the end the database has every request once.
 *
 * WEFT_KILL_ROUNDS sets the number of rounds, WEFT_KILL_SEED the seed; the seed is printed. */
#include "sink_box.h"

#include <base/random.h>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* tests/meson.build puts it beside this program. */
static pid_t start_program(const char *first, const char *second, const char *third, int *ret_fd)
{
    static char path[4096];
    posix_spawn_file_actions_t actions;
    int ends[2];
    pid_t pid;
    char *argv[] = {path, strdup(first), strdup(second), strdup(third), NULL};
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 32);
    REQUIRE(len > 0);
    path[len] = '\0';
    (void)strcpy(strrchr(path, '/') + 1, "fetch/sink-program");
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    REQUIRE(posix_spawn_file_actions_init(&actions) == 0);
    REQUIRE(posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO) == 0);
    REQUIRE(posix_spawn(&pid, path, &actions, NULL, argv, environ) == 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    for (int i = 1; i < 4; i++)
        free(argv[i]);
    *ret_fd = ends[0];
    return pid;
}

static int end_of(pid_t pid)
{
    int status;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    return status;
}

static unsigned long number_of(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : otherwise;
}

#define COUNT      30000u
#define COUNT_TEXT "30000"

/* Let it work until it has said some numbers, and kill it, then or a moment later. Returns the last
 * one that it said; *ret_ended: it was through before. */
static unsigned live_and_die(const char *database, const char *lines, struct weft_random *random,
                             bool *ret_ended)
{
    int fd;
    char line[32];
    unsigned last = 0, told = 0;
    unsigned until = (unsigned)weft_random_below(random, 8);
    pid_t pid = start_program(database, lines, COUNT_TEXT, &fd);
    FILE *stream = fdopen(fd, "r");
    REQUIRE(stream);
    if (until == 0)
        (void)kill(pid, SIGKILL);
    while (fgets(line, sizeof line, stream)) {
        if (!strchr(line, '\n'))
            break; /* cut off */
        last = (unsigned)strtoul(line, NULL, 10);
        if (++told == until) {
            const struct timespec moment = {.tv_nsec = (long)weft_random_below(random, 2000000)};
            (void)nanosleep(&moment, NULL);
            (void)kill(pid, SIGKILL);
        }
    }
    (void)fclose(stream);
    int status = end_of(pid);
    *ret_ended = WIFEXITED(status);
    CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return last;
}

TEST(killed_again_and_again_the_database_has_every_request_once)
{
    unsigned long seed = number_of("WEFT_KILL_SEED", (unsigned long)time(NULL));
    unsigned long rounds = number_of("WEFT_KILL_ROUNDS", 12);
    const char *database = box_path("kill.sqlite"), *lines = box_path("kill.jsonl");
    struct weft_random random;
    bool ended = false;
    int64_t before = 0;
    weft_random_seed(&random, seed);
    test_note("WEFT_KILL_SEED=%lu", seed);
    for (unsigned long round = 0; round < rounds && !ended; round++) {
        struct stat info;
        unsigned safe = live_and_die(database, lines, &random, &ended);
        if (stat(database, &info) < 0) {
            CHECK_EQUAL(safe, 0);
            continue;
        }
        int64_t tables =
            box_number(database, "SELECT count(*) FROM sqlite_master WHERE name = 'results'");
        int64_t rows = tables ? box_number(database, "SELECT count(*) FROM results") : 0;
        char *text = box_read(lines, NULL);
        CHECK(rows >= before + safe);
        CHECK((text ? box_lines(text) : 0) >= rows); /* it is written first */
        free(text);
        before = rows;
    }
    int fd;
    pid_t pid = start_program(database, lines, COUNT_TEXT, &fd);
    char chunk[256];
    while (read(fd, chunk, sizeof chunk) > 0) {
    }
    (void)close(fd);
    CHECK_EQUAL(end_of(pid), 0);
    CHECK_EQUAL(box_number(database, "SELECT count(*) FROM results"), COUNT);
    CHECK_EQUAL(box_number(database, "SELECT count(DISTINCT url) FROM results"), COUNT);
    CHECK_EQUAL(box_number(database, "SELECT count(*) FROM pragma_integrity_check"
                                     " WHERE integrity_check = 'ok'"),
                1);
    /* The file may have some twice: those that were written there, and not in the database. */
    char *text = box_read(lines, NULL);
    REQUIRE(text);
    CHECK(box_lines(text) >= COUNT);
    unsigned whole = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
        whole += strncmp(line, "{\"url\":\"http://host/", 20) == 0 && end[-1] == '}';
    CHECK_EQUAL(whole, box_lines(text));
    free(text);
}

TEST(standard_output_gets_every_line)
{
    int fd;
    unsigned lines = 0;
    char chunk[4096];
    ssize_t len;
    pid_t pid = start_program(box_path("stdout.sqlite"), "-", "1000", &fd);
    while ((len = read(fd, chunk, sizeof chunk)) > 0) {
        for (ssize_t i = 0; i < len; i++)
            lines += chunk[i] == '\n';
    }
    (void)close(fd);
    CHECK_EQUAL(end_of(pid), 0);
    CHECK_EQUAL(lines, 1000);
}

TEST(a_reader_of_standard_output_that_goes_ends_the_program_with_an_error)
{
    int fd;
    pid_t pid = start_program(box_path("pipe.sqlite"), "-", "100000", &fd);
    (void)close(fd);
    int status = end_of(pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

/* Sanitizers keep what was freed. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_SAYS_NOTHING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MEMORY_SAYS_NOTHING 1
#endif
#endif

TEST(memory_does_not_grow_with_the_number_of_results)
{
#ifdef MEMORY_SAYS_NOTHING
    test_skip("a sanitizer keeps what was freed");
#else
    const char *database = box_path("memory.sqlite");
    for (int run = 0; run < 2; run++) { /* the second one finds every result */
        int fd;
        char text[64] = "";
        pid_t pid = start_program("--memory", database, "200000", &fd);
        ssize_t len = read(fd, text, sizeof text - 1);
        (void)close(fd);
        CHECK_EQUAL(end_of(pid), 0);
        CHECK(len > 0);
        long grown = strtol(text, NULL, 10);
        test_note("%ld KiB", grown);
        CHECK(grown < 24 * 1024); /* the caches of two databases, 16 MiB each, fill up */
    }
    CHECK_EQUAL(box_number(database, "SELECT count(*) FROM results"), 200000);
#endif
}
