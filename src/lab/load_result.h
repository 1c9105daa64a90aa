/* SPDX-License-Identifier: MIT
 * load_result.h - what a load leaves behind: the result that users see, and the histograms under
 * it. */
#ifndef WEFT_LAB_LOAD_RESULT_H
#define WEFT_LAB_LOAD_RESULT_H

#include <lab/load_client.h>
#include <lab/load_watch.h>

/* Behind weft_load_result.data. */
struct weft_load_data {
    struct weft_load_tally *parts; /* as in the schedule; part 0 is the warm-up */
    size_t parts_count;
    struct weft_load_tally total; /* of all but the warm-up */
    struct weft_load_step_row *rows;
    struct weft_load_url_row *urls;
    char **texts; /* of urls: url and method in turns */
    size_t urls_count;
    struct weft_load_second *seconds;
    char *url; /* the only one, or the file */
};

/* Sum up a load whose clients have ended. Takes the watch's rows.
 *
 * Returns  0 with the parts set that follow from these; -ENOMEM */
int weft_load_result_make(struct weft_load_result *ret_result,
                          const struct weft_load_shared *shared,
                          const struct weft_load_shard *shards, unsigned shards_count,
                          struct weft_load_watch *watch);

#endif
