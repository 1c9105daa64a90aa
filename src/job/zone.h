/* SPDX-License-Identifier: MIT
 * zone.h - time zones: what clocks on the wall show at an instant, and when they show a time.
 *
 * The C library knows one zone, that of the whole process ($TZ), and has no call that takes
 * another; changing $TZ is not safe with threads. So the files of the zone database are read here:
 * TZif as in RFC 8536, version 2 and later, with the rule at its end for times beyond its table.
 * Instants are seconds since 1970 without leap seconds; a local time is what the calendar and the
 * clock of the zone show, counted as if it were UTC.
 *
 * A zone never changes once it is open: any number of threads may use it. NULL is UTC everywhere.
 */
#ifndef WEFT_JOB_ZONE_H
#define WEFT_JOB_ZONE_H

#include <stddef.h>
#include <stdint.h>

#define WEFT_ZONE_NAME_MAX 63
#define WEFT_ZONE_FILE_MAX ((size_t)1 << 20)

/* Before and after every instant; sums of these with offsets do not overflow. */
#define WEFT_ZONE_BEGIN_S (-(INT64_C(1) << 60))
#define WEFT_ZONE_END_S   (INT64_C(1) << 60)

/* Two offsets of any zones are never further apart: a file with more than RFC 8536 advises, one
 * below -25 h or above 26 h, is refused. */
#define WEFT_ZONE_OFFSET_MIN_S (-INT64_C(25) * 3600)
#define WEFT_ZONE_OFFSET_MAX_S (INT64_C(26) * 3600)
#define WEFT_ZONE_SPREAD_S     (INT64_C(51) * 3600)

struct weft_zone;

/* A stretch of time with one offset: instants from start_s up to, but without, end_s. */
struct weft_zone_span {
    int64_t start_s, end_s;
    int32_t offset_s; /* local time less UTC */
};

enum weft_zone_fit {
    WEFT_ZONE_ONCE,    /* clocks show the local time once, as nearly always */
    WEFT_ZONE_SKIPPED, /* never: they were set forward past it */
    WEFT_ZONE_TWICE,   /* at least twice: they were set back before it */
};

/* When clocks show a local time. */
struct weft_zone_instants {
    enum weft_zone_fit fit;
    int64_t first_s; /* SKIPPED: the instant at which clocks went past it */
    int64_t last_s;  /* not TWICE: the same */
};

/* Open a zone of the database by its name, such as "Europe/Berlin". "UTC" needs no file.
 *
 * directory  the database; NULL means $TZDIR if that is an absolute path (and the program not
 *            set-user-id), else /usr/share/zoneinfo
 * Returns    0; -EINVAL (no name of a zone: empty, longer than WEFT_ZONE_NAME_MAX, or with other
 *            characters than letters, digits, "_", "+", "-" and single "/" inside), -ENOENT (no
 *            such zone), -EACCES (a link leads out of the directory), -EFBIG (over
 *            WEFT_ZONE_FILE_MAX), and what weft_zone_parse says; another -errno when the file
 *            cannot be read
 *
 * Reads a small file without suspending: on a fiber, call it through weft_offload. */
int weft_zone_open(struct weft_zone **ret_zone, const char *name, const char *directory);

/* A zone from the bytes of a TZif file; name as above, but unchecked and cut where too long.
 *
 * Returns  0; -EBADMSG (not TZif, damaged, or offsets beyond the limits), -ENOTSUP (version 1,
 * which ends in 2037, or time that counts leap seconds), -EFBIG (over 2000 transitions), -ENOMEM */
int weft_zone_parse(struct weft_zone **ret_zone, const char *name, const void *data, size_t len);

void weft_zone_close(struct weft_zone *zone); /* NULL is fine */

const char *weft_zone_name(const struct weft_zone *zone);

/* The span that an instant lies in. An instant beyond WEFT_ZONE_BEGIN_S or _END_S counts as the
 * nearest one within. The next span begins at end_s; its offset may be the same. */
struct weft_zone_span weft_zone_span(const struct weft_zone *zone, int64_t at_s);

int32_t weft_zone_offset(const struct weft_zone *zone, int64_t at_s);

struct weft_zone_instants weft_zone_instants(const struct weft_zone *zone, int64_t local_s);

/* The name of the zone that a symbolic link points at, as /etc/localtime does on most systems: what
 * follows "zoneinfo/" in it. -ENOENT where there is no link, or one to something else. */
int weft_zone_linked_name(const char *link, char ret_name[WEFT_ZONE_NAME_MAX + 1]);

#endif
