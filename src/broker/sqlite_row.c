/* SPDX-License-Identifier: MIT
 * sqlite_row.c - columns to the parts of a job, and back. */
#include "sqlite_internal.h"

#include <stdlib.h>
#include <string.h>

int64_t weft_sqlite_seq(const struct weft_uuid *id)
{
    int64_t seq = 0;
    for (int i = 0; i < 6; i++)
        seq = seq << 8 | id->bytes[i];
    return seq << 12 | (int64_t)(id->bytes[6] & 0x0f) << 8 | id->bytes[7];
}

/* --- columns --- */

struct weft_bytes weft_sqlite_column_bytes(sqlite3_stmt *row, int column)
{
    int type = sqlite3_column_type(row, column);
    if (type == SQLITE_NULL)
        return (struct weft_bytes){NULL, 0, false};
    const char *data = type == SQLITE_TEXT ? (const char *)sqlite3_column_text(row, column)
                                           : sqlite3_column_blob(row, column);
    size_t len = (size_t)sqlite3_column_bytes(row, column);
    return (struct weft_bytes){data ? data : "", len, type == SQLITE_TEXT};
}

const char *weft_sqlite_column_text(sqlite3_stmt *row, int column)
{
    return (const char *)sqlite3_column_text(row, column);
}

bool weft_sqlite_column_id(sqlite3_stmt *row, int column, struct weft_uuid *ret_id)
{
    const void *id = sqlite3_column_blob(row, column);
    if (!id || sqlite3_column_bytes(row, column) != (int)sizeof ret_id->bytes)
        return false;
    memcpy(ret_id->bytes, id, sizeof ret_id->bytes);
    return true;
}

/* Four numbers, or nothing at all. */
static bool parse_backoff(const char *text, struct weft_job_backoff *ret_backoff)
{
    long long numbers[4] = {0};
    for (int i = 0; text && i < 4; i++) {
        char *end;
        numbers[i] = strtoll(text, &end, 10);
        if (end == text)
            return false;
        text = end;
    }
    *ret_backoff = (struct weft_job_backoff){(enum weft_backoff)numbers[0],
                                             (enum weft_jitter)numbers[1], numbers[2], numbers[3]};
    return true;
}

bool weft_sqlite_column_asked(sqlite3_stmt *row, int at, struct weft_job *job)
{
    if (!weft_sqlite_column_id(row, at, &job->id) ||
        !parse_backoff(weft_sqlite_column_text(row, at + 8), &job->backoff))
        return false;
    job->priority = (uint8_t)sqlite3_column_int(row, at + 1);
    job->attempts_max = (uint16_t)sqlite3_column_int(row, at + 2);
    job->created_us = sqlite3_column_int64(row, at + 3);
    job->expires_us = sqlite3_column_int64(row, at + 4);
    job->timeout_us = sqlite3_column_int64(row, at + 5);
    job->grace_us = sqlite3_column_int64(row, at + 6);
    job->result_ttl_us = sqlite3_column_int64(row, at + 7);
    if (!weft_sqlite_column_id(row, at + 9, &job->flow))
        job->flow = (struct weft_uuid){{0}};
    job->limit_key = weft_sqlite_column_text(row, at + 10);
    job->unique_key = weft_sqlite_column_text(row, at + 11);
    job->content_type = weft_sqlite_column_text(row, at + 12);
    job->headers = weft_sqlite_column_text(row, at + 13);
    job->payload = weft_sqlite_column_bytes(row, at + 14);
    return true;
}

/* --- parameters --- */

void weft_sqlite_bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    (void)sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

void weft_sqlite_bind_id(sqlite3_stmt *statement, int at, const struct weft_uuid *id)
{
    (void)sqlite3_bind_blob(statement, at, id->bytes, sizeof id->bytes, SQLITE_STATIC);
}

size_t weft_sqlite_error_len(const char *text)
{
    size_t len = strnlen(text, WEFT_JOB_ERROR_MAX + 1);
    if (len <= WEFT_JOB_ERROR_MAX)
        return len;
    len = WEFT_JOB_ERROR_MAX;
    while (len > WEFT_JOB_ERROR_MAX - 4 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    return len;
}

void weft_sqlite_bind_error(sqlite3_stmt *statement, int at, const char *text)
{
    if (text)
        (void)sqlite3_bind_text(statement, at, text, (int)weft_sqlite_error_len(text),
                                SQLITE_STATIC);
    else
        (void)sqlite3_bind_null(statement, at);
}
