/* SPDX-License-Identifier: MIT
 * machine.h - the part of weft_machine_read that a test can point at files of its own. */
#ifndef WEFT_LAB_MACHINE_H
#define WEFT_LAB_MACHINE_H

#include <weft/size.h>

/* Read memory figures from <root>/proc/meminfo and the limits of the control group named in
 * <root>/proc/self/cgroup, both versions, below <root>/sys/fs/cgroup. root is "" on a real system.
 *
 * Returns  0 with memory_bytes and available_bytes set; -ENODATA (meminfo lacks a line), or the
 *          error of opening meminfo. Without control groups there is no limit */
int weft_machine_read_memory(struct weft_machine *ret_machine, const char *root);

#endif
