/* SPDX-License-Identifier: MIT
 * descriptors.h - how many descriptors are open: a test that ends with as many as it began with
 * has leaked none. */
#ifndef WEFT_TESTS_DESCRIPTORS_H
#define WEFT_TESTS_DESCRIPTORS_H

#include "test.h"

#include <dirent.h>

static inline int open_descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    REQUIRE(directory);
    while (readdir(directory))
        count++;
    (void)closedir(directory);
    return count;
}

#endif
