/* SPDX-License-Identifier: MIT
 * refusal.h - why a body was refused, for the answer. */
#ifndef WEFT_SERVE_REFUSAL_H
#define WEFT_SERVE_REFUSAL_H

struct weft_refusal {
    int status;       /* 400: not JSON; 413: too much; 422: JSON, but no good; 503: no memory */
    char detail[400]; /* one sentence; may quote the client, cut to a few words */
};

#endif
