/* SPDX-License-Identifier: MIT
 * report.c - what a store says, as JSON lines, CSV or a graph for graphviz. Rows go from SQLite to
 * the descriptor one by one, however many there are; a crawl may go on meanwhile. */
#include <crawl/frontier.h>
#include <weft/crawl.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)64 << 10)
#define ROW_MAX     ((size_t)64 << 20) /* a URL with very many referrers */

// clang-format off
static const char *const texts[] = {
    [WEFT_CRAWL_PAGES] =
        "SELECT url, status_code, latency_ms, timestamp, attempt, error, final_url, method,"
        " error_class, http_version, queue_ms, total_ms, name_ms, connect_ms, tls_ms,"
        " first_byte_ms, redirects, connections, bytes_received, body_bytes, content_type,"
        " nullif(body_digest, '') AS body_digest, NULL AS tag, depth, noindex"
        " FROM pages ORDER BY id LIMIT ?1",
    [WEFT_CRAWL_LINKS] =
        "SELECT s.url AS source, t.url AS target, k.name AS kind, l.nofollow AS nofollow"
        " FROM links l JOIN urls s ON s.id = l.source JOIN urls t ON t.id = l.target"
        " JOIN kinds k ON k.kind = l.kind ORDER BY l.source, l.target, l.kind LIMIT ?1",
    /* The links are gone through once, and not once for each broken URL. */
    [WEFT_CRAWL_BROKEN] =
        "WITH broken AS MATERIALIZED (SELECT id FROM results WHERE status_code >= 400 OR"
        " error_class NOT IN ('robots', 'too-large'))"
        " SELECT t.url AS url, r.status_code AS status_code, r.error_class AS error_class,"
        " r.error AS error, s.url AS referrer, k.name AS kind"
        " FROM broken b JOIN results r ON r.id = b.id JOIN urls t ON t.id = b.id"
        " LEFT JOIN (SELECT source, target, kind FROM links"
        "  WHERE target IN (SELECT id FROM broken)) l ON l.target = b.id"
        " LEFT JOIN urls s ON s.id = l.source LEFT JOIN kinds k ON k.kind = l.kind"
        " ORDER BY b.id, l.source LIMIT ?1",
    [WEFT_CRAWL_DUPLICATES] =
        "SELECT u.url AS url, f.url AS same_as, r.body_bytes AS body_bytes,"
        " lower(hex(r.digest)) AS body_digest FROM results r JOIN"
        " (SELECT digest, min(id) AS first FROM results WHERE digest IS NOT NULL"
        "  GROUP BY digest HAVING count(*) > 1) d ON d.digest = r.digest AND r.id <> d.first"
        " JOIN urls u ON u.id = r.id JOIN urls f ON f.id = d.first ORDER BY d.first, r.id LIMIT ?1",
    [WEFT_CRAWL_REDIRECTS] =
        "SELECT s.url AS url, t.url AS target, r.status_code AS status_code FROM links l"
        " JOIN results r ON r.id = l.source JOIN urls s ON s.id = l.source"
        " JOIN urls t ON t.id = l.target WHERE l.kind = 7 ORDER BY l.source LIMIT ?1",
};
// clang-format on
#define REPORTS (sizeof texts / sizeof *texts)

struct writer {
    int fd;
    struct weft_buffer out;
    char *error;
    size_t error_bytes;
};

__attribute__((format(printf, 3, 4))) static int fail(const struct writer *writer, int err,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (writer->error_bytes > 0)
        (void)vsnprintf(writer->error, writer->error_bytes, format, args);
    va_end(args);
    return err;
}

static int flush(struct writer *writer)
{
    size_t at = 0;
    while (at < writer->out.len) {
        ssize_t len = write(writer->fd, writer->out.data + at, writer->out.len - at);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return fail(writer, -errno, "the report cannot be written: %s", weft_strerror(errno));
        at += (size_t)len;
    }
    weft_buffer_clear(&writer->out);
    return 0;
}

/* ---- formats ------------------------------------------------------------------------------- */

static void write_json(struct weft_buffer *out, sqlite3_stmt *statement)
{
    int columns = sqlite3_column_count(statement);
    for (int i = 0; i < columns; i++) {
        const char *text = (const char *)sqlite3_column_text(statement, i);
        int type = sqlite3_column_type(statement, i);
        const char *name = sqlite3_column_name(statement, i);
        weft_buffer_append_string(out, i ? "," : "{");
        weft_buffer_append_json_string(out, name, strlen(name));
        weft_buffer_append_char(out, ':');
        if (type == SQLITE_NULL || !text)
            weft_buffer_append_string(out, "null");
        else if (type == SQLITE_TEXT)
            weft_buffer_append_json_string(out, text, strlen(text));
        else
            weft_buffer_append_string(out, text);
    }
    weft_buffer_append_string(out, "}\n");
}

/* RFC 4180. What a spreadsheet would compute is made text. */
static void write_cell(struct weft_buffer *out, const char *text, bool is_text)
{
    if (is_text && strchr("=+-@\t\r", text[0]) && text[0])
        weft_buffer_append_char(out, '\'');
    if (!strpbrk(text, ",\"\r\n")) {
        weft_buffer_append_string(out, text);
        return;
    }
    weft_buffer_append_char(out, '"');
    for (; *text; text++) {
        if (*text == '"')
            weft_buffer_append_char(out, '"');
        weft_buffer_append_char(out, *text);
    }
    weft_buffer_append_char(out, '"');
}

static void write_csv(struct weft_buffer *out, sqlite3_stmt *statement)
{
    int columns = sqlite3_column_count(statement);
    for (int i = 0; i < columns; i++) {
        const char *text = (const char *)sqlite3_column_text(statement, i);
        if (i > 0)
            weft_buffer_append_char(out, ',');
        if (text)
            write_cell(out, text, sqlite3_column_type(statement, i) == SQLITE_TEXT);
    }
    weft_buffer_append_string(out, "\r\n");
}

static void write_csv_head(struct weft_buffer *out, sqlite3_stmt *statement)
{
    int columns = sqlite3_column_count(statement);
    for (int i = 0; i < columns; i++) {
        if (i > 0)
            weft_buffer_append_char(out, ',');
        weft_buffer_append_string(out, sqlite3_column_name(statement, i));
    }
    weft_buffer_append_string(out, "\r\n");
}

static void write_quoted(struct weft_buffer *out, const char *text)
{
    weft_buffer_append_char(out, '"');
    for (; text && *text; text++) {
        if (*text == '"' || *text == '\\')
            weft_buffer_append_char(out, '\\');
        weft_buffer_append_char(out, *text);
    }
    weft_buffer_append_char(out, '"');
}

static void write_dot(struct weft_buffer *out, sqlite3_stmt *statement)
{
    const char *kind = (const char *)sqlite3_column_text(statement, 2);
    weft_buffer_append_string(out, "  ");
    write_quoted(out, (const char *)sqlite3_column_text(statement, 0));
    weft_buffer_append_string(out, " -> ");
    write_quoted(out, (const char *)sqlite3_column_text(statement, 1));
    if (kind && strcmp(kind, "a") != 0) {
        weft_buffer_append_string(out, " [label=");
        write_quoted(out, kind);
        weft_buffer_append_char(out, ']');
    }
    weft_buffer_append_string(out, ";\n");
}

/* ---- rows ---------------------------------------------------------------------------------- */

static int64_t write_rows(struct writer *writer, sqlite3 *db, sqlite3_stmt *statement,
                          enum weft_crawl_format format)
{
    struct weft_buffer *out = &writer->out;
    int64_t rows = 0;
    int rc, err = 0;
    if (format == WEFT_CRAWL_CSV)
        write_csv_head(out, statement);
    else if (format == WEFT_CRAWL_DOT)
        weft_buffer_append_string(out, "digraph crawl {\n");
    while (err == 0 && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        if (format == WEFT_CRAWL_JSONL)
            write_json(out, statement);
        else if (format == WEFT_CRAWL_CSV)
            write_csv(out, statement);
        else
            write_dot(out, statement);
        rows++;
        err = out->err;
        if (err == 0 && out->len >= PIECE_BYTES)
            err = flush(writer);
    }
    if (err)
        return err;
    if (rc != SQLITE_DONE)
        return fail(writer, weft_frontier_error(db, rc), "the store cannot be read: %s",
                    sqlite3_errmsg(db));
    if (format == WEFT_CRAWL_DOT)
        weft_buffer_append_string(out, "}\n");
    err = out->err ? out->err : flush(writer);
    return err ? err : rows;
}

static int open_reader(struct writer *writer, const char *path, sqlite3 **ret_db)
{
    int rc = sqlite3_open_v2(
        path, ret_db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(*ret_db, 5000);
    int err = weft_frontier_error(*ret_db, rc);
    if (err)
        return fail(writer, err, "cannot open the store %s: %s", path, weft_strerror(err));
    int version = weft_frontier_check(*ret_db, path, writer->error, writer->error_bytes);
    if (version == 0)
        return fail(writer, -ENOENT, "%s is an empty database, not the store of a crawl", path);
    return version < 0 ? version : 0;
}

int64_t weft_crawl_write_report(const char *store, enum weft_crawl_report report,
                                enum weft_crawl_format format, int fd, uint64_t rows_max,
                                char *ret_error, size_t error_bytes)
{
    struct writer writer = {.fd = fd, .error = ret_error, .error_bytes = error_bytes};
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    if (error_bytes > 0)
        ret_error[0] = '\0';
    if ((size_t)report >= REPORTS || format > WEFT_CRAWL_DOT ||
        (format == WEFT_CRAWL_DOT && report != WEFT_CRAWL_LINKS))
        return fail(&writer, -EINVAL, "there is no such report in this format");
    weft_buffer_init(&writer.out, ROW_MAX);
    int64_t result = open_reader(&writer, store ? store : "crawl.db", &db);
    if (result == 0) {
        int rc = sqlite3_prepare_v2(db, texts[report], -1, &statement, NULL);
        if (rc == SQLITE_OK)
            rc = sqlite3_bind_int64(statement, 1,
                                    rows_max && rows_max < INT64_MAX ? (int64_t)rows_max : -1);
        result = weft_frontier_error(db, rc);
        if (result)
            (void)fail(&writer, (int)result, "the store cannot be read: %s", sqlite3_errmsg(db));
    }
    if (result == 0)
        result = write_rows(&writer, db, statement, format);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    weft_buffer_deinit(&writer.out);
    return result;
}
