/* SPDX-License-Identifier: MIT
 * zone_file.c - finds and reads the file of a zone: TZif, RFC 8536.
 *
 * Such a file holds everything twice: first with times of 32 bits, for readers of version 1, then
 * with times of 64 bits, and behind that the rule for the time to come, between two newlines. Only
 * the second half is looked at. */
#include <job/zone_internal.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY       "/usr/share/zoneinfo"
#define TRANSITIONS_MAX 2000 /* as the reference code has it; real zones have up to some 300 */

/* ---- TZif ---------------------------------------------------------------------------------- */

struct reader {
    const uint8_t *at;
    size_t left;
};

struct counts {
    uint32_t is_ut, is_standard, leaps, transitions, types, characters;
};

/* The next len bytes; NULL when there are fewer. */
static const uint8_t *take(struct reader *reader, uint64_t len)
{
    const uint8_t *bytes = reader->at;
    if (len > reader->left)
        return NULL;
    reader->at += len;
    reader->left -= len;
    return bytes;
}

static uint32_t load_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int64_t load_i64(const uint8_t *bytes)
{
    return (int64_t)((uint64_t)load_u32(bytes) << 32 | load_u32(bytes + 4));
}

static int take_header(struct reader *reader, struct counts *counts)
{
    const uint8_t *header = take(reader, 44);
    if (!header || memcmp(header, "TZif", 4) != 0)
        return -EBADMSG;
    if (header[4] < '2')
        return -ENOTSUP;
    *counts = (struct counts){
        .is_ut = load_u32(header + 20),
        .is_standard = load_u32(header + 24),
        .leaps = load_u32(header + 28),
        .transitions = load_u32(header + 32),
        .types = load_u32(header + 36),
        .characters = load_u32(header + 40),
    };
    return 0;
}

static uint64_t data_bytes(const struct counts *counts, unsigned time_bytes)
{
    return (uint64_t)counts->transitions * (time_bytes + 1) + (uint64_t)counts->types * 6 +
           counts->characters + (uint64_t)counts->leaps * (time_bytes + 4) + counts->is_standard +
           counts->is_ut;
}

static int take_offset(const uint8_t *types, uint32_t types_len, uint32_t index, int32_t *ret_s)
{
    if (index >= types_len)
        return -EBADMSG;
    int32_t offset_s = (int32_t)load_u32(types + (size_t)index * 6);
    if (offset_s < WEFT_ZONE_OFFSET_MIN_S || offset_s > WEFT_ZONE_OFFSET_MAX_S)
        return -EBADMSG;
    *ret_s = offset_s;
    return 0;
}

/* Transitions that change only a name, or what counts as summer, are left out. */
static int read_table(struct weft_zone *zone, const struct counts *counts, const uint8_t *data)
{
    const uint8_t *indexes = data + (size_t)counts->transitions * 8;
    const uint8_t *types = indexes + counts->transitions;
    int64_t before_s = WEFT_ZONE_BEGIN_S;
    int32_t offset_s;
    int err = take_offset(types, counts->types, 0, &zone->first_offset_s);
    offset_s = zone->first_offset_s;
    for (uint32_t i = 0; err == 0 && i < counts->transitions; i++) {
        int32_t old_s = offset_s;
        int64_t at_s = load_i64(data + (size_t)i * 8);
        if (at_s <= before_s || at_s >= WEFT_ZONE_END_S)
            return -EBADMSG;
        before_s = at_s;
        err = take_offset(types, counts->types, indexes[i], &offset_s);
        if (offset_s != old_s)
            zone->changes[zone->changes_len++] = (struct weft_zone_change){at_s, offset_s};
    }
    zone->rule_from_s = before_s;
    return err;
}

static int read_rule(struct weft_zone *zone, const struct reader *footer)
{
    if (footer->left < 2 || footer->at[0] != '\n')
        return -EBADMSG;
    const char *text = (const char *)footer->at + 1;
    const char *end = memchr(text, '\n', footer->left - 1);
    if (!end)
        return -EBADMSG;
    zone->has_rule = end > text; /* without one, nothing changes any more */
    return zone->has_rule ? weft_zone_rule_parse(&zone->rule, text, (size_t)(end - text)) : 0;
}

static struct weft_zone *new_zone(const char *name, size_t changes_max)
{
    struct weft_zone *zone = calloc(1, sizeof *zone + changes_max * sizeof *zone->changes);
    if (zone)
        (void)snprintf(zone->name, sizeof zone->name, "%s", name);
    return zone;
}

int weft_zone_parse(struct weft_zone **ret_zone, const char *name, const void *data, size_t len)
{
    struct reader reader = {data, len};
    struct counts counts;
    int err = take_header(&reader, &counts);
    if (err < 0)
        return err;
    if (!take(&reader, data_bytes(&counts, 4)))
        return -EBADMSG;
    err = take_header(&reader, &counts);
    if (err < 0)
        return err;
    const uint8_t *table = take(&reader, data_bytes(&counts, 8));
    if (!table)
        return -EBADMSG;
    if (counts.leaps > 0)
        return -ENOTSUP;
    if (counts.transitions > TRANSITIONS_MAX)
        return -EFBIG;
    struct weft_zone *zone = new_zone(name, counts.transitions);
    if (!zone)
        return -ENOMEM;
    err = read_table(zone, &counts, table);
    if (err == 0)
        err = read_rule(zone, &reader);
    if (err < 0) {
        weft_zone_close(zone);
        return err;
    }
    *ret_zone = zone;
    return 0;
}

void weft_zone_close(struct weft_zone *zone)
{
    free(zone);
}

/* ---- files --------------------------------------------------------------------------------- */

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '+' || c == '-';
}

/* Words between single slashes; a word has no dot, so none leads upwards. */
static bool is_name(const char *name)
{
    size_t len = 0;
    for (; name[len]; len++) {
        bool between = name[len] == '/' && len > 0 && name[len - 1] != '/';
        if (len == WEFT_ZONE_NAME_MAX || !(between || is_name_character(name[len])))
            return false;
    }
    return len > 0 && name[len - 1] != '/';
}

static const char *default_directory(void)
{
    const char *directory = secure_getenv("TZDIR");
    return directory && directory[0] == '/' ? directory : DIRECTORY;
}

static bool is_below(const char *path, const char *root)
{
    size_t len = strlen(root);
    return strncmp(path, root, len) == 0 && path[len] == '/';
}

/* The path of a zone's file, every link in it resolved; still below the directory, or refused. */
static int resolve(const char *directory, const char *name, char **ret_path)
{
    char *joined, *path = NULL;
    char *root = realpath(directory, NULL);
    int err = root ? 0 : -errno;
    if (err < 0 || asprintf(&joined, "%s/%s", root, name) < 0) {
        free(root);
        return err < 0 ? err : -ENOMEM;
    }
    path = realpath(joined, NULL);
    if (!path)
        err = errno == ENOTDIR ? -ENOENT : -errno;
    else if (!is_below(path, root))
        err = -EACCES;
    else
        *ret_path = path;
    if (err < 0)
        free(path);
    free(joined);
    free(root);
    return err;
}

/* How many bytes there were, at most len. */
static ssize_t read_up_to(int fd, char *data, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t count = read(fd, data + done, len - done);
        if (count == 0)
            break;
        if (count < 0 && errno != EINTR)
            return -errno;
        done += count > 0 ? (size_t)count : 0;
    }
    return (ssize_t)done;
}

static int read_open_file(int fd, char **ret_data, size_t *ret_len)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -ENOENT; /* "Europe" is no zone */
    if (status.st_size > (off_t)WEFT_ZONE_FILE_MAX)
        return -EFBIG;
    char *data = malloc((size_t)status.st_size + 1);
    if (!data)
        return -ENOMEM;
    ssize_t count = read_up_to(fd, data, (size_t)status.st_size);
    if (count < 0) {
        free(data);
        return (int)count;
    }
    *ret_data = data;
    *ret_len = (size_t)count;
    return 0;
}

static int read_file(const char *path, char **ret_data, size_t *ret_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int err = read_open_file(fd, ret_data, ret_len);
    (void)close(fd);
    return err;
}

static int open_utc(struct weft_zone **ret_zone)
{
    struct weft_zone *zone = new_zone("UTC", 0);
    if (!zone)
        return -ENOMEM;
    *ret_zone = zone;
    return 0;
}

int weft_zone_open(struct weft_zone **ret_zone, const char *name, const char *directory)
{
    char *path = NULL, *data = NULL;
    size_t len = 0;
    if (!is_name(name))
        return -EINVAL;
    if (strcmp(name, "UTC") == 0)
        return open_utc(ret_zone);
    int err = resolve(directory ? directory : default_directory(), name, &path);
    if (err == 0)
        err = read_file(path, &data, &len);
    if (err == 0)
        err = weft_zone_parse(ret_zone, name, data, len);
    free(path);
    free(data);
    return err;
}

int weft_zone_linked_name(const char *link, char ret_name[WEFT_ZONE_NAME_MAX + 1])
{
    static const char before[] = "zoneinfo/";
    char target[512];
    ssize_t len = readlink(link, target, sizeof target - 1);
    if (len < 0)
        return errno == EINVAL ? -ENOENT : -errno;
    target[len] = '\0';
    const char *name = strstr(target, before);
    if (!name || !is_name(name + strlen(before)))
        return -ENOENT;
    (void)snprintf(ret_name, WEFT_ZONE_NAME_MAX + 1, "%s", name + strlen(before));
    return 0;
}
