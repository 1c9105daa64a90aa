/* SPDX-License-Identifier: MIT
 * peak.h - the most memory this process ever had, for the rows of a million sleepers. */
#ifndef WEFT_BENCH_PEERS_PEAK_H
#define WEFT_BENCH_PEERS_PEAK_H

#include <stdio.h>

/* VmHWM in megabytes, 0 when it cannot be read. Not getrusage, which counts what the parent used
 * before exec as well. */
static inline double peak_megabytes(void)
{
    char line[256];
    double kilobytes = 0;
    FILE *status = fopen("/proc/self/status", "re");
    if (!status)
        return 0;
    while (fgets(line, sizeof line, status) && sscanf(line, "VmHWM: %lf", &kilobytes) != 1)
        ;
    (void)fclose(status);
    return kilobytes * 1024 / 1e6;
}

#endif
