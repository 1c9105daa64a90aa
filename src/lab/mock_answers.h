/* SPDX-License-Identifier: MIT
 * mock_answers.h - what answers each route; mock_routes.c says which. Each makes one reply, or ends
 * the connection. */
#ifndef WEFT_LAB_MOCK_ANSWERS_H
#define WEFT_LAB_MOCK_ANSWERS_H

#include <lab/mock_internal.h>

/* mock_api.c: the service of a benchmark suite */
void weft_mock_root(struct weft_mock_request *request);
void weft_mock_user(struct weft_mock_request *request);
void weft_mock_order(struct weft_mock_request *request);
void weft_mock_webhook(struct weft_mock_request *request);
void weft_mock_heavy(struct weft_mock_request *request);
void weft_mock_errors(struct weft_mock_request *request);

/* mock_basic.c: one thing each */
void weft_mock_health(struct weft_mock_request *request);
void weft_mock_get(struct weft_mock_request *request);
void weft_mock_status(struct weft_mock_request *request);
void weft_mock_delay(struct weft_mock_request *request);
void weft_mock_429(struct weft_mock_request *request);
void weft_mock_500(struct weft_mock_request *request);
void weft_mock_limited(struct weft_mock_request *request);
void weft_mock_bytes(struct weft_mock_request *request);
void weft_mock_chunked(struct weft_mock_request *request);
void weft_mock_slow(struct weft_mock_request *request);
void weft_mock_etag(struct weft_mock_request *request);

/* mock_echo.c: what the client has sent */
void weft_mock_echo(struct weft_mock_request *request);
void weft_mock_headers(struct weft_mock_request *request);
void weft_mock_cookies(struct weft_mock_request *request);
void weft_mock_set_cookies(struct weft_mock_request *request);

/* mock_redirect.c */
void weft_mock_redirect(struct weft_mock_request *request);
void weft_mock_redirect_to(struct weft_mock_request *request);
void weft_mock_redirect_loop(struct weft_mock_request *request);

/* mock_trouble.c: answers that are none, or bad ones */
void weft_mock_trouble_reset(struct weft_mock_request *request);
void weft_mock_trouble_close(struct weft_mock_request *request);
void weft_mock_trouble_stall(struct weft_mock_request *request);
void weft_mock_wrong_length(struct weft_mock_request *request);
void weft_mock_malformed(struct weft_mock_request *request);

/* mock_gzip.c */
void weft_mock_plain_text(struct weft_mock_request *request);
void weft_mock_gzip(struct weft_mock_request *request);
void weft_mock_deflate(struct weft_mock_request *request);
void weft_mock_bomb(struct weft_mock_request *request);

/* mock_pages.c: something to crawl */
void weft_mock_robots(struct weft_mock_request *request);
void weft_mock_robots_moved(struct weft_mock_request *request);
void weft_mock_sitemap(struct weft_mock_request *request);
void weft_mock_sitemap_part(struct weft_mock_request *request);
void weft_mock_page(struct weft_mock_request *request);
void weft_mock_page_moved(struct weft_mock_request *request);
void weft_mock_page_private(struct weft_mock_request *request);
void weft_mock_page_missing(struct weft_mock_request *request);
void weft_mock_site_facts(struct weft_mock_request *request);

/* mock_stats.c */
void weft_mock_tell_stats(struct weft_mock_request *request);
void weft_mock_forget_stats(struct weft_mock_request *request);

#endif
