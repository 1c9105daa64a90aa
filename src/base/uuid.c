/* SPDX-License-Identifier: MIT
 * uuid.c - see uuid.h. Layout of version 7: 48 bits of milliseconds, 4 of version, 12 of
 * sequence, 2 of variant, 62 random (RFC 9562, 5.7 and 6.2 method 1). */
#include <base/uuid.h>

#include <errno.h>
#include <string.h>

#define SEQUENCE_MAX 0xfffu

void weft_uuid_maker_init(struct weft_uuid_maker *maker, struct weft_random *random)
{
    *maker = (struct weft_uuid_maker){.random = random};
}

struct weft_uuid weft_uuid_make(struct weft_uuid_maker *maker, int64_t unix_ms)
{
    uint64_t now_ms = unix_ms < 0 ? 0 : (uint64_t)unix_ms;
    if (now_ms > maker->last_ms) {
        maker->last_ms = now_ms;
        /* Half of the range stays free for the rest of this millisecond. */
        maker->sequence = weft_random_next(maker->random) & (SEQUENCE_MAX >> 1);
    } else if (maker->sequence < SEQUENCE_MAX) {
        maker->sequence++;
    } else {
        maker->last_ms++; /* borrow from the next millisecond rather than repeat */
        maker->sequence = 0;
    }

    struct weft_uuid uuid;
    for (int i = 0; i < 6; i++)
        uuid.bytes[i] = (uint8_t)(maker->last_ms >> (40 - 8 * i));
    uuid.bytes[6] = (uint8_t)(0x70u | (maker->sequence >> 8));
    uuid.bytes[7] = (uint8_t)maker->sequence;
    uint64_t tail = weft_random_next(maker->random);
    for (int i = 0; i < 8; i++)
        uuid.bytes[8 + i] = (uint8_t)(tail >> (8 * i));
    uuid.bytes[8] = (uint8_t)(0x80u | (uuid.bytes[8] & 0x3fu));
    return uuid;
}

static bool dash_at(size_t position)
{
    return position == 8 || position == 13 || position == 18 || position == 23;
}

bool weft_uuid_is_none(const struct weft_uuid *uuid)
{
    static const struct weft_uuid none;
    return memcmp(uuid, &none, sizeof none) == 0;
}

void weft_uuid_format(const struct weft_uuid *uuid, char text[WEFT_UUID_TEXT_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (int i = 0; i < 16; i++) {
        if (dash_at(at))
            text[at++] = '-';
        text[at++] = digits[uuid->bytes[i] >> 4];
        text[at++] = digits[uuid->bytes[i] & 15];
    }
    text[at] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int weft_uuid_parse(struct weft_uuid *ret_uuid, const char *text, size_t len)
{
    struct weft_uuid uuid;
    size_t at = 0;
    if (len != WEFT_UUID_TEXT_LEN)
        return -EINVAL;
    for (int i = 0; i < 16; i++) {
        if (dash_at(at) && text[at++] != '-')
            return -EINVAL;
        int high = hex_value(text[at++]);
        int low = hex_value(text[at++]);
        if (high < 0 || low < 0)
            return -EINVAL;
        uuid.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret_uuid = uuid;
    return 0;
}
