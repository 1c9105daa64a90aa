/* SPDX-License-Identifier: MIT
 * frontier.c - what is done inside of a transaction, see frontier.h. */
#include <crawl/frontier_internal.h>

#include <weft/base.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// clang-format off
static const char *const texts[FRONTIER_STATEMENTS] = {
    [FRONTIER_BEGIN] = "BEGIN IMMEDIATE",
    [FRONTIER_COMMIT] = "COMMIT",
    [FRONTIER_ROLLBACK] = "ROLLBACK",
    [FRONTIER_URL_FIND] = "SELECT id, state, depth, use FROM urls WHERE fingerprint = ?1",
    [FRONTIER_URL_INSERT] =
        "INSERT INTO urls (fingerprint, host, state, use, depth, hops, url)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [FRONTIER_URL_RAISE] =
        "UPDATE urls SET host = ?2, state = ?3, use = ?4, depth = ?5, hops = ?6 WHERE id = ?1",
    [FRONTIER_LINK_INSERT] = "INSERT OR IGNORE INTO links VALUES (?1, ?2, ?3, ?4)",
    [FRONTIER_HOST_FIND] = "SELECT id, shelved FROM hosts WHERE origin = ?1",
    [FRONTIER_HOST_INSERT] = "INSERT INTO hosts (origin) VALUES (?1)",
    [FRONTIER_HOST_PENDING] = "UPDATE hosts SET pending = pending + ?2 WHERE id = ?1",
    [FRONTIER_HOST_PAGES] = "UPDATE hosts SET pages = pages + 1 WHERE id = ?1",
    [FRONTIER_HOST_REST] = "UPDATE hosts SET next_at_us = ?2 WHERE id = ?1",
    [FRONTIER_HOST_ROBOTS] =
        "UPDATE hosts SET robots_status = ?2, robots_at_us = ?3, robots = ?4 WHERE id = ?1",
    [FRONTIER_HOST_SHELVE] = "UPDATE hosts SET shelved = 1, pending = 0 WHERE id = ?1",
    [FRONTIER_HOSTS] =
        "SELECT id, origin, next_at_us, pages, robots_status, robots_at_us, robots FROM hosts"
        " WHERE pending > 0 ORDER BY next_at_us, id LIMIT ?1",
    [FRONTIER_CLAIM_LIST] =
        "SELECT id, use, depth, hops, attempts, url FROM urls WHERE host = ?1 AND state = 0"
        " ORDER BY depth, id LIMIT ?2",
    [FRONTIER_CLAIM] = "UPDATE urls SET state = 1, attempts = attempts + 1 WHERE id = ?1",
    [FRONTIER_SETTLE] =
        "UPDATE urls SET state = ?2, next_at_us = ?3, attempts = attempts - ?4"
        " WHERE id = ?1 AND state = 1",
    [FRONTIER_RESULT] =
        "INSERT OR REPLACE INTO results VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
        " ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
    [FRONTIER_DIGEST_FIND] = "SELECT 1 FROM results WHERE digest = ?1 LIMIT 1",
    [FRONTIER_DUE] =
        "SELECT u.id, u.host, h.shelved FROM urls u JOIN hosts h ON h.id = u.host"
        " WHERE u.state = 2 AND u.next_at_us <= ?1 ORDER BY u.next_at_us LIMIT 1000",
    [FRONTIER_DUE_NEXT] = "SELECT min(next_at_us) FROM urls WHERE state = 2",
    [FRONTIER_PROMOTE] = "UPDATE urls SET state = ?2, next_at_us = NULL WHERE id = ?1",
    [FRONTIER_SHELVE] = "UPDATE urls SET state = 7 WHERE host = ?1 AND state = 0",
    [FRONTIER_SEED] = "INSERT OR IGNORE INTO seeds VALUES (?1)",
    [FRONTIER_SEEDS] = "SELECT url FROM seeds ORDER BY url",
    [FRONTIER_TOTALS] =
        "UPDATE totals SET pending = ?1, claimed = ?2, delayed = ?3, done = ?4, forbidden = ?5,"
        " known = ?6, too_deep = ?7, shelved = ?8, hosts = ?9, links = ?10, broken = ?11,"
        " redirects = ?12, duplicates = ?13, body_bytes = ?14, no_answer = ?15, status_1xx = ?16,"
        " status_2xx = ?17, status_3xx = ?18, status_4xx = ?19, status_5xx = ?20",
};
// clang-format on

int weft_frontier_prepare(struct weft_frontier *frontier)
{
    for (size_t i = 0; i < FRONTIER_STATEMENTS; i++) {
        int rc = sqlite3_prepare_v3(frontier->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &frontier->statements[i], NULL);
        if (rc != SQLITE_OK)
            return weft_frontier_error(frontier->db, rc);
    }
    return 0;
}

int weft_frontier_run(struct weft_frontier *frontier, enum frontier_statement which)
{
    sqlite3_stmt *statement = frontier->statements[which];
    int rc = sqlite3_step(statement);
    (void)sqlite3_reset(statement);
    return weft_frontier_error(frontier->db, rc);
}

static void bind_int(struct weft_frontier *frontier, enum frontier_statement which, int at,
                     int64_t value)
{
    (void)sqlite3_bind_int64(frontier->statements[which], at, value);
}

/* Text lives until the statement has run. A failed bind fails the step: the columns want values. */
static void bind_text(struct weft_frontier *frontier, enum frontier_statement which, int at,
                      const char *text, size_t len)
{
    if (text)
        (void)sqlite3_bind_text64(frontier->statements[which], at, text, len, SQLITE_STATIC,
                                  SQLITE_UTF8);
    else
        (void)sqlite3_bind_null(frontier->statements[which], at);
}

static void bind_blob(struct weft_frontier *frontier, enum frontier_statement which, int at,
                      const void *data, size_t len)
{
    (void)sqlite3_bind_blob64(frontier->statements[which], at, data, len, SQLITE_STATIC);
}

/* ---- transactions ------------------------------------------------------------------------ */

int weft_frontier_begin(struct weft_frontier *frontier)
{
    return weft_frontier_run(frontier, FRONTIER_BEGIN);
}

static int store_totals(struct weft_frontier *frontier)
{
    const struct weft_frontier_totals *totals = &frontier->totals;
    const int64_t others[] = {totals->hosts,     totals->links,      totals->broken,
                              totals->redirects, totals->duplicates, totals->body_bytes};
    int at = 1;
    for (size_t i = 0; i < WEFT_URL_STATES; i++)
        bind_int(frontier, FRONTIER_TOTALS, at++, totals->states[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        bind_int(frontier, FRONTIER_TOTALS, at++, others[i]);
    for (size_t i = 0; i < 6; i++)
        bind_int(frontier, FRONTIER_TOTALS, at++, totals->status[i]);
    return weft_frontier_run(frontier, FRONTIER_TOTALS);
}

int weft_frontier_commit(struct weft_frontier *frontier)
{
    int err = store_totals(frontier);
    if (err == 0)
        err = weft_frontier_run(frontier, FRONTIER_COMMIT);
    if (err)
        (void)weft_frontier_run(frontier, FRONTIER_ROLLBACK);
    return err;
}

const struct weft_frontier_totals *weft_frontier_totals(const struct weft_frontier *frontier)
{
    return &frontier->totals;
}

/* ---- hosts ------------------------------------------------------------------------------- */

static int add_pending(struct weft_frontier *frontier, int64_t host, int64_t count)
{
    bind_int(frontier, FRONTIER_HOST_PENDING, 1, host);
    bind_int(frontier, FRONTIER_HOST_PENDING, 2, count);
    return weft_frontier_run(frontier, FRONTIER_HOST_PENDING);
}

static int insert_host(struct weft_frontier *frontier, const char *origin, size_t len)
{
    bind_text(frontier, FRONTIER_HOST_INSERT, 1, origin, len);
    int err = weft_frontier_run(frontier, FRONTIER_HOST_INSERT);
    if (err == 0) {
        frontier->host = sqlite3_last_insert_rowid(frontier->db);
        frontier->host_is_full = false;
        frontier->totals.hosts++;
    }
    return err;
}

/* Into frontier->host and host_is_full. */
static int find_host(struct weft_frontier *frontier, const struct weft_url *url)
{
    if (url->origin_len >= sizeof frontier->origin)
        return -EMSGSIZE;
    if (frontier->host && strncmp(frontier->origin, url->text, url->origin_len) == 0 &&
        frontier->origin[url->origin_len] == '\0')
        return 0;
    frontier->host = 0;
    sqlite3_stmt *statement = frontier->statements[FRONTIER_HOST_FIND];
    bind_text(frontier, FRONTIER_HOST_FIND, 1, url->text, url->origin_len);
    int rc = sqlite3_step(statement);
    int err = weft_frontier_error(frontier->db, rc);
    if (rc == SQLITE_ROW) {
        frontier->host = sqlite3_column_int64(statement, 0);
        frontier->host_is_full = sqlite3_column_int(statement, 1) != 0;
    }
    (void)sqlite3_reset(statement);
    if (rc == SQLITE_DONE)
        err = insert_host(frontier, url->text, url->origin_len);
    if (err) {
        frontier->host = 0;
        return err;
    }
    memcpy(frontier->origin, url->text, url->origin_len);
    frontier->origin[url->origin_len] = '\0';
    return 0;
}

static struct weft_host_row *read_host(sqlite3_stmt *statement)
{
    const char *origin = (const char *)sqlite3_column_text(statement, 1);
    size_t len = (size_t)sqlite3_column_bytes(statement, 1);
    struct weft_host_row *row = calloc(1, sizeof *row + len + 1);
    if (!row)
        return NULL;
    if (origin)
        memcpy(row->origin, origin, len);
    row->id = sqlite3_column_int64(statement, 0);
    row->next_at_us = sqlite3_column_int64(statement, 2);
    row->pages = (uint64_t)sqlite3_column_int64(statement, 3);
    row->robots_status = sqlite3_column_int(statement, 4);
    row->robots_at_us = sqlite3_column_int64(statement, 5);
    const void *robots = sqlite3_column_blob(statement, 6);
    size_t robots_len = (size_t)sqlite3_column_bytes(statement, 6);
    if (robots && robots_len > 0) {
        row->robots = malloc(robots_len);
        if (!row->robots) {
            free(row);
            return NULL;
        }
        memcpy(row->robots, robots, robots_len);
        row->robots_len = robots_len;
    }
    return row;
}

void weft_host_row_free(struct weft_host_row *row)
{
    if (row)
        free(row->robots);
    free(row);
}

static bool is_among(int64_t id, const int64_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

int weft_frontier_hosts(struct weft_frontier *frontier, unsigned most, const int64_t *open,
                        size_t open_count, struct weft_link *list)
{
    sqlite3_stmt *statement = frontier->statements[FRONTIER_HOSTS];
    unsigned count = 0;
    int err = 0, rc = SQLITE_ROW;
    bind_int(frontier, FRONTIER_HOSTS, 1, (int64_t)(most + open_count));
    while (err == 0 && count < most && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        if (is_among(sqlite3_column_int64(statement, 0), open, open_count))
            continue;
        struct weft_host_row *row = read_host(statement);
        if (!row) {
            err = -ENOMEM;
            break;
        }
        weft_list_append(list, &row->link);
        count++;
    }
    (void)sqlite3_reset(statement);
    if (err == 0)
        err = weft_frontier_error(frontier->db, rc);
    return err ? err : (int)count;
}

int weft_frontier_rest(struct weft_frontier *frontier, int64_t host, int64_t next_at_us)
{
    bind_int(frontier, FRONTIER_HOST_REST, 1, host);
    bind_int(frontier, FRONTIER_HOST_REST, 2, next_at_us);
    return weft_frontier_run(frontier, FRONTIER_HOST_REST);
}

int weft_frontier_robots(struct weft_frontier *frontier, int64_t host, int status, int64_t at_us,
                         const char *text, size_t len)
{
    bind_int(frontier, FRONTIER_HOST_ROBOTS, 1, host);
    bind_int(frontier, FRONTIER_HOST_ROBOTS, 2, status);
    bind_int(frontier, FRONTIER_HOST_ROBOTS, 3, at_us);
    bind_blob(frontier, FRONTIER_HOST_ROBOTS, 4, text, len);
    return weft_frontier_run(frontier, FRONTIER_HOST_ROBOTS);
}

int weft_frontier_shelve(struct weft_frontier *frontier, int64_t host)
{
    bind_int(frontier, FRONTIER_SHELVE, 1, host);
    int err = weft_frontier_run(frontier, FRONTIER_SHELVE);
    if (err)
        return err;
    int64_t count = sqlite3_changes64(frontier->db);
    frontier->totals.states[WEFT_URL_PENDING] -= count;
    frontier->totals.states[WEFT_URL_SHELVED] += count;
    bind_int(frontier, FRONTIER_HOST_SHELVE, 1, host);
    frontier->host = 0; /* what is remembered of it has changed */
    return weft_frontier_run(frontier, FRONTIER_HOST_SHELVE);
}

/* ---- enter ------------------------------------------------------------------------------- */

struct known_url {
    int64_t id; /* 0: there is none */
    enum weft_url_state state;
    enum weft_url_use use;
    unsigned depth;
};

static int find_url(struct weft_frontier *frontier, const struct weft_entry *entry,
                    struct known_url *known)
{
    sqlite3_stmt *statement = frontier->statements[FRONTIER_URL_FIND];
    *known = (struct known_url){.id = 0};
    bind_blob(frontier, FRONTIER_URL_FIND, 1, entry->fingerprint, sizeof entry->fingerprint);
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        known->id = sqlite3_column_int64(statement, 0);
        known->state = (enum weft_url_state)sqlite3_column_int(statement, 1);
        known->depth = (unsigned)sqlite3_column_int64(statement, 2);
        known->use = (enum weft_url_use)sqlite3_column_int(statement, 3);
    }
    (void)sqlite3_reset(statement);
    return weft_frontier_error(frontier->db, rc);
}

/* What a URL is from now on that was not known before, and whose host it counts for. */
static int place_url(struct weft_frontier *frontier, const struct weft_entry *entry,
                     enum weft_url_state *ret_state, int64_t *ret_host)
{
    struct weft_url url;
    *ret_state = WEFT_URL_KNOWN;
    *ret_host = 0;
    if (!entry->fetch)
        return 0;
    weft_url_read(&url, entry->url);
    int err = find_host(frontier, &url);
    if (err)
        return err;
    *ret_host = frontier->host;
    if (entry->depth > frontier->depth_max)
        *ret_state = WEFT_URL_TOO_DEEP;
    else
        *ret_state = frontier->host_is_full ? WEFT_URL_SHELVED : WEFT_URL_PENDING;
    return 0;
}

static int insert_url(struct weft_frontier *frontier, const struct weft_entry *entry,
                      enum weft_url_state state, int64_t host, int64_t *ret_id)
{
    const enum frontier_statement insert = FRONTIER_URL_INSERT;
    bind_blob(frontier, insert, 1, entry->fingerprint, sizeof entry->fingerprint);
    bind_int(frontier, insert, 2, host);
    bind_int(frontier, insert, 3, state);
    bind_int(frontier, insert, 4, entry->use);
    bind_int(frontier, insert, 5, entry->depth);
    bind_int(frontier, insert, 6, entry->hops);
    bind_text(frontier, insert, 7, entry->url, strlen(entry->url));
    int err = weft_frontier_run(frontier, insert);
    if (err)
        return err;
    frontier->totals.states[state]++;
    *ret_id = sqlite3_last_insert_rowid(frontier->db);
    return 0;
}

static int raise_url(struct weft_frontier *frontier, const struct weft_entry *entry,
                     const struct known_url *known, enum weft_url_state state, int64_t host)
{
    bind_int(frontier, FRONTIER_URL_RAISE, 1, known->id);
    bind_int(frontier, FRONTIER_URL_RAISE, 2, host);
    bind_int(frontier, FRONTIER_URL_RAISE, 3, state);
    bind_int(frontier, FRONTIER_URL_RAISE, 4, entry->use);
    bind_int(frontier, FRONTIER_URL_RAISE, 5, entry->depth);
    bind_int(frontier, FRONTIER_URL_RAISE, 6, entry->hops);
    int err = weft_frontier_run(frontier, FRONTIER_URL_RAISE);
    if (err == 0) {
        frontier->totals.states[known->state]--;
        frontier->totals.states[state]++;
    }
    return err;
}

/* A URL that is known already can become something better: known only, to be fetched; too deep, by
 * a shorter way; an asset, a page. */
static bool is_better(const struct weft_entry *entry, const struct known_url *known)
{
    if (!entry->fetch)
        return false;
    if (known->state == WEFT_URL_KNOWN)
        return true;
    if (known->state != WEFT_URL_TOO_DEEP && known->state != WEFT_URL_PENDING)
        return false;
    bool becomes_page = entry->use == WEFT_USE_PAGE && known->use > WEFT_USE_SITEMAP;
    return becomes_page || (entry->use == known->use && entry->depth < known->depth);
}

static int enter_link(struct weft_frontier *frontier, int64_t source,
                      const struct weft_entry *entry, int64_t target)
{
    if (!source || !frontier->keeps_links)
        return 0;
    bind_int(frontier, FRONTIER_LINK_INSERT, 1, source);
    bind_int(frontier, FRONTIER_LINK_INSERT, 2, target);
    bind_int(frontier, FRONTIER_LINK_INSERT, 3, entry->kind);
    bind_int(frontier, FRONTIER_LINK_INSERT, 4, entry->nofollow);
    int err = weft_frontier_run(frontier, FRONTIER_LINK_INSERT);
    if (err == 0)
        frontier->totals.links += sqlite3_changes64(frontier->db);
    return err;
}

int weft_frontier_enter(struct weft_frontier *frontier, int64_t source,
                        const struct weft_entry *entry, int64_t *ret_host)
{
    struct known_url known;
    enum weft_url_state state;
    int64_t host;
    *ret_host = 0;
    if (!entry->fetch && !frontier->keeps_links)
        return 0;
    int err = find_url(frontier, entry, &known);
    if (err)
        return err;
    bool better = known.id && is_better(entry, &known);
    if (!known.id || better) {
        err = place_url(frontier, entry, &state, &host);
        if (err == 0)
            err = known.id ? raise_url(frontier, entry, &known, state, host)
                           : insert_url(frontier, entry, state, host, &known.id);
        bool pending = state == WEFT_URL_PENDING && !(better && known.state == WEFT_URL_PENDING);
        if (err == 0 && pending) {
            err = add_pending(frontier, host, 1);
            *ret_host = host;
        }
    }
    return err ? err : enter_link(frontier, source, entry, known.id);
}

/* ---- claim ------------------------------------------------------------------------------- */

static struct weft_claimed *read_claimed(sqlite3_stmt *statement, int64_t host)
{
    const char *url = (const char *)sqlite3_column_text(statement, 5);
    size_t len = (size_t)sqlite3_column_bytes(statement, 5);
    struct weft_claimed *claimed = url ? calloc(1, sizeof *claimed + len + 1) : NULL;
    if (!claimed)
        return NULL;
    claimed->id = sqlite3_column_int64(statement, 0);
    claimed->host = host;
    claimed->use = (enum weft_url_use)sqlite3_column_int(statement, 1);
    claimed->depth = (unsigned)sqlite3_column_int64(statement, 2);
    claimed->hops = (unsigned)sqlite3_column_int64(statement, 3);
    claimed->attempt = (unsigned)sqlite3_column_int64(statement, 4) + 1;
    memcpy(claimed->url, url, len);
    return claimed;
}

int weft_frontier_claim(struct weft_frontier *frontier, int64_t host, unsigned most,
                        struct weft_link *list, bool *ret_more)
{
    sqlite3_stmt *statement = frontier->statements[FRONTIER_CLAIM_LIST];
    struct weft_link batch;
    unsigned count = 0;
    int err = 0, rc = SQLITE_ROW;
    weft_list_init(&batch);
    *ret_more = false;
    bind_int(frontier, FRONTIER_CLAIM_LIST, 1, host);
    bind_int(frontier, FRONTIER_CLAIM_LIST, 2, (int64_t)most + 1);
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        if (count == most) {
            *ret_more = true;
            break;
        }
        struct weft_claimed *claimed = read_claimed(statement, host);
        if (!claimed) {
            err = -ENOMEM;
            break;
        }
        weft_list_append(&batch, &claimed->link);
        count++;
    }
    (void)sqlite3_reset(statement);
    if (err == 0)
        err = weft_frontier_error(frontier->db, rc);
    while (!weft_list_empty(&batch)) {
        struct weft_claimed *claimed = weft_container_of(batch.next, struct weft_claimed, link);
        weft_list_unlink(&claimed->link);
        if (err == 0) {
            bind_int(frontier, FRONTIER_CLAIM, 1, claimed->id);
            err = weft_frontier_run(frontier, FRONTIER_CLAIM);
        }
        weft_list_append(list, &claimed->link); /* freed by its owner in any case */
    }
    if (err == 0 && count > 0)
        err = add_pending(frontier, host, -(int64_t)count);
    frontier->totals.states[WEFT_URL_PENDING] -= count;
    frontier->totals.states[WEFT_URL_CLAIMED] += count;
    return err ? err : (int)count;
}

/* ---- settle ------------------------------------------------------------------------------ */

static int is_duplicate(struct weft_frontier *frontier, const unsigned char *digest)
{
    sqlite3_stmt *statement = frontier->statements[FRONTIER_DIGEST_FIND];
    bind_blob(frontier, FRONTIER_DIGEST_FIND, 1, digest, WEFT_DIGEST_BYTES);
    int rc = sqlite3_step(statement);
    (void)sqlite3_reset(statement);
    return rc == SQLITE_ROW ? 1 : weft_frontier_error(frontier->db, rc);
}

static int count_result(struct weft_frontier *frontier, const struct weft_page_row *row,
                        bool forbidden)
{
    struct weft_frontier_totals *totals = &frontier->totals;
    int class = row->status_code / 100;
    totals->status[class >= 1 && class <= 5 ? class : 0] += !forbidden;
    bool failed = row->error_class && strcmp(row->error_class, "too-large") != 0;
    totals->broken += !forbidden && (row->status_code >= 400 || failed);
    totals->redirects += class == 3;
    totals->body_bytes += (int64_t)row->body_bytes;
    if (!row->digest)
        return 0;
    int found = is_duplicate(frontier, row->digest);
    totals->duplicates += found == 1;
    return found < 0 ? found : 0;
}

static int insert_result(struct weft_frontier *frontier, const struct weft_claimed *claimed,
                         const struct weft_page_row *row)
{
    const enum frontier_statement insert = FRONTIER_RESULT;
    bind_int(frontier, insert, 1, claimed->id);
    bind_int(frontier, insert, 2, row->status_code);
    bind_int(frontier, insert, 3, row->latency_us);
    bind_int(frontier, insert, 4, row->timestamp_us);
    bind_int(frontier, insert, 5, claimed->attempt);
    bind_text(frontier, insert, 6, row->error, row->error ? strlen(row->error) : 0);
    bind_text(frontier, insert, 7, row->error_class,
              row->error_class ? strlen(row->error_class) : 0);
    bind_int(frontier, insert, 8, row->http_version);
    bind_int(frontier, insert, 9, row->queue_us);
    bind_int(frontier, insert, 10, row->total_us);
    bind_int(frontier, insert, 11, row->name_us);
    bind_int(frontier, insert, 12, row->connect_us);
    bind_int(frontier, insert, 13, row->tls_us);
    bind_int(frontier, insert, 14, row->first_byte_us);
    bind_int(frontier, insert, 15, row->connections);
    bind_int(frontier, insert, 16, (int64_t)row->bytes_received);
    bind_int(frontier, insert, 17, (int64_t)row->body_bytes);
    bind_text(frontier, insert, 18, row->content_type,
              row->content_type ? strlen(row->content_type) : 0);
    bind_blob(frontier, insert, 19, row->digest, row->digest ? WEFT_DIGEST_BYTES : 0);
    bind_int(frontier, insert, 20, row->noindex);
    return weft_frontier_run(frontier, insert);
}

int weft_frontier_settle(struct weft_frontier *frontier, const struct weft_settling *settling)
{
    const struct weft_claimed *claimed = settling->claimed;
    bool delayed = settling->state == WEFT_URL_DELAYED;
    bind_int(frontier, FRONTIER_SETTLE, 1, claimed->id);
    bind_int(frontier, FRONTIER_SETTLE, 2, settling->state);
    if (delayed)
        bind_int(frontier, FRONTIER_SETTLE, 3, settling->next_at_us);
    else
        (void)sqlite3_bind_null(frontier->statements[FRONTIER_SETTLE], 3);
    bind_int(frontier, FRONTIER_SETTLE, 4, settling->spares_attempt);
    int err = weft_frontier_run(frontier, FRONTIER_SETTLE);
    if (err || sqlite3_changes64(frontier->db) == 0)
        return err ? err : WEFT_ECORRUPT;
    frontier->totals.states[WEFT_URL_CLAIMED]--;
    frontier->totals.states[settling->state]++;
    if (settling->state == WEFT_URL_PENDING)
        return add_pending(frontier, claimed->host, 1);
    if (delayed)
        return 0;
    err = count_result(frontier, settling->row, settling->state == WEFT_URL_FORBIDDEN);
    if (err == 0)
        err = insert_result(frontier, claimed, settling->row);
    if (err == 0 && settling->state == WEFT_URL_DONE) {
        bind_int(frontier, FRONTIER_HOST_PAGES, 1, claimed->host);
        err = weft_frontier_run(frontier, FRONTIER_HOST_PAGES);
    }
    return err;
}

/* ---- time -------------------------------------------------------------------------------- */

static int next_due(struct weft_frontier *frontier, int64_t *ret_next_us)
{
    sqlite3_stmt *statement = frontier->statements[FRONTIER_DUE_NEXT];
    int rc = sqlite3_step(statement);
    *ret_next_us = INT64_MAX;
    if (rc == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL)
        *ret_next_us = sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement);
    return weft_frontier_error(frontier->db, rc);
}

static int promote_one(struct weft_frontier *frontier, int64_t id, int64_t host, bool shelved)
{
    enum weft_url_state state = shelved ? WEFT_URL_SHELVED : WEFT_URL_PENDING;
    bind_int(frontier, FRONTIER_PROMOTE, 1, id);
    bind_int(frontier, FRONTIER_PROMOTE, 2, state);
    int err = weft_frontier_run(frontier, FRONTIER_PROMOTE);
    if (err)
        return err;
    frontier->totals.states[WEFT_URL_DELAYED]--;
    frontier->totals.states[state]++;
    return shelved ? 0 : add_pending(frontier, host, 1);
}

int weft_frontier_promote(struct weft_frontier *frontier, int64_t now_us,
                          int64_t hosts[WEFT_PROMOTE_MAX], int64_t *ret_next_us)
{
    struct due {
        int64_t id, host;
        bool shelved;
    } *due = calloc(WEFT_PROMOTE_MAX, sizeof *due);
    sqlite3_stmt *statement = frontier->statements[FRONTIER_DUE];
    int count = 0, kept = 0, rc = SQLITE_ROW;
    *ret_next_us = INT64_MAX;
    if (!due)
        return -ENOMEM;
    bind_int(frontier, FRONTIER_DUE, 1, now_us);
    while (count < WEFT_PROMOTE_MAX && (rc = sqlite3_step(statement)) == SQLITE_ROW)
        due[count++] =
            (struct due){sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1),
                         sqlite3_column_int(statement, 2) != 0};
    (void)sqlite3_reset(statement);
    int err = weft_frontier_error(frontier->db, rc);
    for (int i = 0; i < count && err == 0; i++) {
        err = promote_one(frontier, due[i].id, due[i].host, due[i].shelved);
        if (!due[i].shelved)
            hosts[kept++] = due[i].host;
    }
    free(due);
    if (err == 0)
        err = next_due(frontier, ret_next_us);
    return err ? err : kept;
}

/* ---- seeds ------------------------------------------------------------------------------- */

int weft_frontier_add_seed(struct weft_frontier *frontier, const char *url)
{
    bind_text(frontier, FRONTIER_SEED, 1, url, strlen(url));
    return weft_frontier_run(frontier, FRONTIER_SEED);
}

int weft_frontier_seeds(struct weft_frontier *frontier, struct weft_buffer *out)
{
    sqlite3_stmt *statement = frontier->statements[FRONTIER_SEEDS];
    int rc;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        const void *url = sqlite3_column_text(statement, 0);
        weft_buffer_append(out, url, url ? (size_t)sqlite3_column_bytes(statement, 0) : 0);
        weft_buffer_append_char(out, '\0');
    }
    (void)sqlite3_reset(statement);
    int err = weft_frontier_error(frontier->db, rc);
    return err ? err : out->err;
}
