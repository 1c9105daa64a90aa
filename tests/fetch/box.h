/* SPDX-License-Identifier: MIT
 * box.h - what the tests of the fetching engines have in common: a fetcher, its answers, an origin
 * that answers by a list. */
#ifndef WEFT_TESTS_FETCH_BOX_H
#define WEFT_TESTS_FETCH_BOX_H

#include "../http/origin.h"

#include <weft/fetch.h>

struct weft_fetcher *open_fetcher(const struct weft_fetcher_options *options);

/* GET. Returns what weft_fetcher_get does; the answer is made empty before. */
int fetch(struct weft_fetcher *fetcher, const char *url, struct weft_fetch_answer *answer);

/* The same with a method; the result or, when that is 0, the status. */
int fetch_status(struct weft_fetcher *fetcher, const char *method, const char *url);

struct weft_fetcher_stats counts_of(struct weft_fetcher *fetcher);

bool is_class(const struct weft_fetch_answer *answer, const char *name);

/* Answers each request with the next of origin->arg, an array of texts that ends with NULL, and
 * then with the last one again and again. "" closes the connection; "!" resets it; "~" is
 * nothing at all. One list for all connections; origin->requests says where it is. */
void origin_say_list(struct origin *origin, int fd);

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: "
#define OK      OK_HEAD "2\r\n\r\nok"

#endif
