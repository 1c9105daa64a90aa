/* SPDX-License-Identifier: MIT
 * api_error.c - see api.h: what errors of the store and the engine become. */
#include <serve/api.h>

#include <serve/log.h>

#include <errno.h>

/* What failed may be the call as a whole, or one job that was to be put in: the same error means
 * different things then. */
struct refusal {
    int err, status;
    const char *retry_after_s, *detail;
};

static const struct refusal of_calls[] = {
    {WEFT_EFULL, 503, "1", "too many requests are under way"},
    {-ENOSPC, 503, "5", "the disk is full: nothing was changed"},
    {-EIO, 503, "5",
     "the database cannot be read or written: the disk fails, or the file was removed or replaced"},
    {-EROFS, 503, "5", "the database cannot be written"},
    {-EBUSY, 503, "1", "another program writes to the database"},
    {-ESHUTDOWN, 503, "5", "the server is stopping"},
    {-ECANCELED, 503, "5", "the server is stopping"},
    {-ENOMEM, 503, "5", "the server has no memory left for this"},
    {-EMSGSIZE, 413, NULL, "the request is too large"},
    {-EINVAL, 422, NULL, "the request is not valid"},
    {-ENOENT, 404, NULL, "there is no such thing"},
    {-ENOBUFS, 422, NULL, "there are too many different queues or tasks"},
    {WEFT_EDUPLICATE, 409, NULL, "a job that counts as the same is there already"},
};

static const struct refusal of_jobs[] = {
    {WEFT_EFULL, 503, "1", "the queue is full"},
    {-ENOSPC, 503, "5", "the disk is full: the request was not accepted"},
    {-EIO, 503, "5",
     "the database cannot be written: the disk fails, or the file was removed or replaced"},
    {-EMSGSIZE, 413, NULL, "the job is too large"},
    {-EINVAL, 422, NULL, "the job is not valid"},
    {-ENOENT, 422, NULL, "it comes after a job that is not known"},
    {-EKEYREJECTED, 422, NULL, "the idempotency key came with another job before"},
    {-ECANCELED, 409, NULL, "not put in, because another one of the request was refused"},
};

static const struct refusal *find(const struct refusal *refusals, size_t count, int err)
{
    for (size_t i = 0; i < count; i++)
        if (refusals[i].err == err)
            return &refusals[i];
    return NULL;
}

static const struct refusal *find_of_call(int err)
{
    static const struct refusal other = {0, 503, "5", NULL};
    const struct refusal *found = find(of_calls, sizeof of_calls / sizeof *of_calls, err);
    return found ? found : &other;
}

static const struct refusal *find_of_job(int err)
{
    const struct refusal *found = find(of_jobs, sizeof of_jobs / sizeof *of_jobs, err);
    return found ? found : find_of_call(err);
}

static void reply(struct weft_http_exchange *exchange, const struct refusal *refusal, int err)
{
    if (refusal->retry_after_s)
        weft_http_reply_header(exchange, "Retry-After", refusal->retry_after_s);
    weft_http_reply_error(exchange, refusal->status,
                          refusal->detail ? refusal->detail : weft_strerror(err));
}

int weft_api_status_of(int err)
{
    return find_of_job(err)->status;
}

const char *weft_api_detail_of(int err)
{
    const struct refusal *refusal = find_of_job(err);
    return refusal->detail ? refusal->detail : weft_strerror(err);
}

void weft_api_refuse_job(struct weft_http_exchange *exchange, int err)
{
    reply(exchange, find_of_job(err), err);
}

void weft_api_refuse(struct weft_api *api, struct weft_http_exchange *exchange, int err)
{
    weft_api_note_store(api, err);
    reply(exchange, find_of_call(err), err);
}

void weft_api_reply_busy(struct weft_http_exchange *exchange, const char *retry_after_s,
                         const char *detail)
{
    weft_http_reply_header(exchange, "Retry-After", retry_after_s);
    weft_http_reply_error(exchange, 503, detail);
}

void weft_api_note_store(struct weft_api *api, int err)
{
    bool failing = err == -ENOSPC || err == -EIO || err == -EROFS || err == WEFT_ECORRUPT;
    if (err && !failing)
        return; /* says nothing about the disk */
    int now = failing ? err : 0;
    if (now == api->store_err)
        return;
    api->store_err = now;
    if (now)
        weft_serve_log(api->options, "error", "store_failing", weft_strerror(now));
    else
        weft_serve_log(api->options, "info", "store_recovered", NULL);
}
