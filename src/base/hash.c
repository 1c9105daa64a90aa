/* SPDX-License-Identifier: MIT
 * hash.c - see hash.h. */
#include <base/hash.h>

uint64_t weft_hash(const void *data, size_t len)
{
    const unsigned char *bytes = data;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    /* FNV leaves the low bits weak, and placement uses them: finish as splitmix64 does. */
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
    return hash ^ (hash >> 31);
}
