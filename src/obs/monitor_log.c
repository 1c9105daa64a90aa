/* SPDX-License-Identifier: MIT
 * monitor_log.c - what a monitor says, as lines of JSON. */
#include <obs/log.h>
#include <obs/monitor_internal.h>
#include <os/clock.h>
#include <os/symbol.h>
#include <runtime/io.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES_MAX ((size_t)32 << 10)

/* Returns whether all of it was taken. The last line is written on the program's own thread, which
 * must not die of a pipe that nobody reads. */
static bool write_line(int fd, const char *text, size_t len)
{
    struct weft_quiet quiet;
    ssize_t written = 0;
    weft_quiet_begin(&quiet);
    while (len > 0) {
        written = write(fd, text, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            break;
        text += written;
        len -= (size_t)written;
    }
    weft_quiet_end(&quiet, written < 0 && errno == EPIPE);
    return len == 0;
}

static bool wanted(const struct weft_monitor *monitor)
{
    return monitor->options.log_fd > 0 || monitor->options.line;
}

static void hand_out(struct weft_monitor *monitor, struct weft_buffer *line)
{
    const struct weft_monitor_options *options = &monitor->options;
    weft_log_end(line);
    bool lost = line->err < 0;
    if (!lost && options->line)
        options->line(options->line_arg, line->data, line->len);
    if (!lost && options->log_fd > 0)
        lost = !write_line(options->log_fd, line->data, line->len);
    weft_buffer_deinit(line);
    weft_lock(&monitor->lock);
    monitor->counts.lines_lost += lost;
    weft_unlock(&monitor->lock);
}

static void append_times(struct weft_buffer *line, const struct weft_times *times,
                         const char *const keys[4])
{
    weft_log_int(line, keys[0], times->p50_ns);
    weft_log_int(line, keys[1], times->p95_ns);
    weft_log_int(line, keys[2], times->p99_ns);
    weft_log_int(line, keys[3], times->max_ns);
}

void weft_monitor_log_sample(struct weft_monitor *monitor,
                             const struct weft_monitor_snapshot *sample)
{
    static const char *const lag[] = {"lag_p50_ns", "lag_p95_ns", "lag_p99_ns", "lag_max_ns"};
    static const char *const wait[] = {"wait_p50_ns", "wait_p95_ns", "wait_p99_ns", "wait_max_ns"};
    static const char *const slice[] = {"slice_p50_ns", "slice_p95_ns", "slice_p99_ns",
                                        "slice_max_ns"};
    struct weft_buffer line;
    if (!wanted(monitor))
        return;
    weft_buffer_init(&line, LINE_BYTES_MAX);
    weft_log_begin(&line, sample->healthy ? "info" : "warning", "sample", sample->unix_us);
    weft_log_string(&line, "monitor", monitor->name);
    weft_log_bool(&line, "healthy", sample->healthy);
    weft_log_bool(&line, "stall", sample->unhealthy & WEFT_MONITOR_STALL);
    weft_log_bool(&line, "lag", sample->unhealthy & WEFT_MONITOR_LAG);
    weft_log_bool(&line, "backlog", sample->unhealthy & WEFT_MONITOR_BACKLOG);
    weft_log_int(&line, "span_ns", sample->span_ns);
    weft_log_int(&line, "workers", sample->runtime.workers);
    weft_log_int(&line, "fibers", (int64_t)sample->runtime.fibers);
    weft_log_int(&line, "runnable", (int64_t)sample->runtime.runnable);
    weft_log_int(&line, "spawned", (int64_t)sample->runtime.spawned);
    weft_log_int(&line, "switches", (int64_t)sample->runtime.switches);
    append_times(&line, &sample->lag, lag);
    append_times(&line, &sample->wait, wait);
    append_times(&line, &sample->slice, slice);
    weft_log_int(&line, "stall_ns", sample->stall_ns);
    weft_log_int(&line, "stalls", (int64_t)sample->stalls);
    hand_out(monitor, &line);
}

static const char *word_of(const struct weft_monitor_event *event)
{
    bool over = event->kind == WEFT_MONITOR_RECOVERED;
    switch (event->cause) {
    case WEFT_MONITOR_STALL:
        return over ? "stall over" : "stall";
    case WEFT_MONITOR_LAG:
        return over ? "lag over" : "lag";
    case WEFT_MONITOR_BACKLOG:
        break;
    }
    return over ? "backlog over" : "backlog";
}

static void append_backtrace(struct weft_buffer *line, const struct weft_monitor_event *event)
{
    char place[WEFT_SYMBOL_MAX];
    if (event->frames_len == 0)
        return;
    weft_buffer_append_string(line, ",\"backtrace\":[");
    for (unsigned i = 0; i < event->frames_len; i++) {
        if (i == 0) /* where it is; the others are where calls return to */
            weft_symbol_format(event->frames[i], place, sizeof place);
        else
            weft_symbol_format_call(event->frames[i], place, sizeof place);
        if (i > 0)
            weft_buffer_append_char(line, ',');
        weft_buffer_append_json_string(line, place, strlen(place));
    }
    weft_buffer_append_char(line, ']');
}

void weft_monitor_log_event(struct weft_monitor *monitor, const struct weft_monitor_event *event)
{
    static const char *const levels[] = {
        [WEFT_MONITOR_WARNING] = "warning",
        [WEFT_MONITOR_CRITICAL] = "error",
        [WEFT_MONITOR_RECOVERED] = "info",
    };
    struct weft_buffer line;
    if (!wanted(monitor))
        return;
    weft_buffer_init(&line, LINE_BYTES_MAX);
    weft_log_begin(&line, levels[event->kind], word_of(event), weft_clock_unix_us());
    weft_log_string(&line, "monitor", monitor->name);
    if (event->worker >= 0)
        weft_log_int(&line, "worker", event->worker);
    if (event->cause != WEFT_MONITOR_BACKLOG)
        weft_log_int(&line, "duration_ns", event->duration_ns);
    weft_log_int(&line, "runnable", (int64_t)event->runnable);
    weft_log_string(&line, "fiber", event->fiber);
    weft_log_string(&line, "function", event->function);
    weft_log_string(&line, "spawned_at", event->spawned_at);
    append_backtrace(&line, event);
    hand_out(monitor, &line);
}
