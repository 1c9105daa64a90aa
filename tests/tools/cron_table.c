/* SPDX-License-Identifier: MIT
 * cron_table.c - prints the examples of docs/cron.md: what an expression means, and its next runs.
 */
#include "../job/cron_text.h"

#include <base/buffer.h>
#include <job/zone.h>

#include <stdio.h>
#include <stdlib.h>

struct example {
    const char *expression, *zone, *after, *meaning;
};

static const struct example calendar[] = {
    {"*/15 * * * *", "UTC", "2026-11-21 19:29", "every quarter of an hour"},
    {"30 2 * * MON-FRI", "UTC", "2026-11-21 19:29", "half past two on working days"},
    {"0 22-2/2 * * *", "UTC", "2026-11-21 19:29", "22:00, 0:00 and 2:00"},
    {"0 9,17 * NOV-FEB *", "UTC", "2026-11-21 19:29", "nine and five in winter"},
    {"5/20 * * * *", "UTC", "2026-11-21 19:29", "5, 25 and 45 past"},
    {"30 0 12 * * *", "UTC", "2026-11-21 19:29", "six fields: 12:00:30"},
    {"0 0 L * *", "UTC", "2026-11-21 19:29", "the last day of the month"},
    {"0 0 L-2 * *", "UTC", "2026-11-21 19:29", "two days before it"},
    {"0 9 15W * *", "UTC", "2026-11-21 19:29", "the working day nearest to the 15th"},
    {"0 9 LW * *", "UTC", "2026-11-21 19:29", "the last working day"},
    {"0 9 * * TUE#2", "UTC", "2026-11-21 19:29", "the second Tuesday"},
    {"0 9 * * 5L", "UTC", "2026-11-21 19:29", "the last Friday"},
    {"0 0 13 * FRI", "UTC", "2026-11-21 19:29", "every 13th, and every Friday"},
    {"0 0 13 * */5", "UTC", "2026-11-21 19:29", "a 13th that is a Sunday or a Friday"},
    {"0 0 29 2 *", "UTC", "2026-11-21 19:29", "leap days"},
    {"@weekly", "UTC", "2026-11-21 19:29", "`0 0 * * 0`"},
    {"@every 1h30m", "UTC", "2026-11-21 19:29", "made at 19:29"},
};

static const struct example clocks[] = {
    {"30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", "2:30 is skipped: once, right after"},
    {"0,30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", "both are: still once"},
    {"*/30 * * * *", "Europe/Berlin", "2026-03-29 01:00", "repeats: half an hour after 1:30"},
    {"*/30 2 * * *", "Europe/Berlin", "2026-03-28 12:00",
     "repeats within an hour that is not there"},
    {"30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", "2:30 comes twice: the first time"},
    {"*/30 * * * *", "Europe/Berlin", "2026-10-25 02:00", "repeats: both times"},
    {"@daily", "America/Sao_Paulo", "2018-11-03 12:00", "midnight is skipped"},
    {"15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00", "half an hour is skipped"},
    {"0 12 * * *", "Pacific/Apia", "2011-12-29 11:00", "a whole day is skipped"},
};

static const char *const wrong[] = {
    "61 * * * *", "* * * FOO *", "*/0 * * * *", "0 0 30 2 *", "0 0 * * L", "* * * *", "@reboot",
};

static void append_examples(struct weft_buffer *out, const struct example *examples, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const struct example *example = &examples[i];
        struct weft_zone *zone = NULL;
        if (weft_zone_open(&zone, example->zone, WEFT_TEST_ZONES) < 0)
            abort();
        weft_buffer_append_format(out, "| `%s` | ", example->expression);
        if (examples == clocks)
            weft_buffer_append_format(out, "%s | ", example->zone);
        weft_buffer_append_format(out, "%s | ", example->meaning);
        cron_text_append_runs(out, example->expression, zone, cron_text_time(zone, example->after),
                              examples == clocks ? 3 : 2);
        weft_buffer_append_string(out, " |\n");
        weft_zone_close(zone);
    }
}

int main(void)
{
    struct weft_buffer out;
    weft_buffer_init(&out, 1 << 16);
    weft_buffer_append_string(&out, "| expression | meaning | runs after Sat 2026-11-21 19:29 |\n"
                                    "|---|---|---|\n");
    append_examples(&out, calendar, sizeof calendar / sizeof *calendar);
    weft_buffer_append_string(&out, "\n| expression | zone | clocks are set | runs around it |\n"
                                    "|---|---|---|---|\n");
    append_examples(&out, clocks, sizeof clocks / sizeof *clocks);
    weft_buffer_append_string(&out, "\n| refused | because |\n|---|---|\n");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        weft_buffer_append_format(&out, "| `%s` | ", wrong[i]);
        cron_text_append_runs(&out, wrong[i], NULL, 0, 1);
        weft_buffer_append_string(&out, " |\n");
    }
    if (!out.err)
        (void)fwrite(out.data, 1, out.len, stdout);
    int err = out.err;
    weft_buffer_deinit(&out);
    return err ? 1 : 0;
}
