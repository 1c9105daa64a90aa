/* SPDX-License-Identifier: MIT
 * metrics_fields.c - see metrics_fields.h. */
#include <obs/metrics_fields.h>

#include <string.h>

#define NS_PER_S 1e9

static double read_field(const struct weft_field *field, const void *object)
{
    const char *at = (const char *)object + field->offset;
    int64_t signed_value = 0;
    uint64_t unsigned_value = 0;
    double value = 0;
    int small = 0;
    unsigned whole = 0;
    switch (field->kind) {
    case WEFT_FIELD_INT:
        memcpy(&small, at, sizeof small);
        return (double)small;
    case WEFT_FIELD_UNSIGNED:
    case WEFT_FIELD_STATE:
        memcpy(&whole, at, sizeof whole);
        return (double)whole;
    case WEFT_FIELD_U64:
        memcpy(&unsigned_value, at, sizeof unsigned_value);
        return (double)unsigned_value;
    case WEFT_FIELD_NS:
        memcpy(&signed_value, at, sizeof signed_value);
        return (double)signed_value / NS_PER_S;
    case WEFT_FIELD_DOUBLE:
        memcpy(&value, at, sizeof value);
        return value;
    }
    return 0;
}

/* Returns how many; what is too much is left out, but tables have few labels. */
static size_t copy_labels(struct weft_metric *metric, const struct weft_label *labels)
{
    size_t len = 0;
    while (labels && len < WEFT_METRIC_LABELS_MAX && labels[len].name) {
        metric->labels[len] = labels[len];
        len++;
    }
    return len;
}

static int add_states(struct weft_metrics *metrics, const struct weft_field *field,
                      struct weft_metric *metric, struct weft_label *label, double state)
{
    int err = 0;
    label->name = field->label.name;
    for (size_t i = 0; field->states[i] && err == 0; i++) {
        if (!field->states[i][0])
            continue;
        label->value = field->states[i];
        metric->value = state == (double)i;
        err = weft_metrics_add(metrics, metric);
    }
    return err;
}

int weft_metrics_add_fields(struct weft_metrics *metrics, const struct weft_field *fields,
                            size_t fields_len, const void *object, const struct weft_label *labels)
{
    int err = 0;
    for (size_t i = 0; i < fields_len && err == 0; i++) {
        const struct weft_field *field = &fields[i];
        struct weft_metric metric = {
            .family = field->family, .help = field->help, .type = field->type};
        struct weft_label *label = &metric.labels[copy_labels(&metric, labels)];
        double value = read_field(field, object);
        if (field->kind == WEFT_FIELD_STATE) {
            err = add_states(metrics, field, &metric, label, value);
            continue;
        }
        if (field->label.name)
            *label = field->label;
        metric.value = value;
        err = weft_metrics_add(metrics, &metric);
    }
    return err;
}

int weft_metrics_add_times(struct weft_metrics *metrics, const char *family, const char *help,
                           const struct weft_label *labels, const struct weft_histogram *histogram)
{
    static const int64_t steps[] = {10, 25, 50};
    struct weft_metric_bucket buckets[3 * 7];
    struct weft_metric metric = {.family = family, .help = help, .type = WEFT_METRIC_HISTOGRAM};
    (void)copy_labels(&metric, labels);
    size_t len = 0;
    for (int64_t unit_ns = WEFT_USEC; len < sizeof buckets / sizeof buckets[0]; unit_ns *= 10) {
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
            int64_t bound_ns = steps[i] * unit_ns;
            buckets[len++] = (struct weft_metric_bucket){
                .bound = (double)bound_ns / NS_PER_S,
                .count = weft_histogram_count_to(histogram, bound_ns),
            };
        }
    }
    return weft_metrics_add_histogram(metrics, &metric, buckets, len,
                                      (double)weft_histogram_sum(histogram) / NS_PER_S,
                                      weft_histogram_count(histogram));
}
