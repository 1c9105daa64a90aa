/* SPDX-License-Identifier: MIT
 * without_io_uring.c - run a program as on a kernel, or in a container, that refuses io_uring.
 *
 *     without_io_uring PROGRAM [ARGUMENT...]
 *
 * A seccomp filter makes the three calls fail with EPERM, as Docker's does, for the program and all
 * that it starts. WEFT_IO is taken out of the environment: what weft picks by itself is the point.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The same on every architecture, like all calls since Linux 5.1. */
#define IO_URING_SETUP    425
#define IO_URING_REGISTER 427

static int forbid_io_uring(void)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, IO_URING_SETUP, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, IO_URING_REGISTER, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof program / sizeof program[0], program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) < 0)
        return -errno;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fputs("usage: without_io_uring PROGRAM [ARGUMENT...]\n", stderr);
        return 2;
    }
    int err = forbid_io_uring();
    if (err < 0) { /* for a test, that is a reason to be skipped */
        printf("1..0 # SKIP no seccomp filter: %s\n", strerror(-err));
        return 0;
    }
    (void)unsetenv("WEFT_IO");
    (void)execv(argv[1], argv + 1);
    (void)fprintf(stderr, "without_io_uring: %s: %s\n", argv[1], strerror(errno));
    return 127;
}
