/* SPDX-License-Identifier: MIT
 * sink.h - results of requests on their way to storage: JSON lines, CSV, SQLite, files, a function.
 *
 *     const struct weft_sink_output outputs[] = {{.path = "out.jsonl"}, {.path = "out.sqlite"}};
 *     const struct weft_sink_options options = {.outputs = outputs, .outputs_count = 2};
 *     struct weft_sink *sink;
 *     int err = weft_sink_open(&sink, &options, error, sizeof error);
 *     while (err == 0 && next(&result))
 *         err = weft_sink_put(sink, &result, WEFT_FOREVER);      // waits: backpressure
 *     if (err == 0)
 *         err = weft_sink_finish(sink, WEFT_FOREVER);            // all is on disk, or why not
 *     if (err < 0)
 *         fprintf(stderr, "%s\n", weft_sink_error(sink));
 *     weft_sink_close(sink);
 *
 * Producers put into one bounded queue; a fiber takes batches out of it, by size and by the age of
 * their first result, and a thread writes each to all outputs, in their order, but SQLite last:
 * what is in a database is in the others too. No result is dropped silently: after a failure of an
 * output the sink stops, puts are told why, and weft_sink_metrics counts what was lost.
 *
 * The formats, what survives a crash, and what a resumed run does, are in docs/fetch-output.md. */
#ifndef WEFT_SINK_H
#define WEFT_SINK_H

#include <weft/http_client.h>
#include <weft/parts.h>

WEFT_BEGIN_DECLS

#define WEFT_SINK_OUTPUTS_MAX 8
#define WEFT_RESUME_TAKE_MAX  4096 /* in one call */

/* ---- what is put in -------------------------------------------------------------------- */

/* What became of one URL. Strings are the caller's until the sink's call returns; bytes in them
 * that are not UTF-8 become U+FFFD in every output. */
struct weft_fetch_result {
    const char *url;         /* as it was asked for; needed */
    const char *final_url;   /* after redirects; NULL: the same */
    const char *method;      /* NULL: "GET" */
    const char *error;       /* a sentence; NULL: there was an answer */
    const char *error_class; /* "timeout", "connect", "dns", "tls", "reset", "protocol",
                                "too-large", "refused", "cancelled", "redirects", "breaker",
                                "robots", ... or "HTTP 503"; NULL: none */
    int status_code;         /* 0: no answer */
    int http_version;        /* 10, 11, 20; 0: no answer */
    int64_t latency_ns;      /* of the last attempt: from its start to the last byte of the body */
    int64_t queue_ns;        /* that it waited for its turn (slot, host, rate), apart from it */
    int64_t total_ns;        /* from being taken from the source to the end, retries and pauses
                                included */
    int64_t timestamp_us;    /* since 1970, at completion */
    struct weft_http_times times; /* phases of the last attempt */
    unsigned attempt;             /* that this is the result of, from 1 */
    unsigned redirects;
    unsigned connections; /* made; 0: reused */
    uint64_t bytes_received, body_bytes;
    const char *content_type; /* NULL: none */
    const void *body;         /* NULL: not kept. Copied only for outputs that keep bodies */
    size_t body_len;
    const char *body_digest; /* SHA-256 in hex of the decoded body when wanted; NULL */
    const char *tag;         /* the caller's own word for it (JSON lines input: "id"); NULL */
    const struct weft_fingerprint *fingerprint; /* of the request, for weft_resume_take; NULL: made
                                                   of method, url and tag, without a body */
};

/* What tells one request from another: of SHA-256, over method, URL, body and tag. */
struct weft_fingerprint {
    unsigned char bytes[16];
};

/* method, tag  may be NULL: "GET", none. body may be NULL when body_len is 0
 * Returns      0, -ENOMEM. Any thread; never suspends */
WEFT_API int weft_fingerprint(struct weft_fingerprint *ret_fingerprint, const char *method,
                              const char *url, const void *body, size_t body_len, const char *tag);

/* ---- where it goes --------------------------------------------------------------------- */

enum weft_sink_kind {
    WEFT_SINK_BY_NAME,  /* .jsonl .ndjson .json, .csv, .db .sqlite .sqlite3; a directory, or a name
                           that ends with "/": files; "-": JSON lines. Else -EINVAL */
    WEFT_SINK_JSONL,    /* an object per line */
    WEFT_SINK_CSV,      /* RFC 4180 with a header row */
    WEFT_SINK_SQLITE,   /* rows of a table "results", in WAL mode: to be read meanwhile */
    WEFT_SINK_FILES,    /* a directory: bodies as PATH/ab/cdef..., named by their SHA-256, each
                           once, and PATH/index.jsonl */
    WEFT_SINK_FUNCTION, /* write() of the output */
};

/* What is done about results that are there already. Pipes and terminals have none. */
enum weft_sink_existing {
    WEFT_SINK_REFUSE,  /* -EEXIST, and nothing is touched */
    WEFT_SINK_APPEND,  /* kept; a last line or row that a crash cut off is removed */
    WEFT_SINK_REPLACE, /* removed; files of bodies are kept, their index is not */
};

/* When the disk is waited for. Whatever it is, what was written survives the end of this process,
 * kill -9 too; this is about the machine's. */
enum weft_sink_sync {
    WEFT_SINK_SYNC_FLUSH, /* by weft_sink_flush and weft_sink_finish */
    WEFT_SINK_SYNC_BATCH, /* after every batch */
    WEFT_SINK_SYNC_NEVER,
};

/* Zero or NULL means the default. */
struct weft_sink_output {
    enum weft_sink_kind kind;
    const char *path; /* "-": standard output, in JSON lines or CSV */
    enum weft_sink_existing existing;
    enum weft_sink_sync sync;
    int csv_as_is; /* not 0: text is written as it came. Else a cell that begins with one of
                      = + - @ ' TAB CR gets a ' before it: spreadsheets would compute it, and
                      servers choose some of these texts */
    /* WEFT_SINK_FUNCTION: takes a batch over. Called on a fiber, may suspend; a negative result
     * stops the sink. Bodies are there if keeps_bodies is set. */
    int (*write)(void *arg, const struct weft_fetch_result *const *results, size_t count);
    void *arg;
    int keeps_bodies;
};

struct weft_sink_options {
    const struct weft_sink_output *outputs; /* 1 to WEFT_SINK_OUTPUTS_MAX; copied */
    size_t outputs_count;
    unsigned batch_max;        /* results; 0 means 500, at most 65,536 */
    int64_t batch_age_ns;      /* of its first result; 0 means 1 s; WEFT_FOREVER: by size only */
    unsigned queue_max;        /* results that wait; 0 means twice batch_max, at most 1,048,576 */
    uint32_t queue_bytes_max;  /* of those that wait or are written; 0 means 16 MiB. One that is
                                  larger goes alone */
    int drop_when_full;        /* not 0: what finds no room is dropped and counted */
    enum weft_sharing sharing; /* who may put, flush and look */
};

struct weft_sink;

/* Open all outputs. Files are made or checked on a thread.
 *
 * ret_error  receives, on failure, one sentence for people, truncated to error_bytes
 * Returns    0; -EINVAL (options, a name without a kind, a file that is something else), -EEXIST
 *            (WEFT_SINK_REFUSE), -EBUSY (another process writes to it), -ENOENT, -EACCES,
 *            WEFT_ECORRUPT, -ENOMEM, -ECANCELED, -EPERM outside a runtime, ...
 * Threads    a fiber, in whose group the sink's own fiber then runs, and which closes the sink: a
 *            scope that is cancelled around both stops the sink as well. Suspends */
WEFT_API int weft_sink_open(struct weft_sink **ret_sink, const struct weft_sink_options *options,
                            char *ret_error, size_t error_bytes);

/* Put a result in; it is copied. A checkpoint.
 *
 * Returns  0; 1: it was dropped, by drop_when_full. Negative, and it had no effect: -EINVAL (url,
 *          body_digest), -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED, -ENOMEM, -EMSGSIZE (a
 *          text of more than 1 MiB), -ESHUTDOWN (after weft_sink_finish); what stopped the sink,
 *          which weft_sink_error explains
 * Threads  as sharing says. Suspends while the queue is full, first come, first served */
WEFT_API int weft_sink_put(struct weft_sink *sink, const struct weft_fetch_result *result,
                           int64_t deadline_ns);

/* Wait until everything put before is written, and on disk (but for WEFT_SINK_SYNC_NEVER).
 *
 * Returns  0; -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED; what stopped the sink
 * Threads  fibers, as sharing says. Suspends; what a thread has begun is waited for */
WEFT_API int weft_sink_flush(struct weft_sink *sink, int64_t deadline_ns);

/* Take no more, write what is there, have all on disk and close the outputs. By its opener.
 *
 * Returns  0: every result put is where it belongs; what stopped the sink, now or earlier, or why
 *          an output could not be closed. -ETIMEDOUT, -EAGAIN, -ECANCELED: it still runs; call
 *          again, or close. Suspends */
WEFT_API int weft_sink_finish(struct weft_sink *sink, int64_t deadline_ns);

/* Free it. Without a weft_sink_finish before, what waits is lost: its writer is cancelled. NULL is
 * fine. By its opener. Suspends, is no checkpoint. */
WEFT_API void weft_sink_close(struct weft_sink *sink);

/* What stopped the sink, as a sentence: "cannot write out.jsonl: No space left on device"; ""
 * when nothing has. Valid until close. Threads as sharing says. */
WEFT_API const char *weft_sink_error(struct weft_sink *sink);

struct weft_sink_metrics {
    uint64_t items_processed; /* written to every output */
    uint64_t batches_processed;
    uint64_t items_in_queue;   /* now, those being written included */
    double avg_batch_size;     /* 0 before the first */
    double processing_time_ms; /* of writing, all batches together */
    uint64_t dropped_items;    /* for want of room, or because the sink stopped */
    uint64_t refused_items;    /* puts that ended by their deadline */
    uint64_t bytes_in_queue;   /* now */
};

/* Returns  0, -EPERM. Threads as sharing says; also after finish. Never suspends */
WEFT_API int weft_sink_snapshot(struct weft_sink *sink, struct weft_sink_metrics *ret_metrics);

/* ---- going on after an end ------------------------------------------------------------- */

/* What is in the table of a database, to be left out of the run that goes on with it. As often as a
 * request stands there it is taken off the input: of three equal lines of which one has a row, two
 * are made. Rows of class "cancelled" are no results: they are removed, so that nothing is there
 * twice. The rows are sorted into a temporary file of some 30 bytes per request; memory does not
 * grow with them. */
struct weft_resume;

struct weft_resume_options {
    const char *path; /* of the database; a file that is not there has no results */
    int redo_failed;  /* not 0: rows with an error_class are removed too */
};

/* Read what is there. Best between the opening of the sink, which keeps other processes out of the
 * database, and its first put.
 *
 * ret_error  as in weft_sink_open
 * Returns    0; -EINVAL, -EBUSY (another process writes), WEFT_ECORRUPT (something else), -ENOSPC
 *            (the temporary file), -ENOMEM, -ECANCELED, ...
 * Threads    a fiber. Suspends; the thread's work ends soon after a cancellation */
WEFT_API int weft_resume_open(struct weft_resume **ret_resume,
                              const struct weft_resume_options *options, char *ret_error,
                              size_t error_bytes);

/* Ask for many requests at once: ret_done[i] becomes 1 when number i has its result, which is then
 * used up, else 0. On a thread; some hundreds at a time are worth the way there.
 *
 * Returns  how many are done. Negative, and nothing is used up: -EINVAL (more than
 *          WEFT_RESUME_TAKE_MAX), -ECANCELED, WEFT_EFULL (no thread). -EIO, -ENOSPC, -ENOMEM, ...:
 *          the temporary file; from then on every call returns this
 * Threads  fibers of the worker it was opened on, one after the other. Suspends */
WEFT_API int64_t weft_resume_take(struct weft_resume *resume,
                                  const struct weft_fingerprint *fingerprints, size_t count,
                                  unsigned char *ret_done);

/* How many results there were at the open, and how many have not been taken. */
WEFT_API uint64_t weft_resume_found(const struct weft_resume *resume);
WEFT_API uint64_t weft_resume_left(const struct weft_resume *resume);

/* Free it and its temporary file. NULL is fine. Suspends, is no checkpoint. */
WEFT_API void weft_resume_close(struct weft_resume *resume);

WEFT_END_DECLS

#endif
