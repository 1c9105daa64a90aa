/* SPDX-License-Identifier: MIT
 * metrics.c - see weft/metrics.h.
 *
 * Every line is formatted when it is added, to one buffer; a family chains its own. A line is a key
 * ("name{labels}"), a space, a value and a newline; a table of hashes of keys finds doubles. */
#include <base/buffer.h>
#include <base/hash.h>

#include <weft/metrics.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_DEFAULT   ((size_t)4 << 20)
#define BYTES_MAX       ((size_t)1 << 30)
#define SAMPLES_DEFAULT 20000u
#define NONE            UINT32_MAX

struct sample {
    size_t at, len, key_len; /* in lines */
    uint64_t hash;
    uint32_t next; /* of the family; NONE: the last */
};

struct family {
    char *name, *help; /* help: escaped; NULL: none */
    enum weft_metric_type type;
    uint32_t first, last; /* samples */
};

struct weft_metrics {
    size_t bytes_max, bytes; /* of the text, with the families' headers */
    unsigned samples_max;
    struct weft_buffer lines, page;
    struct family *families;
    size_t families_len, families_room;
    struct sample *samples;
    size_t samples_len, samples_room;
    uint32_t *index; /* places of samples by hash, NONE: free; a power of two, at most half full */
    size_t index_len;
};

/* ---- names ----------------------------------------------------------------------------- */

static bool is_name(const char *name, bool colons)
{
    if (!name || !name[0] || (name[0] >= '0' && name[0] <= '9'))
        return false;
    for (; *name; name++) {
        char c = *name;
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || (c == ':' && colons);
        if (!fine)
            return false;
    }
    return true;
}

static bool labels_valid(const struct weft_label *labels, enum weft_metric_type type)
{
    const char *taken = type == WEFT_METRIC_HISTOGRAM ? "le"
                        : type == WEFT_METRIC_SUMMARY ? "quantile"
                                                      : "";
    for (size_t i = 0; i < WEFT_METRIC_LABELS_MAX && labels[i].name; i++) {
        const char *name = labels[i].name;
        if (!is_name(name, false) || strncmp(name, "__", 2) == 0 || strcmp(name, taken) == 0 ||
            !labels[i].value)
            return false;
        for (size_t k = 0; k < i; k++) {
            if (strcmp(labels[k].name, name) == 0)
                return false;
        }
    }
    return true;
}

/* Whether name is what lines of the family are called, beside the family's own name. */
static bool is_part(const struct family *family, const char *name)
{
    static const char *const parts[] = {"_sum", "_count", "_bucket"};
    size_t len = strlen(family->name);
    size_t parts_len = family->type == WEFT_METRIC_HISTOGRAM ? 3
                       : family->type == WEFT_METRIC_SUMMARY ? 2
                                                             : 0;
    if (strncmp(name, family->name, len) != 0)
        return false;
    for (size_t i = 0; i < parts_len; i++) {
        if (strcmp(name + len, parts[i]) == 0)
            return true;
    }
    return false;
}

static const char *type_name(enum weft_metric_type type)
{
    static const char *const names[] = {
        [WEFT_METRIC_UNTYPED] = "untyped", [WEFT_METRIC_COUNTER] = "counter",
        [WEFT_METRIC_GAUGE] = "gauge",     [WEFT_METRIC_HISTOGRAM] = "histogram",
        [WEFT_METRIC_SUMMARY] = "summary",
    };
    return names[type];
}

/* ---- text ------------------------------------------------------------------------------ */

/* Backslashes and newlines, in label values quotes too; other bytes are as they are. */
static void append_escaped(struct weft_buffer *buffer, const char *text, bool quotes)
{
    size_t len = strlen(text);
    while (len > 0) {
        size_t sequence = weft_utf8_sequence((const unsigned char *)text, len);
        if (*text == '\n')
            weft_buffer_append(buffer, "\\n", 2);
        else if (*text == '\\')
            weft_buffer_append(buffer, "\\\\", 2);
        else if (*text == '"' && quotes)
            weft_buffer_append(buffer, "\\\"", 2);
        else if (sequence > 0)
            weft_buffer_append(buffer, text, sequence);
        else
            weft_buffer_append(buffer, "\xef\xbf\xbd", 3);
        text += sequence > 0 ? sequence : 1;
        len -= sequence > 0 ? sequence : 1;
    }
}

/* The shortest of these that reads back as the same number. printf's decimal point follows the
 * locale, the format's does not. */
static void append_double(struct weft_buffer *buffer, double value)
{
    char text[64];
    if (isnan(value) || isinf(value)) {
        weft_buffer_append_string(buffer, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    bool pointed = false;
    for (const char *at = text; *at; at++) {
        if (strchr("+-0123456789e", *at))
            weft_buffer_append_char(buffer, *at);
        else if (!pointed)
            weft_buffer_append_char(buffer, '.');
        pointed = pointed || !strchr("+-0123456789e", *at);
    }
}

static void append_label(struct weft_buffer *lines, const char *name, const char *value, bool first)
{
    weft_buffer_append_char(lines, first ? '{' : ',');
    weft_buffer_append_string(lines, name);
    weft_buffer_append(lines, "=\"", 2);
    append_escaped(lines, value, true);
    weft_buffer_append_char(lines, '"');
}

/* The labels by name, so that the same ones make the same key, however they were given; to
 * Prometheus an empty one is none. Returns how many. */
static size_t sort_labels(const struct weft_label *labels, struct weft_label *ret_sorted)
{
    size_t len = 0;
    for (size_t i = 0; i < WEFT_METRIC_LABELS_MAX && labels[i].name; i++) {
        if (!labels[i].value[0])
            continue;
        size_t at = len++;
        for (; at > 0 && strcmp(ret_sorted[at - 1].name, labels[i].name) > 0; at--)
            ret_sorted[at] = ret_sorted[at - 1];
        ret_sorted[at] = labels[i];
    }
    return len;
}

/* What comes before the value. extra: the label that the lines of a histogram differ in */
static void append_key(struct weft_buffer *lines, const struct weft_metric *metric,
                       const char *suffix, const char *extra, double extra_value)
{
    struct weft_label sorted[WEFT_METRIC_LABELS_MAX];
    size_t labels = sort_labels(metric->labels, sorted);
    weft_buffer_append_string(lines, metric->family);
    weft_buffer_append_string(lines, suffix);
    for (size_t i = 0; i < labels; i++)
        append_label(lines, sorted[i].name, sorted[i].value, i == 0);
    if (extra) {
        weft_buffer_append_char(lines, labels == 0 ? '{' : ',');
        weft_buffer_append_string(lines, extra);
        weft_buffer_append(lines, "=\"", 2);
        append_double(lines, extra_value);
        weft_buffer_append_char(lines, '"');
    }
    if (labels > 0 || extra)
        weft_buffer_append_char(lines, '}');
}

/* ---- samples --------------------------------------------------------------------------- */

/* Room for one more element. Returns the array, moved perhaps, or NULL. */
static void *grow(void *array, size_t len, size_t *room, size_t size)
{
    if (len < *room)
        return array;
    size_t wanted = *room ? 2 * *room : 64;
    void *grown = realloc(array, wanted * size);
    if (grown)
        *room = wanted;
    return grown;
}

static uint32_t *find_slot(const struct weft_metrics *metrics, const char *key, size_t key_len,
                           uint64_t hash)
{
    size_t mask = metrics->index_len - 1;
    size_t at = (size_t)hash & mask;
    while (metrics->index[at] != NONE) {
        const struct sample *sample = &metrics->samples[metrics->index[at]];
        if (sample->hash == hash && sample->key_len == key_len &&
            memcmp(metrics->lines.data + sample->at, key, key_len) == 0)
            break;
        at = (at + 1) & mask;
    }
    return &metrics->index[at];
}

static void fill_index(struct weft_metrics *metrics)
{
    memset(metrics->index, 0xff, metrics->index_len * sizeof metrics->index[0]);
    for (size_t i = 0; i < metrics->samples_len; i++) {
        const struct sample *sample = &metrics->samples[i];
        *find_slot(metrics, metrics->lines.data + sample->at, sample->key_len, sample->hash) =
            (uint32_t)i;
    }
}

static int make_room(struct weft_metrics *metrics)
{
    if (metrics->samples_len >= metrics->samples_max)
        return WEFT_EFULL;
    struct sample *samples = grow(metrics->samples, metrics->samples_len, &metrics->samples_room,
                                  sizeof metrics->samples[0]);
    if (!samples)
        return -ENOMEM;
    metrics->samples = samples;
    if (2 * (metrics->samples_len + 1) <= metrics->index_len)
        return 0;
    size_t len = metrics->index_len ? 2 * metrics->index_len : 256;
    uint32_t *index = realloc(metrics->index, len * sizeof *index);
    if (!index)
        return -ENOMEM;
    metrics->index = index;
    metrics->index_len = len;
    fill_index(metrics);
    return 0;
}

/* The line that begins at a place of the buffer has its key; its value and newline come next. */
static int begin_sample(struct weft_metrics *metrics, struct family *family, size_t at)
{
    int err = metrics->lines.err ? metrics->lines.err : make_room(metrics);
    if (err < 0)
        return err;
    const char *key = metrics->lines.data + at;
    size_t key_len = metrics->lines.len - at;
    uint64_t hash = weft_hash(key, key_len);
    uint32_t *slot = find_slot(metrics, key, key_len, hash);
    if (*slot != NONE)
        return -EEXIST;
    *slot = (uint32_t)metrics->samples_len;
    metrics->samples[metrics->samples_len] =
        (struct sample){.at = at, .key_len = key_len, .hash = hash, .next = NONE};
    if (family->first == NONE)
        family->first = *slot;
    else
        metrics->samples[family->last].next = *slot;
    family->last = *slot;
    metrics->samples_len++;
    return 0;
}

static int end_sample(struct weft_metrics *metrics)
{
    struct sample *sample = &metrics->samples[metrics->samples_len - 1];
    weft_buffer_append_char(&metrics->lines, '\n');
    sample->len = metrics->lines.len - sample->at;
    metrics->bytes += sample->len;
    if (metrics->lines.err)
        return metrics->lines.err;
    return metrics->bytes > metrics->bytes_max ? WEFT_EFULL : 0;
}

static int add_double(struct weft_metrics *metrics, struct family *family,
                      const struct weft_metric *metric, const char *suffix, const char *extra,
                      double extra_value, double value)
{
    size_t at = metrics->lines.len;
    append_key(&metrics->lines, metric, suffix, extra, extra_value);
    int err = begin_sample(metrics, family, at);
    if (err < 0)
        return err;
    weft_buffer_append_char(&metrics->lines, ' ');
    append_double(&metrics->lines, value);
    return end_sample(metrics);
}

/* Counts are exact, also above 2^53. */
static int add_count(struct weft_metrics *metrics, struct family *family,
                     const struct weft_metric *metric, const char *suffix, const char *extra,
                     double extra_value, uint64_t count)
{
    size_t at = metrics->lines.len;
    append_key(&metrics->lines, metric, suffix, extra, extra_value);
    int err = begin_sample(metrics, family, at);
    if (err < 0)
        return err;
    weft_buffer_append_format(&metrics->lines, " %llu", (unsigned long long)count);
    return end_sample(metrics);
}

/* ---- families -------------------------------------------------------------------------- */

static struct family *find_family(const struct weft_metrics *metrics, const char *name)
{
    for (size_t i = metrics->families_len; i-- > 0;) {
        if (strcmp(metrics->families[i].name, name) == 0)
            return &metrics->families[i];
    }
    return NULL;
}

static bool clashes(const struct weft_metrics *metrics, const struct family *family)
{
    for (size_t i = 0; i < metrics->families_len; i++) {
        const struct family *other = &metrics->families[i];
        if (is_part(other, family->name) || is_part(family, other->name))
            return true;
    }
    return false;
}

/* "# HELP name help\n" and "# TYPE name type\n" */
static void append_header(struct weft_buffer *page, const struct family *family)
{
    if (family->help)
        weft_buffer_append_format(page, "# HELP %s %s\n", family->name, family->help);
    weft_buffer_append_format(page, "# TYPE %s %s\n", family->name, type_name(family->type));
}

/* What append_header would write. */
static size_t header_bytes(const struct family *family)
{
    size_t name_len = strlen(family->name);
    size_t bytes = strlen("# TYPE  \n") + name_len + strlen(type_name(family->type));
    if (family->help)
        bytes += strlen("# HELP  \n") + name_len + strlen(family->help);
    return bytes;
}

static char *escape_help(const char *help)
{
    struct weft_buffer text;
    weft_buffer_init(&text, SIZE_MAX / 8);
    append_escaped(&text, help, false);
    weft_buffer_append_char(&text, '\0');
    if (text.err)
        weft_buffer_deinit(&text);
    return text.data;
}

static void free_family(struct family *family)
{
    free(family->name);
    free(family->help);
}

static int make_family(struct weft_metrics *metrics, const struct weft_metric *metric,
                       struct family **ret_family)
{
    struct family *families = grow(metrics->families, metrics->families_len,
                                   &metrics->families_room, sizeof metrics->families[0]);
    if (!families)
        return -ENOMEM;
    metrics->families = families;
    struct family family = {
        .name = strdup(metric->family), .type = metric->type, .first = NONE, .last = NONE};
    if (metric->help)
        family.help = escape_help(metric->help);
    int err = family.name && (family.help || !metric->help) ? 0 : -ENOMEM;
    if (err == 0 && clashes(metrics, &family))
        err = -EINVAL;
    if (err < 0) {
        free_family(&family);
        return err;
    }
    metrics->bytes += header_bytes(&family);
    *ret_family = &metrics->families[metrics->families_len];
    metrics->families[metrics->families_len++] = family;
    return 0;
}

/* ---- adding, all or nothing ------------------------------------------------------------ */

struct mark {
    size_t families_len, samples_len, lines_len, bytes;
    struct family *family;
    uint32_t last;
};

/* Check the metric, find or make its family. Every begin is followed by one end. */
static int begin(struct weft_metrics *metrics, const struct weft_metric *metric, struct mark *mark)
{
    *mark = (struct mark){
        .families_len = metrics->families_len,
        .samples_len = metrics->samples_len,
        .lines_len = metrics->lines.len,
        .bytes = metrics->bytes,
        .last = NONE,
    };
    if (!is_name(metric->family, true) || !labels_valid(metric->labels, metric->type))
        return -EINVAL;
    mark->family = find_family(metrics, metric->family);
    if (!mark->family)
        return make_family(metrics, metric, &mark->family);
    mark->last = mark->family->last;
    return mark->family->type == metric->type ? 0 : -EINVAL;
}

static int end(struct weft_metrics *metrics, const struct mark *mark, int err)
{
    if (err == 0)
        return 0;
    if (metrics->families_len > mark->families_len) {
        free_family(&metrics->families[--metrics->families_len]);
    } else if (mark->family) {
        mark->family->last = mark->last;
        if (mark->last != NONE)
            metrics->samples[mark->last].next = NONE;
    }
    metrics->lines.len = mark->lines_len;
    metrics->lines.err = 0;
    metrics->bytes = mark->bytes;
    if (metrics->samples_len > mark->samples_len) {
        metrics->samples_len = mark->samples_len;
        fill_index(metrics);
    }
    return err == -EMSGSIZE ? WEFT_EFULL : err;
}

int weft_metrics_add(struct weft_metrics *metrics, const struct weft_metric *metric)
{
    struct mark mark;
    if (metric->type < WEFT_METRIC_UNTYPED || metric->type > WEFT_METRIC_GAUGE ||
        (metric->type == WEFT_METRIC_COUNTER && !(metric->value >= 0)))
        return -EINVAL;
    int err = begin(metrics, metric, &mark);
    if (err == 0)
        err = add_double(metrics, mark.family, metric, "", NULL, 0, metric->value);
    return end(metrics, &mark, err);
}

static bool buckets_rise(const struct weft_metric_bucket *buckets, size_t len, uint64_t count)
{
    for (size_t i = 0; i < len; i++) {
        if (isnan(buckets[i].bound) || isinf(buckets[i].bound) || buckets[i].count > count)
            return false;
        if (i > 0 &&
            (!(buckets[i].bound > buckets[i - 1].bound) || buckets[i].count < buckets[i - 1].count))
            return false;
    }
    return true;
}

int weft_metrics_add_histogram(struct weft_metrics *metrics, const struct weft_metric *metric,
                               const struct weft_metric_bucket *buckets, size_t buckets_len,
                               double sum, uint64_t count)
{
    struct mark mark;
    if (metric->type != WEFT_METRIC_HISTOGRAM || !buckets_rise(buckets, buckets_len, count))
        return -EINVAL;
    int err = begin(metrics, metric, &mark);
    for (size_t i = 0; i < buckets_len && err == 0; i++)
        err = add_count(metrics, mark.family, metric, "_bucket", "le", buckets[i].bound,
                        buckets[i].count);
    if (err == 0)
        err = add_count(metrics, mark.family, metric, "_bucket", "le", (double)INFINITY, count);
    if (err == 0)
        err = add_double(metrics, mark.family, metric, "_sum", NULL, 0, sum);
    if (err == 0)
        err = add_count(metrics, mark.family, metric, "_count", NULL, 0, count);
    return end(metrics, &mark, err);
}

static bool shares_rise(const struct weft_metric_quantile *quantiles, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!(quantiles[i].share >= 0 && quantiles[i].share <= 1) ||
            (i > 0 && !(quantiles[i].share > quantiles[i - 1].share)))
            return false;
    }
    return true;
}

int weft_metrics_add_summary(struct weft_metrics *metrics, const struct weft_metric *metric,
                             const struct weft_metric_quantile *quantiles, size_t quantiles_len,
                             double sum, uint64_t count)
{
    struct mark mark;
    if (metric->type != WEFT_METRIC_SUMMARY || !shares_rise(quantiles, quantiles_len))
        return -EINVAL;
    int err = begin(metrics, metric, &mark);
    for (size_t i = 0; i < quantiles_len && err == 0; i++)
        err = add_double(metrics, mark.family, metric, "", "quantile", quantiles[i].share,
                         quantiles[i].value);
    if (err == 0)
        err = add_double(metrics, mark.family, metric, "_sum", NULL, 0, sum);
    if (err == 0)
        err = add_count(metrics, mark.family, metric, "_count", NULL, 0, count);
    return end(metrics, &mark, err);
}

/* ---- the page -------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct family *left = a, *right = b;
    return strcmp(left->name, right->name);
}

int weft_metrics_text(struct weft_metrics *metrics, const char **ret_text, size_t *ret_len)
{
    struct weft_buffer *page = &metrics->page;
    weft_buffer_clear(page);
    if (metrics->families_len > 1)
        qsort(metrics->families, metrics->families_len, sizeof metrics->families[0], by_name);
    for (size_t i = 0; i < metrics->families_len; i++) {
        const struct family *family = &metrics->families[i];
        append_header(page, family);
        for (uint32_t at = family->first; at != NONE; at = metrics->samples[at].next)
            weft_buffer_append(page, metrics->lines.data + metrics->samples[at].at,
                               metrics->samples[at].len);
    }
    weft_buffer_append_char(page, '\0');
    if (page->err)
        return page->err;
    *ret_text = page->data;
    *ret_len = page->len - 1;
    return 0;
}

int weft_metrics_open(struct weft_metrics **ret_metrics, const struct weft_metrics_options *options)
{
    static const struct weft_metrics_options defaults;
    if (!options)
        options = &defaults;
    if (options->bytes_max > BYTES_MAX)
        return -EINVAL;
    struct weft_metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics)
        return -ENOMEM;
    metrics->bytes_max = options->bytes_max ? options->bytes_max : BYTES_DEFAULT;
    metrics->samples_max = options->samples_max ? options->samples_max : SAMPLES_DEFAULT;
    weft_buffer_init(&metrics->lines, metrics->bytes_max);
    weft_buffer_init(&metrics->page, metrics->bytes_max + 1);
    *ret_metrics = metrics;
    return 0;
}

void weft_metrics_clear(struct weft_metrics *metrics)
{
    for (size_t i = 0; i < metrics->families_len; i++)
        free_family(&metrics->families[i]);
    metrics->families_len = metrics->samples_len = metrics->bytes = 0;
    weft_buffer_clear(&metrics->lines);
    if (metrics->index)
        fill_index(metrics);
}

void weft_metrics_close(struct weft_metrics *metrics)
{
    if (!metrics)
        return;
    weft_metrics_clear(metrics);
    weft_buffer_deinit(&metrics->lines);
    weft_buffer_deinit(&metrics->page);
    free(metrics->families);
    free(metrics->samples);
    free(metrics->index);
    free(metrics);
}
