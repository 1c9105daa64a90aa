/* SPDX-License-Identifier: MIT
 * no_stacks.h - the kernel gives no memory for stacks while no_stacks is set. Stacks that are there
 * already stay usable, so a test takes sizes of its own. */
#ifndef WEFT_TESTS_NO_STACKS_H
#define WEFT_TESTS_NO_STACKS_H

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_bool no_stacks;

/* In place of the C library's. */
void *mmap(void *start, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (no_stacks && flags & MAP_STACK) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    long mapped = syscall(SYS_mmap, start, bytes, protection, flags, fd, offset);
    return (void *)(uintptr_t)mapped;
}

#endif
