/* SPDX-License-Identifier: MIT
 * run.c - weft_fetch: a reader fills batches from the source; lanes, fibers that each take one
 * request after the other, have them fetched and put the results into the sink; beside them a fiber
 * that waits for the order to stop, and one that tells of progress.
 *
 * As many lanes work as there are places. One that has to wait for anything but the network lets
 * another begin, up to `ahead` of them, so that a host that asked for a pause does not hold up the
 * others; it is one too many when it comes back, and ends after its request. */
#include <base/time.h>
#include <fetch/fetcher.h>
#include <fetch/source.h>
#include <fetch/summary.h>

#include <weft/channel.h>
#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/sync.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define BATCH_ITEMS  256u
#define BATCH_BYTES  ((size_t)64 << 10) /* a batch is full then; one item may be larger */
#define BATCHES      2u
#define AHEAD_FACTOR 8u
#define AHEAD_MAX    16384u
#define GRACE_NS     (10 * WEFT_SEC)
#define PROGRESS_NS  (200 * WEFT_MSEC)
#define ITEM_BYTES   ((size_t)4 << 30)
#define FIELDS_MAX   100u
#define READER_STACK ((size_t)256 << 10) /* parses JSON */
#define SMOOTHING    0.2                 /* weight of the last fifth of a second in the rate */

struct batch {
    struct weft_buffer bytes;
    unsigned count;
    struct weft_fetch_item items[BATCH_ITEMS];
};

struct run {
    const struct weft_fetch_options *options;
    const struct weft_fetch_source_options *defaults;
    struct weft_fetcher *fetcher;
    unsigned concurrency, ahead;
    struct weft_group lanes;
    unsigned working, living; /* lanes, atomic: those that do not wait; all */
    unsigned spawned;         /* atomic: which worker is next */
    int stopping;             /* atomic: begin nothing more */
    int ended;                /* atomic: the source has */

    struct weft_mutex taking; /* around the next two */
    struct batch *current;
    unsigned at;
    struct weft_channel full, empty;
    struct batch *batches[BATCHES];
    uint64_t skipped; /* atomic */

    unsigned tallies_len; /* one for each worker */
    struct weft_fetch_tally *tallies;
    int64_t begun_ns;
};

struct lane {
    struct run *run;
    struct weft_buffer bytes; /* of the item */
    struct weft_fetch_item item;
    struct weft_http_field fields[FIELDS_MAX + 1];
    struct weft_fetch_request request;
    struct weft_fetch_answer answer;
};

static int load(const int *flag)
{
    return __atomic_load_n(flag, __ATOMIC_RELAXED);
}

static void store(int *flag, int value)
{
    __atomic_store_n(flag, value, __ATOMIC_RELAXED);
}

/* ---- the reader --------------------------------------------------------------------------- */

static const char *text_of(const struct weft_buffer *bytes, const struct weft_fetch_item *item,
                           size_t at)
{
    return at == WEFT_FETCH_ABSENT ? NULL : bytes->data + item->at + at;
}

/* Returns 0, -ENOMEM. */
static int find_fingerprint(const struct run *run, const struct weft_buffer *bytes,
                            struct weft_fetch_item *item)
{
    const struct weft_fetch_source_options *defaults = run->defaults;
    const char *method = text_of(bytes, item, item->method);
    const void *body = text_of(bytes, item, item->body);
    size_t body_len = body ? item->body_len : defaults->body_len;
    body = body ? body : defaults->body;
    method = method ? method : defaults->method ? defaults->method : body ? "POST" : "GET";
    return weft_fingerprint(&item->fingerprint, method, text_of(bytes, item, item->url), body,
                            body_len, text_of(bytes, item, item->tag));
}

/* Mark what an earlier run has done. */
static int leave_out_done(struct run *run, struct batch *batch)
{
    struct weft_fingerprint *fingerprints = calloc(BATCH_ITEMS, sizeof *fingerprints);
    unsigned char *done = calloc(BATCH_ITEMS, 1);
    int64_t taken = fingerprints && done ? 0 : -ENOMEM;
    for (unsigned i = 0; i < batch->count && taken == 0; i++) {
        taken = find_fingerprint(run, &batch->bytes, &batch->items[i]);
        if (taken == 0)
            fingerprints[i] = batch->items[i].fingerprint;
    }
    if (taken == 0)
        taken = weft_resume_take(run->options->resume, fingerprints, batch->count, done);
    for (unsigned i = 0; i < batch->count && taken > 0; i++)
        batch->items[i].done = done[i];
    if (taken > 0)
        weft_fetch_count(&run->skipped, (uint64_t)taken);
    free(fingerprints);
    free(done);
    return taken < 0 ? (int)taken : 0;
}

/* Returns 1: there is something in it; 0: the end. */
static int fill_batch(struct run *run, struct batch *batch)
{
    struct weft_fetch_source *source = run->options->source;
    int more = 1;
    weft_buffer_clear(&batch->bytes);
    batch->count = 0;
    while (batch->count < BATCH_ITEMS && batch->bytes.len < BATCH_BYTES && !load(&run->stopping)) {
        more = weft_fetch_source_next(source, &batch->bytes, &batch->items[batch->count]);
        if (more <= 0)
            break;
        batch->items[batch->count++].done = false;
        /* Who types, or trickles, does not wait for a batch to be full. */
        if (!weft_fetch_source_ready(source))
            break;
    }
    if (more < 0)
        return more;
    if (batch->count > 0 && run->options->resume) {
        int err = leave_out_done(run, batch);
        if (err)
            return err;
    }
    return batch->count > 0;
}

static int read_source(void *arg)
{
    struct run *run = arg;
    struct batch *batch;
    int err;
    do {
        err = weft_receive(&run->empty, &batch, WEFT_FOREVER);
        if (err == 0)
            err = fill_batch(run, batch);
        if (err > 0)
            err = weft_send(&run->full, &batch, WEFT_FOREVER) < 0 ? -EPIPE : 1;
    } while (err > 0 && !load(&run->stopping));
    (void)weft_channel_close(&run->full, -EPIPE);
    /* -EPIPE: nobody wants any more. */
    return err == -EPIPE || err > 0 ? 0 : err;
}

/* ---- taking requests ---------------------------------------------------------------------- */

/* With the mutex. Returns 1 with *ret_item set, which is in run->current; 0: there are no more */
static int next_item(struct run *run, struct weft_fetch_item **ret_item)
{
    for (;;) {
        if (load(&run->stopping))
            return 0;
        while (run->current && run->at < run->current->count) {
            *ret_item = &run->current->items[run->at++];
            if (!(*ret_item)->done)
                return 1;
        }
        if (run->current)
            (void)weft_send(&run->empty, &run->current, WEFT_NOWAIT); /* it has room for all */
        run->current = NULL;
        run->at = 0;
        int err = weft_receive(&run->full, &run->current, WEFT_FOREVER);
        if (err) {
            run->current = NULL;
            return err == -EPIPE ? 0 : err;
        }
    }
}

/* Returns 1: lane->item and lane->bytes are set; 0: there are no more. */
static int take_item(struct lane *lane)
{
    struct run *run = lane->run;
    struct weft_fetch_item *item = NULL;
    int err = weft_mutex_lock(&run->taking, WEFT_FOREVER);
    if (err)
        return err;
    err = next_item(run, &item);
    if (err > 0) {
        lane->item = *item;
        lane->item.at = 0;
        weft_buffer_clear(&lane->bytes);
        weft_buffer_append(&lane->bytes, run->current->bytes.data + item->at, item->len);
    }
    if (err == 0)
        store(&run->ended, 1);
    (void)weft_mutex_unlock(&run->taking);
    return err > 0 && lane->bytes.err ? lane->bytes.err : err;
}

static void add_field(struct lane *lane, const char *name, const char *value)
{
    struct weft_fetch_request *request = &lane->request;
    for (size_t i = 0; i < request->fields_count; i++) {
        if (strcasecmp(lane->fields[i].name, name) == 0) {
            lane->fields[i].value = value;
            return;
        }
    }
    if (request->fields_count <= FIELDS_MAX) /* one more than is allowed is told of */
        lane->fields[request->fields_count++] = (struct weft_http_field){name, value};
}

static void make_request(struct lane *lane)
{
    const struct weft_fetch_item *item = &lane->item;
    const struct weft_fetch_source_options *defaults = lane->run->defaults;
    const struct weft_buffer *bytes = &lane->bytes;
    const char *method = text_of(bytes, item, item->method);
    const char *body = text_of(bytes, item, item->body);
    lane->request = (struct weft_fetch_request){
        .url = text_of(bytes, item, item->url),
        .method = method ? method : defaults->method,
        .fields = defaults->fields,
        .fields_count = defaults->fields_count,
        .body = body ? body : defaults->body,
        .body_len = body ? item->body_len : defaults->body_len,
        .without_body = !lane->run->options->keep_bodies,
        .tag = text_of(bytes, item, item->tag),
    };
    if (item->fields_count == 0)
        return;
    const char *at = text_of(bytes, item, item->fields);
    lane->request.fields = lane->fields;
    lane->request.fields_count = 0;
    for (size_t i = 0; i < defaults->fields_count; i++)
        add_field(lane, defaults->fields[i].name, defaults->fields[i].value);
    for (size_t i = 0; i < item->fields_count; i++) {
        const char *name = at, *value = name + strlen(name) + 1;
        at = value + strlen(value) + 1;
        add_field(lane, name, value);
    }
}

/* ---- lanes -------------------------------------------------------------------------------- */

static int run_lane(void *arg);

/* Count one more if there may be one. */
static bool count_below(unsigned *count, unsigned max)
{
    unsigned now = __atomic_load_n(count, __ATOMIC_RELAXED);
    while (now < max) {
        if (__atomic_compare_exchange_n(count, &now, now + 1, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

/* Have another lane begin, if there is a place and something to do. */
static int add_lane(struct run *run)
{
    if (load(&run->ended) || load(&run->stopping) || !count_below(&run->working, run->concurrency))
        return 0;
    int err = 0;
    if (!count_below(&run->living, run->ahead)) {
        weft_fetch_count(&run->working, -1u);
        return 0;
    }
    unsigned number = __atomic_fetch_add(&run->spawned, 1, __ATOMIC_RELAXED);
    const struct weft_spawn_options options = {
        .name = "fetch",
        .worker = run->tallies_len > 1 ? WEFT_WORKER((int)(number % run->tallies_len)) : WEFT_HERE,
    };
    err = weft_spawn_with(&run->lanes, run_lane, run, &options);
    if (err) {
        weft_fetch_count(&run->working, -1u);
        weft_fetch_count(&run->living, -1u);
    }
    return err;
}

static void lane_waits(void *arg)
{
    struct run *run = arg;
    weft_fetch_count(&run->working, -1u);
    (void)add_lane(run); /* without another one it goes on slower */
}

static void lane_goes_on(void *arg)
{
    struct run *run = arg;
    weft_fetch_count(&run->working, 1u);
}

/* Whether this lane is one too many; then it does not count any more. */
static bool is_surplus(struct run *run)
{
    unsigned now = __atomic_load_n(&run->working, __ATOMIC_RELAXED);
    while (now > run->concurrency) {
        if (__atomic_compare_exchange_n(&run->working, &now, now - 1, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

static int64_t unix_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* A line that is no request is a result all the same. */
static int refuse_line(struct lane *lane)
{
    weft_fetch_answer_clear(&lane->answer);
    lane->answer.result = (struct weft_fetch_result){
        .url = text_of(&lane->bytes, &lane->item, lane->item.url),
        .error = text_of(&lane->bytes, &lane->item, lane->item.wrong),
        .error_class = weft_fetch_kind_name(WEFT_FETCH_INVALID),
        .timestamp_us = unix_us(),
        .attempt = 1,
    };
    return -EINVAL;
}

static int fetch_item(struct lane *lane)
{
    struct run *run = lane->run;
    const struct weft_fetch_patience patience = {lane_waits, lane_goes_on, run};
    if (lane->item.wrong != WEFT_FETCH_ABSENT)
        return refuse_line(lane);
    make_request(lane);
    int err =
        weft_fetcher_get_with(run->fetcher, &lane->request, &lane->answer, WEFT_FOREVER, &patience);
    if (!run->options->resume && run->options->sink && lane->request.body)
        (void)find_fingerprint(run, &lane->bytes, &lane->item);
    if (run->options->resume || lane->request.body)
        lane->answer.result.fingerprint = &lane->item.fingerprint;
    return err;
}

/* Returns 0; negative: the run is over. */
static int do_item(struct lane *lane)
{
    struct run *run = lane->run;
    int result = fetch_item(lane);
    int err = result == -ECANCELED ? weft_checkpoint() : 0;
    if (err == 0 && run->options->sink)
        err = weft_sink_put(run->options->sink, &lane->answer.result, WEFT_FOREVER);
    struct weft_fetch_tally *tally = &run->tallies[weft_worker_index()];
    if (err >= 0)
        weft_fetch_tally_add(tally, &lane->answer.result, result);
    else if (err == -ECANCELED)
        tally->cancelled++;
    return err < 0 ? err : 0;
}

static int run_lane(void *arg)
{
    struct run *run = arg;
    struct lane *lane = calloc(1, sizeof *lane);
    int err = lane ? 1 : -ENOMEM;
    bool counted = true;
    if (lane) {
        lane->run = run;
        weft_buffer_init(&lane->bytes, ITEM_BYTES);
    }
    while (err > 0 && (err = take_item(lane)) > 0) {
        (void)add_lane(run);
        int done = do_item(lane);
        err = done ? done : 1;
        if (is_surplus(run)) {
            counted = false;
            break;
        }
    }
    if (counted)
        weft_fetch_count(&run->working, -1u);
    weft_fetch_count(&run->living, -1u);
    if (lane) {
        weft_fetch_answer_release(&lane->answer);
        weft_buffer_deinit(&lane->bytes);
        free(lane);
    }
    return err > 0 ? 0 : err;
}

/* ---- beside them -------------------------------------------------------------------------- */

static int wait_for_stop(void *arg)
{
    struct run *run = arg;
    const struct weft_fetch_options *options = run->options;
    int err = weft_event_wait(options->stop, WEFT_FOREVER);
    if (err)
        return 0;
    store(&run->stopping, 1);
    (void)weft_channel_close(&run->full, -EPIPE);
    if (weft_sleep(options->grace_ns ? options->grace_ns : GRACE_NS) == 0)
        weft_group_cancel(&run->lanes, 0);
    return 0;
}

static void tell(struct run *run, struct weft_fetch_progress *progress, double *rate,
                 uint64_t *before, int64_t *before_ns)
{
    int64_t now_ns = weft_now();
    uint64_t done = 0, successful = 0;
    for (unsigned i = 0; i < run->tallies_len; i++) {
        done += __atomic_load_n(&run->tallies[i].done, __ATOMIC_RELAXED);
        successful += __atomic_load_n(&run->tallies[i].successful, __ATOMIC_RELAXED);
    }
    double lately = (double)(done - *before) * 1e9 / (double)(now_ns - *before_ns);
    *rate = *before_ns == run->begun_ns ? lately : *rate + SMOOTHING * (lately - *rate);
    *before = done;
    *before_ns = now_ns;
    struct weft_fetch_source_place place = weft_fetch_source_place(run->options->source);
    struct weft_fetcher_stats stats;
    weft_fetcher_stats(run->fetcher, &stats);
    uint64_t skipped = __atomic_load_n(&run->skipped, __ATOMIC_RELAXED);
    *progress = (struct weft_fetch_progress){
        .done = done,
        .failed = done - successful,
        .skipped = skipped,
        .read_bytes = place.read_bytes,
        .all_bytes = place.all_bytes,
        .all = place.all,
        .running = stats.exchanges_now,
        .waiting = stats.waiting_now,
        .per_second = *rate,
        .elapsed_ns = now_ns - run->begun_ns,
        .left_ns = -1,
    };
    double left = -1;
    if (place.all > 0)
        left = (double)place.all - (double)(done + skipped);
    else if (place.read_bytes > 0 && place.all_bytes > 0)
        left = (double)(place.all_bytes - place.read_bytes) * (double)(done + skipped) /
               (double)place.read_bytes;
    if (left >= 0 && *rate > 0)
        progress->left_ns = weft_time_from_double(left / *rate * 1e9);
}

static int report_progress(void *arg)
{
    struct run *run = arg;
    const struct weft_fetch_options *options = run->options;
    struct weft_fetch_progress progress;
    double rate = 0;
    uint64_t before = 0;
    int64_t before_ns = run->begun_ns;
    while (weft_sleep(PROGRESS_NS) == 0) {
        tell(run, &progress, &rate, &before, &before_ns);
        options->on_progress(options->on_progress_context, &progress);
    }
    return 0;
}

/* ---- the run ------------------------------------------------------------------------------ */

static int run_lanes(struct run *run)
{
    int err = weft_group_init(&run->lanes, &(struct weft_group_options){.name = "fetch"});
    if (err)
        return err;
    err = add_lane(run);
    int result = weft_group_wait(&run->lanes);
    return result ? result : err;
}

/* Lanes, and beside them what serves them. */
static int run_all(struct run *run)
{
    const struct weft_fetch_options *options = run->options;
    struct weft_group others;
    struct weft_task reader = {0};
    int err = weft_group_init(&others, &(struct weft_group_options){.policy = WEFT_SUPERVISE});
    if (err)
        return err;
    err =
        weft_spawn_with(&others, read_source, run,
                        &(struct weft_spawn_options){
                            .task = &reader, .name = "fetch source", .stack_bytes = READER_STACK});
    if (err == 0 && options->stop)
        err = weft_spawn(&others, wait_for_stop, run);
    if (err == 0 && options->on_progress)
        err = weft_spawn(&others, report_progress, run);
    if (err == 0)
        err = run_lanes(run);
    /* A reader that has failed has ended the lanes in order. */
    int failed = 0;
    if (err == 0 && !load(&run->stopping) && weft_task_join(&reader, WEFT_FOREVER, &failed) == 0 &&
        failed < 0)
        err = failed;
    weft_group_close(&others);
    return err;
}

static void close_run(struct run *run)
{
    weft_fetcher_close(run->fetcher);
    for (unsigned i = 0; run->tallies && i < run->tallies_len; i++)
        weft_fetch_tally_deinit(&run->tallies[i]);
    free(run->tallies);
    for (unsigned i = 0; i < BATCHES; i++) {
        if (run->batches[i])
            weft_buffer_deinit(&run->batches[i]->bytes);
        free(run->batches[i]);
    }
    weft_channel_deinit(&run->full);
    weft_channel_deinit(&run->empty);
}

static int open_run(struct run *run)
{
    const struct weft_fetch_options *options = run->options;
    int err = weft_channel_init(&run->full, sizeof(struct batch *), BATCHES);
    if (err == 0)
        err = weft_channel_init(&run->empty, sizeof(struct batch *), BATCHES);
    if (err == 0)
        err = weft_mutex_init(&run->taking, WEFT_AUTO);
    for (unsigned i = 0; i < BATCHES && err == 0; i++) {
        run->batches[i] = calloc(1, sizeof *run->batches[i]);
        err = run->batches[i] ? weft_send(&run->empty, &run->batches[i], WEFT_NOWAIT) : -ENOMEM;
        if (err == 0)
            weft_buffer_init(&run->batches[i]->bytes, ITEM_BYTES);
    }
    run->tallies_len = weft_worker_count();
    run->tallies = calloc(run->tallies_len, sizeof *run->tallies);
    if (!run->tallies)
        err = -ENOMEM;
    for (unsigned i = 0; i < run->tallies_len && err == 0; i++)
        err = weft_fetch_tally_init(&run->tallies[i]);
    return err ? err : weft_fetcher_open(&run->fetcher, &options->fetcher);
}

static void find_width(struct run *run)
{
    run->concurrency = run->fetcher->options.concurrency;
    run->ahead = run->options->ahead;
    if (run->ahead == 0)
        run->ahead = run->concurrency * AHEAD_FACTOR;
    if (run->ahead > AHEAD_MAX)
        run->ahead = AHEAD_MAX;
    if (run->ahead < run->concurrency)
        run->ahead = run->concurrency;
}

int weft_fetch(const struct weft_fetch_options *options, struct weft_fetch_summary *ret_summary)
{
    if (weft_worker_index() < 0)
        return -EPERM;
    if (!options->source || options->grace_ns < 0)
        return -EINVAL;
    struct run *run = calloc(1, sizeof *run);
    if (!run)
        return -ENOMEM;
    run->options = options;
    run->defaults = weft_fetch_source_options(options->source);
    int err = open_run(run);
    if (err == 0) {
        find_width(run);
        run->begun_ns = weft_now();
        err = run_all(run);
        weft_fetch_sum_up(run->tallies, run->tallies_len, run->fetcher, weft_now() - run->begun_ns,
                          ret_summary);
        ret_summary->skipped = run->skipped;
        ret_summary->stopped = load(&run->stopping) || err < 0;
        if (err == -ECANCELED && load(&run->stopping) && weft_checkpoint() == 0)
            err = 0; /* the order to stop is no failure */
    }
    close_run(run);
    free(run);
    return err;
}
