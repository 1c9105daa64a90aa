/* SPDX-License-Identifier: MIT
 * file.c - files and directories, by the ring and by threads. */
#include "descriptors.h"
#include "test.h"

#include <os/request.h>
#include <runtime/request.h>
#include <runtime/worker.h>
#include <weft/file.h>
#include <weft/group.h>
#include <weft/io.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *path_of(const char *name)
{
    static char paths[4][200];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", test_directory(), name);
    return path;
}

static int open_new(const char *name)
{
    int fd = weft_file_open(path_of(name), O_RDWR | O_CREAT | O_TRUNC, 0640);
    REQUIRE(fd >= 0);
    return fd;
}

FIBER_TEST(what_is_written_to_a_file_is_read_from_it)
{
    char text[16] = "";
    size_t done = 0;
    int fd = open_new("rw");
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_EQUAL(weft_file_write(fd, "hello", 5, 3), 5);
    CHECK_EQUAL(weft_file_sync_data(fd), 0);
    CHECK_EQUAL(weft_file_sync(fd), 0);
    CHECK_EQUAL(weft_file_read(fd, text, sizeof text, 0), 8);
    CHECK(memcmp(text, "\0\0\0hello", 8) == 0);
    CHECK_EQUAL(weft_file_read(fd, text, sizeof text, 8), 0);
    CHECK_EQUAL(weft_file_read_all(fd, text, 5, 3, &done), 0);
    CHECK_EQUAL(done, 5);
    CHECK_EQUAL(weft_file_read_all(fd, text, 6, 3, &done), -ENODATA);
    CHECK_EQUAL(done, 5);
    CHECK_EQUAL(weft_file_truncate(fd, 4), 0);
    CHECK_EQUAL(weft_file_read(fd, text, sizeof text, 0), 4);
    CHECK_EQUAL(weft_close(fd), 0);
}

FIBER_TEST(a_large_file_is_whole)
{
    enum {
        LEN = 5 << 20
    };
    unsigned char *data = malloc(LEN), *back = malloc(LEN);
    size_t done = 0;
    REQUIRE(data && back);
    for (size_t i = 0; i < LEN; i++)
        data[i] = (unsigned char)(i * 11 + i / 257);
    int fd = open_new("large");
    CHECK_EQUAL(weft_file_write_all(fd, data, LEN, 0, &done), 0);
    CHECK_EQUAL(done, LEN);
    CHECK_EQUAL(weft_file_sync(fd), 0);
    CHECK_EQUAL(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED),
                0); /* from the disk, if there is one */
    CHECK_EQUAL(weft_file_read_all(fd, back, LEN, 0, &done), 0);
    CHECK_EQUAL(done, LEN);
    CHECK(memcmp(data, back, LEN) == 0);
    CHECK_EQUAL(weft_close(fd), 0);
    free(data);
    free(back);
}

FIBER_TEST(errors_come_back_as_the_kernel_gave_them)
{
    struct weft_file_info info = {.links = 77};
    char byte = 'x';
    struct weft_dir *dir = NULL;
    int before = open_descriptors();
    CHECK_EQUAL(weft_file_open(path_of("missing"), O_RDONLY, 0), -ENOENT);
    CHECK_EQUAL(weft_file_stat(path_of("missing"), &info), -ENOENT);
    CHECK_EQUAL(info.links, 77);
    CHECK_EQUAL(weft_file_rename(path_of("missing"), path_of("other")), -ENOENT);
    CHECK_EQUAL(weft_file_unlink(path_of("missing")), -ENOENT);
    CHECK_EQUAL(weft_dir_remove(path_of("missing")), -ENOENT);
    CHECK_EQUAL(weft_dir_open(path_of("missing"), &dir), -ENOENT);
    CHECK_EQUAL(weft_file_unlink(test_directory()), -EISDIR);
    CHECK_EQUAL(weft_file_read(-1, &byte, 1, 0), -EBADF);
    CHECK_EQUAL(weft_file_write(-1, &byte, 1, 0), -EBADF);
    CHECK_EQUAL(weft_file_sync(-1), -EBADF);
    CHECK_EQUAL(weft_file_truncate(-1, 0), -EBADF);
    int fd = open_new("errors");
    CHECK_EQUAL(weft_file_read(fd, &byte, 1, -1), -EINVAL);
    CHECK_EQUAL(weft_file_write(fd, &byte, 1, -1), -EINVAL);
    CHECK_EQUAL(weft_file_open(path_of("errors"), O_CREAT | O_EXCL, 0600), -EEXIST);
    CHECK_EQUAL(weft_close(fd), 0);
    CHECK_EQUAL(open_descriptors(), before);
}

FIBER_TEST(files_are_described)
{
    struct weft_file_info info;
    int fd = open_new("described");
    CHECK_EQUAL(weft_file_write(fd, "1234", 4, 0), 4);
    CHECK_EQUAL(weft_file_stat(path_of("described"), &info), 0);
    CHECK_EQUAL(info.kind, WEFT_FILE_REGULAR);
    CHECK_EQUAL(info.size_bytes, 4);
    CHECK_EQUAL(info.links, 1);
    CHECK_EQUAL(info.owner_id, geteuid());
    CHECK(info.modified_ns > 1700000000 * WEFT_SEC);
    struct stat plain;
    CHECK_EQUAL(fstat(fd, &plain), 0);
    CHECK_EQUAL(info.inode, plain.st_ino);
    CHECK_EQUAL(info.permissions, plain.st_mode & 07777u);
    CHECK_EQUAL(weft_file_stat_fd(fd, &info), 0);
    CHECK_EQUAL(info.inode, plain.st_ino);
    CHECK_EQUAL(symlink("described", path_of("link")), 0);
    CHECK_EQUAL(weft_file_stat(path_of("link"), &info), 0);
    CHECK_EQUAL(info.kind, WEFT_FILE_REGULAR);
    CHECK_EQUAL(weft_file_stat_link(path_of("link"), &info), 0);
    CHECK_EQUAL(info.kind, WEFT_FILE_LINK);
    CHECK_EQUAL(weft_file_stat(test_directory(), &info), 0);
    CHECK_EQUAL(info.kind, WEFT_FILE_DIRECTORY);
    CHECK_EQUAL(weft_file_rename(path_of("described"), path_of("renamed")), 0);
    CHECK_EQUAL(weft_file_stat(path_of("described"), &info), -ENOENT);
    CHECK_EQUAL(weft_file_unlink(path_of("renamed")), 0);
    CHECK_EQUAL(weft_file_unlink(path_of("link")), 0);
    CHECK_EQUAL(weft_close(fd), 0);
}

FIBER_TEST(directories_are_listed_whole)
{
    enum {
        FILES = 1500
    }; /* more than one batch */
    static bool seen[FILES];
    struct weft_dir *dir = NULL;
    struct weft_dir_entry entry;
    char name[64];
    int before = open_descriptors(), status, number, listed = 0;
    CHECK_EQUAL(weft_dir_make(path_of("many"), 0700), 0);
    CHECK_EQUAL(weft_dir_make(path_of("many"), 0700), -EEXIST);
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "many/file-with-a-long-name-%d", i);
        int fd = open(path_of(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        REQUIRE(fd >= 0 && close(fd) == 0);
    }
    REQUIRE(weft_dir_open(path_of("many"), &dir) == 0);
    while ((status = weft_dir_next(dir, &entry)) > 0) {
        REQUIRE(sscanf(entry.name, "file-with-a-long-name-%d", &number) == 1);
        REQUIRE(number >= 0 && number < FILES && !seen[number]);
        CHECK(entry.kind == WEFT_FILE_REGULAR || entry.kind == WEFT_FILE_UNKNOWN);
        seen[number] = true;
        listed++;
    }
    CHECK_EQUAL(status, 0);
    CHECK_EQUAL(listed, FILES);
    CHECK_EQUAL(weft_dir_next(dir, &entry), 0);
    weft_dir_close(dir);
    weft_dir_close(NULL);
    CHECK_EQUAL(weft_dir_remove(path_of("many")), -ENOTEMPTY);
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "many/file-with-a-long-name-%d", i);
        CHECK_EQUAL(unlink(path_of(name)), 0);
    }
    CHECK_EQUAL(weft_dir_remove(path_of("many")), 0);
    CHECK_EQUAL(open_descriptors(), before);
}

FIBER_TEST(a_directory_tells_of_what_kind_its_entries_are)
{
    struct weft_dir *dir = NULL;
    struct weft_dir_entry entry;
    struct weft_file_info info;
    enum weft_file_kind kinds[128] = {WEFT_FILE_UNKNOWN};
    CHECK_EQUAL(weft_dir_make(path_of("kinds"), 0700), 0);
    CHECK_EQUAL(weft_dir_make(path_of("kinds/d"), 0700), 0);
    CHECK_EQUAL(symlink("d", path_of("kinds/l")), 0);
    CHECK_EQUAL(mkfifo(path_of("kinds/p"), 0600), 0);
    REQUIRE(weft_dir_open(path_of("kinds"), &dir) == 0);
    int count = 0;
    while (weft_dir_next(dir, &entry) > 0) {
        kinds[entry.name[0] & 127] = entry.kind;
        count++;
    }
    weft_dir_close(dir);
    CHECK_EQUAL(count, 3);
    /* Not every file system tells. */
    CHECK(!kinds['d'] || kinds['d'] == WEFT_FILE_DIRECTORY);
    CHECK(!kinds['l'] || kinds['l'] == WEFT_FILE_LINK);
    CHECK(!kinds['p'] || kinds['p'] == WEFT_FILE_OTHER);
    CHECK_EQUAL(weft_file_stat(path_of("kinds/p"), &info), 0);
    CHECK_EQUAL(info.kind, WEFT_FILE_OTHER);
    CHECK_EQUAL(weft_file_unlink(path_of("kinds/p")), 0);
    CHECK_EQUAL(weft_file_unlink(path_of("kinds/l")), 0);
    CHECK_EQUAL(weft_dir_remove(path_of("kinds/d")), 0);
    CHECK_EQUAL(weft_dir_remove(path_of("kinds")), 0);
}

FIBER_TEST(a_read_of_more_than_the_kernel_takes_at_once_gets_what_there_is)
{
    const size_t len = (size_t)3 << 30; /* of addresses, not of memory */
    int fd = open_new("short");
    CHECK_EQUAL(weft_file_write(fd, "weft", 4, 0), 4);
    char *room =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) {
        test_skip("no 3 GiB of addresses");
    } else {
        CHECK_EQUAL(weft_file_read(fd, room, len, 0), 4);
        CHECK(memcmp(room, "weft", 4) == 0);
        (void)munmap(room, len);
    }
    CHECK_EQUAL(weft_close(fd), 0);
}

/* ---- cancellation ---------------------------------------------------------------------- */

FIBER_TEST(in_a_cancelled_scope_nothing_happens_to_files)
{
    struct weft_scope scope;
    struct weft_file_info info;
    struct weft_dir *dir = NULL;
    char byte = 'x';
    int fd = open_new("untouched"), before = open_descriptors();
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(weft_file_open(path_of("new"), O_CREAT | O_WRONLY, 0600), -ECANCELED);
    CHECK_EQUAL(weft_file_write(fd, &byte, 1, 0), -ECANCELED);
    CHECK_EQUAL(weft_file_read(fd, &byte, 1, 0), -ECANCELED);
    CHECK_EQUAL(weft_file_sync(fd), -ECANCELED);
    CHECK_EQUAL(weft_file_truncate(fd, 9), -ECANCELED);
    CHECK_EQUAL(weft_file_stat_fd(fd, &info), -ECANCELED);
    CHECK_EQUAL(weft_file_unlink(path_of("untouched")), -ECANCELED);
    CHECK_EQUAL(weft_dir_open(test_directory(), &dir), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, 0), 0);
    CHECK_EQUAL(weft_file_stat(path_of("new"), &info), -ENOENT);
    CHECK_EQUAL(weft_file_stat_fd(fd, &info), 0);
    CHECK_EQUAL(info.size_bytes, 0);
    CHECK_EQUAL(open_descriptors(), before);
    CHECK_EQUAL(weft_close(fd), 0);
}

/* A read that does not end by itself: a blocking pipe, as the ring and threads see it. */
struct stuck {
    int fd;
    char byte;
    int result;
};

static int read_stuck(void *arg)
{
    struct stuck *stuck = arg;
    const struct weft_request request = {
        .kind = WEFT_REQUEST_READ,
        .fd = stuck->fd,
        .target = &stuck->byte,
        .len = 1,
        .offset = -1, /* the pipe's own */
    };
    stuck->result = weft_request_run(&request);
    return 0;
}

static bool has_ring(void)
{
    return strcmp(weft_io_name(), "io_uring") == 0;
}

FIBER_TEST(a_cancel_ends_a_read_that_the_ring_waits_in)
{
    int fds[2];
    struct weft_group group;
    REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
    struct stuck stuck = {.fd = fds[0], .result = 99};
    if (!has_ring()) {
        test_skip("a thread cannot be interrupted");
    } else {
        CHECK_EQUAL(weft_group_init(&group, NULL), 0);
        CHECK_EQUAL(weft_spawn(&group, read_stuck, &stuck), 0);
        for (int i = 0; i < 10; i++)
            CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(stuck.result, 99);
        weft_group_close(&group);
        CHECK_EQUAL(stuck.result, -ECANCELED);
        /* Nobody reads behind our back: the byte is still there for the next. */
        CHECK_EQUAL(write(fds[1], "x", 1), 1);
        CHECK_EQUAL(read(fds[0], &stuck.byte, 1), 1);
    }
    CHECK_EQUAL(close(fds[0]), 0);
    CHECK_EQUAL(close(fds[1]), 0);
}

FIBER_TEST(a_cancel_that_races_with_the_end_loses_no_data)
{
    if (!has_ring()) {
        test_skip("pipes have no offsets for a thread");
        return;
    }
    for (int round = 0; round < 200; round++) {
        int fds[2];
        struct weft_group group;
        REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
        struct stuck stuck = {.fd = fds[0], .result = 99};
        CHECK_EQUAL(weft_group_init(&group, NULL), 0);
        CHECK_EQUAL(weft_spawn(&group, read_stuck, &stuck), 0);
        for (int i = 0; i < round % 4; i++)
            CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(write(fds[1], "x", 1), 1);
        for (int i = 0; i < round % 3; i++)
            CHECK_EQUAL(weft_yield(), 0);
        weft_group_close(&group);
        if (stuck.result == 99 || stuck.result == -ECANCELED)
            CHECK_EQUAL(read(fds[0], &stuck.byte, 1), 1);
        else
            CHECK_EQUAL(stuck.result, 1);
        CHECK_EQUAL(close(fds[0]), 0);
        CHECK_EQUAL(close(fds[1]), 0);
    }
}

static int let_it_go(void *arg)
{
    CHECK_EQUAL(write(*(int *)arg, "x", 1), 1);
    return 0;
}

FIBER_TEST(virtual_time_stands_still_while_a_file_is_worked_on)
{
    int fds[2];
    struct weft_group group;
    int64_t start_ns = weft_now();
    if (has_ring()) {
        REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
        struct stuck stuck = {.fd = fds[0], .result = 99};
        CHECK_EQUAL(
            weft_group_init(&group, &(struct weft_group_options){.deadline_ns = start_ns + 1}), 0);
        CHECK_EQUAL(weft_spawn(&group, read_stuck, &stuck), 0);
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(let_it_go(&fds[1]), 0);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        CHECK_EQUAL(stuck.result, 1);
        CHECK_EQUAL(close(fds[0]), 0);
        CHECK_EQUAL(close(fds[1]), 0);
    }
    int fd = open_new("time");
    struct weft_scope scope;
    weft_scope_enter(&scope, start_ns + 1, 0);
    CHECK_EQUAL(weft_file_write(fd, "x", 1, 0), 1);
    CHECK_EQUAL(weft_file_sync(fd), 0);
    CHECK_EQUAL(weft_scope_leave(&scope, 0), 0);
    CHECK_EQUAL(weft_now(), start_ns);
    CHECK_EQUAL(weft_close(fd), 0);
}

static int write_own_byte(void *arg)
{
    struct stuck *stuck = arg;
    stuck->result = (int)weft_file_write(stuck->fd, &stuck->byte, 1, stuck->byte);
    return stuck->result == 1 ? 0 : stuck->result;
}

FIBER_TEST(more_requests_than_the_ring_holds_are_all_carried_out)
{
    enum {
        WRITES = 3000
    };
    static struct stuck all[WRITES];
    struct weft_group group;
    int fd = open_new("flood");
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < WRITES; i++) {
        all[i] = (struct stuck){.fd = fd, .byte = (char)(i % 100)};
        CHECK_EQUAL(weft_spawn(&group, write_own_byte, &all[i]), 0);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    char back[100];
    CHECK_EQUAL(weft_file_read_all(fd, back, sizeof back, 0, NULL), 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQUAL(back[i], i);
    CHECK_EQUAL(weft_close(fd), 0);
}

TEST(outside_a_runtime_files_are_refused)
{
    CHECK_EQUAL(weft_file_open("/", O_RDONLY, 0), -EPERM);
}
