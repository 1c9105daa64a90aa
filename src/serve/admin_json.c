/* SPDX-License-Identifier: MIT
 * admin_json.c - see admin_json.h. */
#include <serve/admin_json.h>
#include <serve/job_json.h>
#include <serve/members.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROWS(members) (sizeof(members) / sizeof(members)[0])

/* Read a body whose members are those of a table into target. */
static int read_body(const char *body, size_t len, const struct weft_member *members, size_t count,
                     void *target, struct weft_arena *arena, uint32_t *given,
                     struct weft_reader *ret_reader, struct weft_refusal *refusal)
{
    *ret_reader = (struct weft_reader){
        .refusal = refusal, .arena = arena, .body = body, .body_len = len, .target = target};
    *given = 0;
    return weft_body_read(ret_reader, members, count, given);
}

/* ---- queues ----------------------------------------------------------------------------- */

enum {
    PAUSED,
    SIZE_MAX_,
    RUNNING_MAX,
    RUNNING_MAX_PER_KEY,
    RATE,
    BURST,
    QUEUE_MEMBERS
};

/* Numbers as wide as they are read. */
struct queue_target {
    bool paused;
    uint64_t size_max, running_max, running_max_per_key, burst;
    double rate;
};

#define FIELD(name) offsetof(struct queue_target, name)

/* Less than is shown would look like no limit. */
static int read_rate(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    struct queue_target *target = reader->target;
    int err = weft_read_number(reader, member, value);
    if (!err && target->rate > 0 && target->rate < WEFT_QUEUE_RATE_MIN)
        err = weft_refuse_member(reader, member, "must be 0, for no limit, or at least 0.000001");
    return err;
}

int weft_queue_change_parse(struct weft_queue_change *ret_change, const char *body, size_t len,
                            struct weft_refusal *ret_refusal)
{
    static const struct weft_member members[QUEUE_MEMBERS] = {
        [PAUSED] = {"paused", weft_read_bool, FIELD(paused)},
        [SIZE_MAX_] = {"size_max", weft_read_count, FIELD(size_max), 0, WEFT_QUEUE_SIZE_MAX},
        [RUNNING_MAX] = {"running_max", weft_read_count, FIELD(running_max), 0, UINT32_MAX},
        [RUNNING_MAX_PER_KEY] = {"running_max_per_key", weft_read_count, FIELD(running_max_per_key),
                                 0, UINT32_MAX},
        [RATE] = {"rate", read_rate, FIELD(rate), 0, WEFT_QUEUE_RATE_MAX},
        [BURST] = {"burst", weft_read_count, FIELD(burst), 0, UINT32_MAX},
    };
    struct queue_target target = {0};
    struct weft_reader reader;
    uint32_t given;
    int err =
        read_body(body, len, members, ROWS(members), &target, NULL, &given, &reader, ret_refusal);
    if (!err)
        *ret_change = (struct weft_queue_change){
            .settings = {.paused = target.paused,
                         .size_max = target.size_max,
                         .running_max = (uint32_t)target.running_max,
                         .running_max_per_key = (uint32_t)target.running_max_per_key,
                         .rate_per_s = target.rate,
                         .burst = (uint32_t)target.burst},
            .given = given,
        };
    return err;
}

#undef FIELD

void weft_queue_change_apply(const struct weft_queue_change *change,
                             struct weft_queue_settings *settings)
{
    const struct weft_queue_settings *wanted = &change->settings;
    if (change->given & 1u << PAUSED)
        settings->paused = wanted->paused;
    if (change->given & 1u << SIZE_MAX_)
        settings->size_max = wanted->size_max;
    if (change->given & 1u << RUNNING_MAX)
        settings->running_max = wanted->running_max;
    if (change->given & 1u << RUNNING_MAX_PER_KEY)
        settings->running_max_per_key = wanted->running_max_per_key;
    if (change->given & 1u << RATE)
        settings->rate_per_s = wanted->rate_per_s;
    if (change->given & 1u << BURST)
        settings->burst = wanted->burst;
}

/* ---- schedules -------------------------------------------------------------------------- */

struct cron_target {
    struct weft_cron_request request;
    struct weft_raw job;
};

static int read_missed(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    static const char *const names[] = {"skip", "once", "all", NULL};
    struct cron_target *target = reader->target;
    int i = weft_find_word(value, names);
    if (i < 0)
        return weft_refuse_member(reader, member, "must be skip, once or all");
    target->request.missed = names[i];
    return 0;
}

/* It must be one that can be put in, now and in a year. */
static int check_job(struct weft_reader *reader, const struct weft_raw *job)
{
    struct weft_job_requests requests;
    struct weft_refusal refusal;
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): nothing is read by halves
    if (job->text[0] != '{')
        return weft_refuse(reader, 422, "\"job\" must be a job");
    int err = weft_job_json_parse(&requests, WEFT_JOB_BODY_JSON, job->text, job->len, &refusal);
    if (err == -ENOMEM)
        return weft_refuse_memory(reader);
    if (err)
        return weft_refuse(reader, refusal.status, "\"job\": %.300s", refusal.detail);
    const struct weft_job_request *request = requests.items;
    const char *wrong = request->after_count > 0     ? "after"
                        : request->run_at_us > 0     ? "run_at"
                        : request->expires_at_us > 0 ? "expires_at"
                                                     : NULL;
    weft_job_requests_deinit(&requests);
    return wrong ? weft_refuse(reader, 422, "\"job\": \"%s\" has no place in a schedule", wrong)
                 : 0;
}

#define FIELD(name) offsetof(struct cron_target, name)

int weft_cron_request_parse(struct weft_cron_request *ret_request, const char *body, size_t len,
                            struct weft_refusal *ret_refusal)
{
    static const struct weft_member members[] = {
        {"schedule", weft_read_key, FIELD(request.schedule), .most = WEFT_JOB_KEY_MAX},
        {"zone", weft_read_key, FIELD(request.zone), .most = WEFT_JOB_KEY_MAX},
        {"missed", read_missed},
        {"paused", weft_read_bool, FIELD(request.paused)},
        {"job", weft_read_raw, FIELD(job)},
    };
    struct cron_target target = {0};
    struct weft_cron_request *request = &target.request;
    struct weft_reader reader;
    uint32_t given;
    int err = read_body(body, len, members, ROWS(members), &target, &request->arena, &given,
                        &reader, ret_refusal);
    if (!err && !request->schedule)
        err = weft_refuse(&reader, 422, "\"schedule\" is missing");
    if (!err && !target.job.text)
        err = weft_refuse(&reader, 422, "\"job\" is missing");
    if (!err && target.job.len > WEFT_JOB_PAYLOAD_MAX)
        err = weft_refuse(&reader, 413, "\"job\" has more than %zu bytes", WEFT_JOB_PAYLOAD_MAX);
    if (!err)
        err = check_job(&reader, &target.job);
    if (!err)
        err = weft_read_copy(&reader, target.job.text, target.job.len, &request->job);
    if (err)
        weft_cron_request_deinit(request);
    else
        *ret_request = *request;
    return err;
}

#undef FIELD

void weft_cron_request_deinit(struct weft_cron_request *request)
{
    weft_arena_deinit(&request->arena);
}

/* ---- workers ---------------------------------------------------------------------------- */

struct worker_target {
    const char *name, *host, *version, *queues;
    uint64_t pid, concurrency, running, done;
};

static void copy_text(char *to, size_t bytes, const char *from)
{
    (void)snprintf(to, bytes, "%s", from ? from : "");
}

#define FIELD(name)     offsetof(struct worker_target, name)
#define TEXT_MAX(field) (sizeof((struct weft_worker_info *)0)->field - 1)

int weft_worker_join_parse(struct weft_worker_info *ret_worker, const char *body, size_t len,
                           struct weft_refusal *ret_refusal)
{
    static const struct weft_member members[] = {
        {"name", weft_read_word, FIELD(name)},
        {"host", weft_read_text, FIELD(host), .most = TEXT_MAX(host)},
        {"version", weft_read_text, FIELD(version), .most = TEXT_MAX(version)},
        {"queues", weft_read_text, FIELD(queues), .most = TEXT_MAX(queues)},
        {"pid", weft_read_count, FIELD(pid), 0, INT32_MAX},
        {"concurrency", weft_read_count, FIELD(concurrency), 0, UINT32_MAX},
    };
    struct worker_target target = {0};
    struct weft_arena arena = {0};
    struct weft_reader reader;
    uint32_t given;
    int err =
        read_body(body, len, members, ROWS(members), &target, &arena, &given, &reader, ret_refusal);
    if (!err && !target.name)
        err = weft_refuse(&reader, 422, "\"name\" is missing");
    if (!err) {
        *ret_worker = (struct weft_worker_info){.pid = (int64_t)target.pid,
                                                .concurrency = target.concurrency};
        copy_text(ret_worker->name, sizeof ret_worker->name, target.name);
        copy_text(ret_worker->host, sizeof ret_worker->host, target.host);
        copy_text(ret_worker->version, sizeof ret_worker->version, target.version);
        copy_text(ret_worker->queues, sizeof ret_worker->queues, target.queues);
    }
    weft_arena_deinit(&arena);
    return err;
}

int weft_worker_beat_parse(struct weft_worker_info *ret_worker, const char *body, size_t len,
                           struct weft_refusal *ret_refusal)
{
    static const struct weft_member members[] = {
        {"concurrency", weft_read_count, FIELD(concurrency), 0, UINT32_MAX},
        {"running", weft_read_count, FIELD(running), 0, UINT32_MAX},
        {"done", weft_read_count, FIELD(done), 0, WEFT_BODY_COUNT_MAX},
    };
    struct worker_target target = {0};
    struct weft_reader reader;
    uint32_t given;
    int err =
        read_body(body, len, members, ROWS(members), &target, NULL, &given, &reader, ret_refusal);
    if (!err)
        *ret_worker = (struct weft_worker_info){
            .concurrency = target.concurrency, .running = target.running, .done = target.done};
    return err;
}
