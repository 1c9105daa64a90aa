/* SPDX-License-Identifier: MIT
 * metrics_fields.h - structs of plain numbers as metrics, each described by a table.
 *
 * A row says where a number lies in the struct, what it is, and what it is called. Rows of one
 * family differ in one label: calls_total{result="ok"}, calls_total{result="failed"}. */
#ifndef WEFT_OBS_METRICS_FIELDS_H
#define WEFT_OBS_METRICS_FIELDS_H

#include <obs/histogram.h>

#include <weft/metrics.h>

#include <stdbool.h>

enum weft_field_kind {
    WEFT_FIELD_INT,
    WEFT_FIELD_UNSIGNED,
    WEFT_FIELD_U64, /* size_t as well */
    WEFT_FIELD_NS,  /* int64_t nanoseconds, exported as seconds */
    WEFT_FIELD_DOUBLE,
    WEFT_FIELD_STATE, /* an enum: one gauge for each of states, 1 for the one it is in */
};

struct weft_field {
    size_t offset;
    enum weft_field_kind kind;
    enum weft_metric_type type;
    const char *family, *help;
    struct weft_label label; /* of this row; none: {NULL, NULL}. With states its name only */
    const char *const
        *states; /* in the order of the enum, from 0; "": no such state; ended by NULL */
};

/* Which kind a member has. An enum would count as a number: it is to be said that it is a state. */
#define WEFT_FIELD_KIND(type, member)                                                              \
    _Generic(((type *)0)->member, int                                                              \
             : WEFT_FIELD_INT, unsigned                                                            \
             : WEFT_FIELD_UNSIGNED, uint64_t                                                       \
             : WEFT_FIELD_U64, int64_t                                                             \
             : WEFT_FIELD_NS, double                                                               \
             : WEFT_FIELD_DOUBLE)

/* A row; what comes after the help are initializers of further fields. */
#define WEFT_FIELD(object_type, member, metric_type, family_name, help_text, ...)                  \
    {                                                                                              \
        .offset = offsetof(object_type, member), .kind = WEFT_FIELD_KIND(object_type, member),     \
        .type = WEFT_METRIC_##metric_type, .family = (family_name), .help = (help_text),           \
        __VA_ARGS__                                                                                \
    }

#define WEFT_FIELDS(table) (table), sizeof(table) / sizeof((table)[0])

/* Add what the rows say of a struct, with labels (ended by NULL) before the row's own. Returns as
 * weft_metrics_add */
int weft_metrics_add_fields(struct weft_metrics *metrics, const struct weft_field *fields,
                            size_t fields_len, const void *object, const struct weft_label *labels);

/* Add a histogram of durations, in buckets from 10 us to 50 s. */
int weft_metrics_add_times(struct weft_metrics *metrics, const char *family, const char *help,
                           const struct weft_label *labels, const struct weft_histogram *histogram);

#endif
