/* SPDX-License-Identifier: MIT
 * webhook_send.h - the executor "http": a signed POST for each attempt, to a url that the server's
 * administrator has chosen. Clients choose nothing but its body. What is sent, and what the answer
 * means, is in webhook.h.
 *
 *     static struct weft_webhook_keys keys;
 *     weft_webhook_keys_add(&keys, "whsec_...");
 *     struct weft_webhook webhook = {.name = "notify", .url = "https://hooks.example.com/in",
 *                                    .keys = &keys, .timeout_ns = 15 * WEFT_SEC};
 *     struct weft_outcome outcome = {0};
 *     int err = weft_webhook_run(client, &webhook, &execution, &outcome); */
#ifndef WEFT_JOB_WEBHOOK_SEND_H
#define WEFT_JOB_WEBHOOK_SEND_H

#include <job/webhook.h>

#define WEFT_WEBHOOK_FIELDS_MAX ((size_t)32)

struct weft_webhook {
    const char *name;                     /* for people */
    const char *url;                      /* http:// or https:// */
    const struct weft_webhook_keys *keys; /* NULL: it is not signed */
    const struct weft_http_field *fields; /* sent besides those of webhook.h */
    size_t fields_count;                  /* at most WEFT_WEBHOOK_FIELDS_MAX */
    int64_t timeout_ns;                   /* from the request to the answer's end; 0: none */
    bool allow_private; /* it may lead to addresses that are not of the public internet */
    struct weft_webhook_rules rules;
};

/* Whether a webhook can be sent, as far as that can be known before.
 *
 * ret_reason  set on failure to what is wrong, static storage
 * Returns     0, -EINVAL */
int weft_webhook_check(const struct weft_webhook *webhook, const char **ret_reason);

/* Make a client for webhooks: which addresses it connects to is its own property.
 * Returns as weft_http_client_open. Suspends */
int weft_webhook_client_open(struct weft_http_client **ret_client, bool allow_private);

/* Send a webhook for one attempt and take the answer. Cancelled, it closes the connection, and
 * nobody knows what the receiver makes of it. Of an answer that is longer than a result can be, the
 * rest is read and dropped, up to 64 MiB.
 *
 * client       of weft_webhook_client_open, with the webhook's allow_private
 * ret_outcome  set only on success, which failures of all kinds on the way to the receiver, and of
 *              its own, are as well
 * Returns      0; -ECANCELED, -ENOMEM, -EINVAL (an id or a task that no header can carry), -EPERM
 *              outside a runtime
 * Suspends */
int weft_webhook_run(struct weft_http_client *client, const struct weft_webhook *webhook,
                     const struct weft_execution *execution, struct weft_outcome *ret_outcome);

#endif
