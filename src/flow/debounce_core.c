/* SPDX-License-Identifier: MIT
 * debounce_core.c - see debounce_core.h. */
#include <flow/debounce_core.h>

#include <base/time.h>

static int64_t quiet_at(const struct weft_debounce_core *core)
{
    return weft_time_after(core->quiet_from, core->wait_ns);
}

/* When the window ends, or has to let fn run although it does not. */
static int64_t expires_at(const struct weft_debounce_core *core)
{
    int64_t quiet_ns = quiet_at(core);
    int64_t forced_ns = weft_time_after(core->forced_from, core->wait_max_ns);
    return quiet_ns < forced_ns ? quiet_ns : forced_ns;
}

int64_t weft_debounce_core_next(const struct weft_debounce_core *core)
{
    if (core->due)
        return 0;
    return core->open ? expires_at(core) : WEFT_FOREVER;
}

/* A window that calls keep open stays so after a forced run: the next call is not its first.
 * Without a trailing edge there is no such run, and that next call is the one to run. */
static void expire(struct weft_debounce_core *core, int64_t now_ns)
{
    bool run = core->wanted;
    core->due = core->due || run;
    core->wanted = false;
    core->open = core->trailing && (now_ns < quiet_at(core) || (core->spaced && run));
    core->forced_from = now_ns;
    if (core->spaced)
        core->quiet_from = now_ns;
}

static void look(struct weft_debounce_core *core, int64_t now_ns)
{
    if (core->open && now_ns >= expires_at(core))
        expire(core, now_ns);
}

void weft_debounce_core_call(struct weft_debounce_core *core, int64_t now_ns)
{
    look(core, now_ns);
    if (!core->open) {
        core->open = true;
        core->forced_from = core->quiet_from = now_ns;
        core->due = core->due || core->leading;
        core->wanted = !core->due;
        return;
    }
    if (!core->due)
        core->wanted = core->trailing;
    if (now_ns > core->quiet_from && !core->spaced)
        core->quiet_from = now_ns;
}

bool weft_debounce_core_take(struct weft_debounce_core *core, int64_t now_ns)
{
    look(core, now_ns);
    bool due = core->due;
    core->due = false;
    if (due && core->spaced) { /* it may have been due for a while */
        core->open = true;
        core->forced_from = core->quiet_from = now_ns;
    }
    return due;
}

bool weft_debounce_core_forget(struct weft_debounce_core *core)
{
    bool pending = core->due || core->wanted;
    core->open = core->wanted = core->due = false;
    return pending;
}
