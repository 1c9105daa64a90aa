/* SPDX-License-Identifier: MIT
 * job_json_memory.c - descriptions of jobs while every allocation fails once: it is said, and
 * nothing is lost.
 *
 * malloc and its relatives are replaced for this program, so it has nothing to say under a
 * sanitizer that replaces them too. The JSON library has its own, which never fail: it loses track
 * of its buffers when they cannot grow (jansson 2.14). */
#include "test.h"

#include <serve/job_json.h>

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REPLACED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define REPLACED 0
#endif
#endif
#if !defined(REPLACED) && defined(__GLIBC__)
#define REPLACED 1
#endif
#ifndef REPLACED
#define REPLACED 0
#endif

static unsigned long countdown; /* allocations until one fails; 0: none will */
static bool fired;
static long live;

#if REPLACED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

static bool fails(void)
{
    bool now = countdown == 1;
    if (countdown > 0)
        countdown--;
    fired = fired || now;
    if (now)
        errno = ENOMEM;
    return now;
}

static void *counted(void *memory)
{
    live += memory != NULL;
    return memory;
}

void *malloc(size_t size)
{
    return fails() ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(__libc_calloc(count, size));
}

void *realloc(void *memory, size_t size)
{
    if (fails())
        return NULL;
    void *moved = __libc_realloc(memory, size);
    return memory ? moved : counted(moved);
}

void free(void *memory)
{
    live -= memory != NULL;
    __libc_free(memory);
}

static void spare_jansson(void)
{
    json_set_alloc_funcs(__libc_malloc, __libc_free);
}
#else
static void spare_jansson(void)
{
}
#endif

TEST(reading_jobs_survives_every_failed_allocation)
{
    static const struct {
        enum weft_job_body kind;
        const char *text;
    } bodies[] = {
        {WEFT_JOB_BODY_JSON, "{\"task\":\"t\"}"},
        {WEFT_JOB_BODY_JSON,
         "[{\"task\":\"t\",\"name\":\"a\",\"payload\":[1,{\"b\":null}],\"queue\":\"q\","
         "\"unique\":{\"key\":\"k\"},\"headers\":{\"x\":\"y\"},\"limit_key\":\"l\"},"
         "{\"task\":\"t\",\"payload_base64\":\"AAAA\",\"content_type\":\"a/b\","
         "\"after\":[\"a\",\"0190b7e0-1c2d-7abc-8def-0123456789ab\"],\"group\":\"g\"}]"},
        {WEFT_JOB_BODY_LINES, "{\"task\":\"t\"}\n{\"task\":\"t\",\"backoff\":{\"base\":1}}\n"},
    };
    if (!REPLACED) {
        test_skip("malloc belongs to the sanitizer");
        return;
    }
    spare_jansson();
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        unsigned long step = 1;
        for (bool failed = true; failed; step++) {
            struct weft_job_requests requests;
            struct weft_refusal refusal;
            long before = live;
            fired = false;
            countdown = step;
            int err = weft_job_json_parse(&requests, bodies[i].kind, bodies[i].text,
                                          strlen(bodies[i].text), &refusal);
            countdown = 0;
            failed = fired;
            CHECK_EQUAL(err, failed ? -ENOMEM : 0);
            if (err) {
                CHECK_EQUAL(refusal.status, 503);
                CHECK(strcmp(refusal.detail, "out of memory") == 0);
            } else {
                weft_job_requests_deinit(&requests);
            }
            CHECK_EQUAL(live, before);
        }
        CHECK(step > 3); /* something was allocated, so something failed */
    }
}
