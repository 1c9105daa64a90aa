/* SPDX-License-Identifier: MIT
 * sqlite_list.c - pages of jobs, newest first, in bounded time whatever the history is.
 *
 * Jobs are looked at one by one, newest first, in the smallest table that has all of the state
 * asked for; those that fit are read in full. Nothing but flows and the few ends that were no
 * success has an index to help, because every index is paid for by each job that is put in. So the
 * work is bounded instead: a page ends when it is full or when so many rows were looked at, or so
 * many pages of the file read; then it says from where to go on. */
#include "sqlite_internal.h"

#include <errno.h>
#include <string.h>

/* About 10 ms; a row that needs a look into a second table counts as three. */
#define ROWS_MAX 50000
/* About 25 ms from a disk, 1 ms when the system has them in memory. */
#define PAGES_MAX 300
#define JOBS_MAX  1000

struct list_call {
    const struct weft_job_filter *filter;
    struct weft_job_page *page;
};

/* Going through candidates. */
struct scan {
    const struct weft_job_filter *filter;
    int64_t queue, task; /* their numbers, 0: any */
    int64_t last_seq;    /* of the last row looked at */
    int row_cost, cost;
    int pages_before;
};

/* The number of a queue or task; 0 for NULL. -ENOENT: nothing has this name. */
static int find_number(struct sqlite_reader *reader, enum sqlite_read_statement which,
                       const char *name, int64_t *ret_number)
{
    *ret_number = 0;
    if (!name)
        return 0;
    sqlite3_stmt *select = reader->statements[which];
    weft_sqlite_bind_text(select, 1, name);
    int rc = sqlite3_step(select);
    if (rc == SQLITE_ROW)
        *ret_number = sqlite3_column_int64(select, 0);
    (void)sqlite3_reset(select);
    (void)sqlite3_clear_bindings(select);
    return rc == SQLITE_DONE ? -ENOENT : weft_sqlite_error(reader->db, rc);
}

static bool is_zero(const struct weft_uuid *id)
{
    static const struct weft_uuid zero;
    return memcmp(id, &zero, sizeof zero) == 0;
}

/* An id with this row number: where a page may go on, whether the job is still there or not. */
static struct weft_uuid id_of_seq(int64_t seq)
{
    struct weft_uuid id = {.bytes = {[8] = 0x80}};
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(seq >> (52 - 8 * i));
    id.bytes[6] = (uint8_t)(0x70 | (seq >> 8 & 0x0f));
    id.bytes[7] = (uint8_t)seq;
    return id;
}

/* Which table to go through, and what a row of it costs. */
static enum sqlite_read_statement choose_table(const struct weft_job_filter *filter, int *ret_cost)
{
    *ret_cost = 3;
    if (!is_zero(&filter->flow))
        return READ_LIST_FLOW;
    if (filter->state == WEFT_JOB_COMPLETED)
        return READ_LIST_COMPLETED;
    if (weft_job_state_is_final(filter->state))
        return READ_LIST_UNUSUAL;
    *ret_cost = 1;
    return filter->state == WEFT_JOB_NONE ? READ_LIST_JOBS : READ_LIST_LIVE;
}

static bool fits(const struct scan *scan, sqlite3_stmt *row)
{
    const struct weft_job_filter *filter = scan->filter;
    return (!scan->queue || sqlite3_column_int64(row, 1) == scan->queue) &&
           (!scan->task || sqlite3_column_int64(row, 2) == scan->task) &&
           (!filter->state || sqlite3_column_int(row, 3) == (int)filter->state);
}

static int append_job(struct sqlite_reader *reader, struct weft_job_page *page, int64_t seq)
{
    sqlite3_stmt *select = reader->statements[READ_LISTED_JOB];
    (void)sqlite3_bind_int64(select, 1, seq);
    int rc = sqlite3_step(select);
    int err = rc == SQLITE_ROW    ? weft_sqlite_column_job(select, &page->jobs[page->count])
              : rc == SQLITE_DONE ? WEFT_ECORRUPT
                                  : weft_sqlite_error(reader->db, rc);
    (void)sqlite3_reset(select);
    if (!err)
        page->count++;
    return err;
}

static bool is_done(const struct scan *scan, const struct weft_job_page *page, sqlite3 *db)
{
    return page->count == scan->filter->jobs_max || scan->cost >= ROWS_MAX ||
           weft_sqlite_pages_read(db) - scan->pages_before >= PAGES_MAX;
}

/* All rows are of one snapshot: it lasts while the statement is not reset. */
static int scan_rows(struct sqlite_reader *reader, struct scan *scan, sqlite3_stmt *row,
                     struct weft_job_page *page)
{
    int rc, err = 0;
    while ((rc = sqlite3_step(row)) == SQLITE_ROW) {
        page->more = is_done(scan, page, reader->db);
        if (page->more)
            break;
        scan->cost += scan->row_cost;
        scan->last_seq = sqlite3_column_int64(row, 0);
        if (fits(scan, row))
            err = append_job(reader, page, scan->last_seq);
        if (err)
            break;
    }
    return err ? err : weft_sqlite_error(reader->db, rc);
}

static int read_page(struct sqlite_reader *reader, void *arg)
{
    struct list_call *call = arg;
    const struct weft_job_filter *filter = call->filter;
    struct scan scan = {.filter = filter, .pages_before = weft_sqlite_pages_read(reader->db)};
    int err = find_number(reader, READ_QUEUE_NUMBER, filter->queue, &scan.queue);
    if (!err)
        err = find_number(reader, READ_TASK_NUMBER, filter->task, &scan.task);
    if (err)
        return err == -ENOENT ? 0 : err; /* no job can have it */

    enum sqlite_read_statement table = choose_table(filter, &scan.row_cost);
    sqlite3_stmt *row = reader->statements[table];
    scan.last_seq = is_zero(&filter->before) ? INT64_MAX : weft_sqlite_seq(&filter->before);
    (void)sqlite3_bind_int64(row, 1, scan.last_seq);
    if (table == READ_LIST_FLOW)
        weft_sqlite_bind_id(row, 2, &filter->flow);
    else if (table == READ_LIST_UNUSUAL)
        (void)sqlite3_bind_int(row, 2, (int)filter->state);
    err = scan_rows(reader, &scan, row, call->page);
    (void)sqlite3_reset(row);
    (void)sqlite3_clear_bindings(row);
    if (!err && call->page->more)
        call->page->next = id_of_seq(scan.last_seq);
    return err;
}

int weft_sqlite_list(struct weft_broker *broker, const struct weft_job_filter *filter,
                     struct weft_job_page *page)
{
    if (filter->jobs_max < 1 || filter->jobs_max > JOBS_MAX ||
        (unsigned)filter->state >= WEFT_JOB_STATES)
        return -EINVAL;
    struct list_call call = {filter, page};
    page->count = 0;
    page->more = false;
    page->next = (struct weft_uuid){{0}};
    int err = weft_sqlite_read(weft_sqlite_of(broker), read_page, &call);
    while (err && page->count > 0)
        weft_job_free(page->jobs[--page->count]);
    return err;
}
