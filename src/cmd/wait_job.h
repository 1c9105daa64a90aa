/* SPDX-License-Identifier: MIT
 * wait_job.h - wait for the end of a job, and tell what came of it. */
#ifndef WEFT_CMD_WAIT_JOB_H
#define WEFT_CMD_WAIT_JOB_H

#include "client.h"

#define WAIT_FOR_EVER INT64_MAX

/* Wait until the job is over, at most wait_ns, and print its result or, with json, all of it.
 * Returns EXIT_OK when it has completed; EXIT_FAILED after a sentence: it ended otherwise, or has
 * not ended yet */
int wait_for_job(const struct client *client, const char *id, int64_t wait_ns, bool json);

#endif
