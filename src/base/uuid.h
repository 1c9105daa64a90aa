/* SPDX-License-Identifier: MIT
 * uuid.h - UUID version 7 (RFC 9562): sorted by the time it was made. */
#ifndef WEFT_BASE_UUID_H
#define WEFT_BASE_UUID_H

#include <base/random.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_UUID_TEXT_LEN 36

struct weft_uuid {
    uint8_t bytes[16];
};

/* One maker belongs to one thread; its ids rise strictly, also within a millisecond. */
struct weft_uuid_maker {
    struct weft_random *random;
    uint64_t last_ms;
    uint16_t sequence; /* 12 bits behind the time, counted up within a millisecond */
};

void weft_uuid_maker_init(struct weft_uuid_maker *maker, struct weft_random *random);

/* Make an id for a time of day. A clock that steps back does not make ids step back. */
struct weft_uuid weft_uuid_make(struct weft_uuid_maker *maker, int64_t unix_ms);

/* Whether all of its bits are zero, which stands for none. */
bool weft_uuid_is_none(const struct weft_uuid *uuid);

/* Write 36 characters and a NUL, lower case. */
void weft_uuid_format(const struct weft_uuid *uuid, char text[WEFT_UUID_TEXT_LEN + 1]);

/* Read exactly the 36-character form, either case.
 * Returns 0, -EINVAL (*ret_uuid untouched) */
int weft_uuid_parse(struct weft_uuid *ret_uuid, const char *text, size_t len);

#endif
