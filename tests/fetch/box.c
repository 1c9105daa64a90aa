/* SPDX-License-Identifier: MIT
 * box.c - see box.h. */
#include "box.h"

#include "test.h"

#include <weft/io.h>
#include <weft/runtime.h>

#include <string.h>
#include <sys/socket.h>

struct weft_fetcher *open_fetcher(const struct weft_fetcher_options *options)
{
    struct weft_fetcher *fetcher;
    REQUIRE(weft_fetcher_open(&fetcher, options) == 0);
    return fetcher;
}

int fetch(struct weft_fetcher *fetcher, const char *url, struct weft_fetch_answer *answer)
{
    const struct weft_fetch_request request = {.url = url};
    weft_fetch_answer_release(answer);
    return weft_fetcher_get(fetcher, &request, answer, WEFT_FOREVER);
}

int fetch_status(struct weft_fetcher *fetcher, const char *method, const char *url)
{
    struct weft_fetch_answer answer = {0};
    const struct weft_fetch_request request = {.url = url, .method = method};
    int err = weft_fetcher_get(fetcher, &request, &answer, WEFT_FOREVER);
    int status = answer.result.status_code;
    weft_fetch_answer_release(&answer);
    return err ? err : status;
}

struct weft_fetcher_stats counts_of(struct weft_fetcher *fetcher)
{
    struct weft_fetcher_stats stats;
    weft_fetcher_stats(fetcher, &stats);
    return stats;
}

bool is_class(const struct weft_fetch_answer *answer, const char *name)
{
    const char *got = answer->result.error_class;
    bool same = name ? got && strcmp(got, name) == 0 : !got;
    if (!same)
        test_note("class %s (%s)", got ? got : "none",
                  answer->result.error ? answer->result.error : "no error");
    return same;
}

void origin_say_list(struct origin *origin, int fd)
{
    const char *const *list = origin->arg;
    static const struct linger at_once = {.l_onoff = 1};
    while (origin_read(origin, fd)) {
        unsigned at = 0;
        while (at + 1 < origin->requests && list[at + 1])
            at++;
        if (strcmp(list[at], "!") == 0)
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        if (strcmp(list[at], "") == 0 || strcmp(list[at], "!") == 0)
            return;
        if (strcmp(list[at], "~") != 0)
            origin_say(fd, list[at]);
        if (strstr(list[at], "Connection: close"))
            return;
    }
}
