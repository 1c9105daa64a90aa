/* SPDX-License-Identifier: MIT
 * program.h - where the programs are that tests start: beside the test's own, in the folder job. */
#ifndef WEFT_TESTS_JOB_PROGRAM_H
#define WEFT_TESTS_JOB_PROGRAM_H

#include "test.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* Good until the next call. */
static inline const char *helper_program(const char *name)
{
    static char path[PATH_MAX + 64];
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    REQUIRE(len > 0);
    self[len] = '\0';
    (void)snprintf(path, sizeof path, "%s/job/%s", dirname(self), name);
    return path;
}

#endif
