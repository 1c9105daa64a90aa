/* SPDX-License-Identifier: MIT
 * client_cookies.c - the jar of a client: libcurl's cookies, shared by its transfers on all
 * workers.
 *
 * libcurl limits what one response may set (50 cookies, 5,000 bytes each) and what one request
 * sends, but not what it keeps; so from time to time somebody counts. */
#include <http/client_internal.h>

#include <errno.h>
#include <stdlib.h>

static pthread_mutex_t *mutex_of(struct weft_http_jar *jar, curl_lock_data data)
{
    return data == CURL_LOCK_DATA_COOKIE ? &jar->cookies_mutex : &jar->share_mutex;
}

static void lock(CURL *easy, curl_lock_data data, curl_lock_access access, void *arg)
{
    (void)easy, (void)access;
    (void)pthread_mutex_lock(mutex_of(arg, data));
}

static void unlock(CURL *easy, curl_lock_data data, void *arg)
{
    (void)easy;
    (void)pthread_mutex_unlock(mutex_of(arg, data));
}

int weft_http_jar_open(struct weft_http_jar **ret_jar, unsigned cookies_max)
{
    struct weft_http_jar *jar = calloc(1, sizeof *jar);
    if (!jar)
        return -ENOMEM;
    /* Neither can fail with default attributes. */
    (void)pthread_mutex_init(&jar->cookies_mutex, NULL);
    (void)pthread_mutex_init(&jar->share_mutex, NULL);
    jar->cookies_max = cookies_max;
    jar->share = curl_share_init();
    CURLSHcode code = jar->share ? CURLSHE_OK : CURLSHE_NOMEM;
#define SET(option, value) (code = code ? code : curl_share_setopt(jar->share, option, value))
    SET(CURLSHOPT_LOCKFUNC, lock);
    SET(CURLSHOPT_UNLOCKFUNC, unlock);
    SET(CURLSHOPT_USERDATA, jar);
    SET(CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
#undef SET
    if (code != CURLSHE_OK) {
        weft_http_jar_close(jar);
        return code == CURLSHE_NOMEM ? -ENOMEM : -EIO;
    }
    *ret_jar = jar;
    return 0;
}

void weft_http_jar_close(struct weft_http_jar *jar)
{
    if (!jar)
        return;
    if (jar->share)
        (void)curl_share_cleanup(jar->share);
    (void)pthread_mutex_destroy(&jar->cookies_mutex);
    (void)pthread_mutex_destroy(&jar->share_mutex);
    free(jar);
}

CURLcode weft_http_jar_use(struct weft_http_jar *jar, CURL *easy)
{
    CURLcode code = curl_easy_setopt(easy, CURLOPT_SHARE, jar->share);
    return code ? code : curl_easy_setopt(easy, CURLOPT_COOKIEFILE, ""); /* none: in memory */
}

static uint64_t count_cookies(CURL *easy)
{
    struct curl_slist *cookies = NULL;
    uint64_t count = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_COOKIELIST, &cookies);
    for (const struct curl_slist *cookie = cookies; cookie; cookie = cookie->next)
        count++;
    curl_slist_free_all(cookies);
    return count;
}

void weft_http_jar_count(struct weft_http_jar *jar, CURL *easy, unsigned cookies)
{
    uint64_t set = __atomic_add_fetch(&jar->set, cookies, __ATOMIC_RELAXED);
    if (set < jar->cookies_max)
        return;
    __atomic_store_n(&jar->set, 0, __ATOMIC_RELAXED);
    uint64_t count = count_cookies(easy);
    if (count <= jar->cookies_max)
        return;
    (void)curl_easy_setopt(easy, CURLOPT_COOKIELIST, "ALL"); /* that is: none */
    (void)__atomic_fetch_add(&jar->forgotten, count, __ATOMIC_RELAXED);
}
