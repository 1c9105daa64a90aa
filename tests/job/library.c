/* SPDX-License-Identifier: MIT
 * library.c - handlers from shared objects, and what is no such object. */
#include "test.h"

#include <job/library.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int load(struct weft_handler_set *set, const char *module, char *error, size_t error_bytes)
{
    char path[512];
    error[0] = '\0';
    (void)snprintf(path, sizeof path, "%s/libtask_%s.so", WEFT_TEST_MODULES, module);
    return weft_handler_set_load(set, path, error, error_bytes);
}

TEST(handlers_of_a_shared_object_join_those_of_the_program)
{
    static const struct weft_handler own = {.name = "own", .executor = WEFT_EXECUTOR_EXEC};
    struct weft_handler_set set = {0};
    char error[256];
    CHECK_EQUAL(weft_handler_set_add(&set, "the program", &own, 1, error, sizeof error), 0);
    CHECK_EQUAL(load(&set, "good", error, sizeof error), 0);
    CHECK_EQUAL(set.count, 3);
    CHECK(strcmp(set.items[0].name, "own") == 0);
    CHECK(strcmp(set.items[1].name, "module.one") == 0);
    CHECK(strcmp(set.items[2].name, "module.two") == 0);
    CHECK_EQUAL(set.items[2].run(NULL, NULL), -1);
    weft_handler_set_release(&set);
    CHECK_EQUAL(set.count, 0);
}

TEST(a_shared_object_that_is_none_of_ours_is_refused_with_a_sentence)
{
    static const struct {
        const char *module;
        int err;
        const char *text;
    } cases[] = {
        {"twice", -EINVAL, "libtask_twice.so: there is already a task module.one"},
        {"good", -EINVAL, "there is already a task module.one"}, /* once more */
        {"nameless", -EINVAL, "a task has no name"},
        {"idle", -EINVAL, "the task idle has nothing to run"},
        {"command", -EINVAL, "libtask_command.so: commands and webhooks are no functions"},
        {"old", WEFT_EVERSION, "was made for another version of weft"},
        {"large", WEFT_EVERSION, "compile it again"},
        {"empty", -ENOEXEC, "has no tasks"},
        {"other", -ENOEXEC, "has no tasks: WEFT_TASK_LIBRARY"},
        {"absent", -ENOENT, "libtask_absent.so: No such file"},
    };
    struct weft_handler_set set = {0};
    char error[512];
    CHECK_EQUAL(load(&set, "good", error, sizeof error), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_EQUAL(load(&set, cases[i].module, error, sizeof error), cases[i].err);
        CHECK(strstr(error, cases[i].text) != NULL);
        if (!strstr(error, cases[i].text))
            test_note("%s: %s", cases[i].module, error);
        CHECK_EQUAL(set.count, 2); /* nothing of it was added */
    }
    weft_handler_set_release(&set);
}

TEST(a_name_without_a_slash_is_a_file_here)
{
    struct weft_handler_set set = {0};
    char error[256], before[4096];
    REQUIRE(getcwd(before, sizeof before));
    REQUIRE(chdir(WEFT_TEST_MODULES) == 0);
    CHECK_EQUAL(weft_handler_set_load(&set, "libtask_good.so", error, sizeof error), 0);
    CHECK_EQUAL(set.count, 2);
    CHECK_EQUAL(weft_handler_set_load(&set, "libc.so.6", error, sizeof error), -ENOENT);
    REQUIRE(chdir(before) == 0);
    weft_handler_set_release(&set);
}

TEST(what_cannot_be_read_or_is_no_object_is_told_apart)
{
    struct weft_handler_set set = {0};
    char error[512], path[512];
    (void)snprintf(path, sizeof path, "%s/text.so", test_directory());
    FILE *file = fopen(path, "w");
    REQUIRE(file);
    (void)fputs("no object\n", file);
    (void)fclose(file);
    CHECK_EQUAL(weft_handler_set_load(&set, path, error, sizeof error), -ENOEXEC);
    CHECK(strstr(error, "cannot be loaded: ") != NULL);
    if (geteuid() != 0) {
        REQUIRE(chmod(path, 0) == 0);
        CHECK_EQUAL(weft_handler_set_load(&set, path, error, sizeof error), -EACCES);
    }
    CHECK_EQUAL(set.count, 0);
}

TEST(there_is_an_end_to_how_many_handlers_there_may_be)
{
    static struct weft_handler many[WEFT_LIBRARY_HANDLERS_MAX + 1];
    struct weft_handler_set set = {0};
    char error[256];
    CHECK_EQUAL(
        weft_handler_set_add(&set, "x", many, WEFT_LIBRARY_HANDLERS_MAX + 1, error, sizeof error),
        -ENOBUFS);
    CHECK(strstr(error, "more than 4096 tasks") != NULL);
    CHECK_EQUAL(set.count, 0);
    weft_handler_set_release(&set);
}
