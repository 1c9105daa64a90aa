/* SPDX-License-Identifier: MIT
 * histogram_hdr.h - histograms in HdrHistogram's formats, which other tools read and draw.
 *
 * The buckets are the same as HdrHistogram's, so nothing is lost either way: its "V2 compressed"
 * encoding in base64 (as in its logs), and the table of percentiles that is called .hgrm. */
#ifndef WEFT_OBS_HISTOGRAM_HDR_H
#define WEFT_OBS_HISTOGRAM_HDR_H

#include <obs/histogram.h>

struct weft_buffer;

/* Append the base64 text of a histogram; its values are nanoseconds. Failure shows in the
 * buffer's err. */
void weft_hdr_append(struct weft_buffer *buffer, const struct weft_histogram *histogram);

/* Add what such a text says to a histogram.
 *
 * Returns  0; -EINVAL (not such a text, or damaged); -ENOTSUP (other digits or unit, or really
 *          compressed: what weft_hdr_append writes is stored); -ENOMEM. On failure the histogram is
 *          as it was */
int weft_hdr_parse(struct weft_histogram *histogram, const char *text, size_t len);

/* Append the table of percentiles, five lines for each halving of what is left, in milliseconds. */
void weft_hgrm_append(struct weft_buffer *buffer, const struct weft_histogram *histogram);

#endif
