/* SPDX-License-Identifier: MIT
 * engine_easy.h - an exchange by one libcurl handle, on the thread that calls it. */
#ifndef WEFT_FETCH_ENGINE_EASY_H
#define WEFT_FETCH_ENGINE_EASY_H

#include <fetch/engine.h>

struct weft_fetch_easy;

/* Returns 0, -ENOMEM. options must live until close. */
int weft_fetch_easy_open(struct weft_fetch_easy **ret_easy,
                         const struct weft_fetcher_options *options);

/* Before an exchange, by who may stop it. */
void weft_fetch_easy_begin(struct weft_fetch_easy *easy);

/* Blocks the thread. */
int weft_fetch_easy_exchange(struct weft_fetch_easy *easy, struct weft_fetch_exchange *exchange);

/* Have the exchange end with -ECANCELED, at once; on another thread. */
void weft_fetch_easy_stop(struct weft_fetch_easy *easy);

void weft_fetch_easy_close(struct weft_fetch_easy *easy);

#endif
