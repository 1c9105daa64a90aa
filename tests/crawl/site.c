/* SPDX-License-Identifier: MIT
 * site.c - see site.h. */
#include "site.h"

#include "test.h"

#include <weft/io.h>
#include <weft/runtime.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void expand(const struct site *site, struct weft_buffer *out, const char *text)
{
    for (; text && *text; text++) {
        if (*text == '@' && text[1] == '/')
            weft_buffer_append_format(out, "http://127.0.0.1:%u", site->origin.port);
        else if (*text == '~')
            weft_buffer_append_format(out, "http://127.0.0.1:%u", site->other_port);
        else
            weft_buffer_append_char(out, *text);
    }
}

static void reply(int fd, int status, const char *fields, const char *type,
                  const struct weft_buffer *body)
{
    struct weft_buffer head;
    weft_buffer_init(&head, (size_t)64 << 20);
    weft_buffer_append_format(&head, "HTTP/1.1 %d Said\r\nContent-Length: %zu\r\n", status,
                              body->len);
    if (*type)
        weft_buffer_append_format(&head, "Content-Type: %s\r\n", type);
    weft_buffer_append_string(&head, fields ? fields : "");
    weft_buffer_append_string(&head, "\r\n");
    weft_buffer_append(&head, body->data, body->len);
    (void)weft_write_all(fd, head.data, head.len, WEFT_FOREVER, NULL);
    weft_buffer_deinit(&head);
}

static void note_time(struct site *site)
{
    int64_t now_ns = weft_now();
    if (site->last_ns && now_ns - site->last_ns < site->gap_min_ns)
        site->gap_min_ns = now_ns - site->last_ns;
    site->last_ns = now_ns;
}

static const struct site_page *find_page(struct site *site, const char *path)
{
    for (size_t i = 0; i < site->pages_len; i++) {
        if (strcmp(site->pages[i].path, path) == 0) {
            site->hits[i]++;
            return &site->pages[i];
        }
    }
    site->missed++;
    return NULL;
}

static void answer_page(struct site *site, int fd, const struct site_page *page)
{
    struct weft_buffer body, fields;
    weft_buffer_init(&body, (size_t)64 << 20);
    weft_buffer_init(&fields, 65536);
    if (page->len > 0)
        weft_buffer_append(&body, page->body, page->len);
    else
        expand(site, &body, page->body);
    expand(site, &fields, page->fields);
    weft_buffer_append_char(&fields, '\0');
    reply(fd, page->status ? page->status : 200, fields.data, page->type ? page->type : "text/html",
          &body);
    weft_buffer_deinit(&body);
    weft_buffer_deinit(&fields);
}

/* Returns false when the connection is to be cut. */
static bool answer(struct site *site, int fd, const char *path)
{
    static const struct site_page missing = {.status = 404, .type = "text/plain"};
    struct weft_buffer body;
    bool goes_on = true;
    weft_buffer_init(&body, (size_t)64 << 20);
    site->made_status = 200;
    site->made_fields[0] = '\0';
    if (site->make && site->make(site, path, &body)) {
        site->made++;
        reply(fd, site->made_status, site->made_fields, "text/html", &body);
    } else {
        const struct site_page *page = find_page(site, path);
        goes_on = !page || page->status >= 0;
        if (goes_on)
            answer_page(site, fd, page ? page : &missing);
    }
    weft_buffer_deinit(&body);
    return goes_on;
}

static void serve(struct origin *origin, int fd)
{
    struct site *site = (struct site *)(void *)origin;
    while (origin_read(origin, fd)) {
        char path[4096] = "";
        (void)sscanf(origin->last, "GET %4095s", path);
        site->requests++;
        site->agents += strstr(origin->last, "\r\nUser-Agent: weft/") != NULL;
        note_time(site);
        if (++site->serving > site->serving_most)
            site->serving_most = site->serving;
        if (site->on_request)
            site->on_request(site);
        if (site->work_ns)
            (void)weft_sleep(site->work_ns);
        bool goes_on = answer(site, fd, path);
        site->serving--;
        if (!goes_on)
            return;
    }
}

void site_open_with(struct site *site, const struct site_page *pages, size_t count)
{
    _Static_assert(offsetof(struct site, origin) == 0, "one is the other");
    REQUIRE(count <= SITE_PAGES_MAX);
    *site = (struct site){.pages = pages, .pages_len = count, .gap_min_ns = WEFT_FOREVER};
    origin_open(&site->origin, serve);
}

void site_close(struct site *site)
{
    origin_close(&site->origin);
}

unsigned site_hits(const struct site *site, const char *path)
{
    for (size_t i = 0; i < site->pages_len; i++) {
        if (strcmp(site->pages[i].path, path) == 0)
            return site->hits[i];
    }
    return 0;
}

const char *site_url(const struct site *site, const char *path)
{
    return origin_url(site->origin.port, path);
}

int site_crawl(const struct site *site, const char *path, const struct weft_crawl_options *options,
               struct weft_crawl_result *result)
{
    char error[256], seed[256];
    struct weft_crawl_options own = options ? *options : (struct weft_crawl_options){0};
    (void)snprintf(seed, sizeof seed, "%s", site_url(site, path));
    const char *const seeds[] = {seed};
    own.seeds = seeds;
    own.seeds_count = 1;
    own.allow_private = !own.proxy;
    if (!own.store)
        own.store = ":memory:";
    if (!own.delay_ns)
        own.delay_ns = WEFT_CRAWL_NO_DELAY;
    *result = (struct weft_crawl_result){0};
    int err = weft_crawl(&own, result, error, sizeof error);
    if (err && err != -ECANCELED)
        test_note("%d: %s", err, error);
    return err;
}

const char *store_path(const char *name)
{
    static char path[512];
    static const char *const ends[] = {"", "-wal", "-shm", "-lock"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        (void)snprintf(path, sizeof path, "%s/%s%s", test_directory(), name, ends[i]);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    return path;
}

long long store_ask(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    REQUIRE(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 60000);
    REQUIRE(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK);
    REQUIRE(sqlite3_step(statement) == SQLITE_ROW);
    long long value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return value;
}

const char *store_report(const char *path, enum weft_crawl_report report,
                         enum weft_crawl_format format)
{
    static char text[65536];
    char error[256];
    FILE *file = tmpfile();
    REQUIRE(file);
    int64_t rows =
        weft_crawl_write_report(path, report, format, fileno(file), 0, error, sizeof error);
    if (rows < 0)
        test_note("%s", error);
    CHECK(rows >= 0);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    return text;
}
