/* SPDX-License-Identifier: MIT
 * retry_budget.c - see weft/retry_budget.h: the keys around the counting of retry_budget_core.c.
 *
 * A key that has been idle is as good as new, so it may be forgotten; one in use is not, because
 * whoever makes up new keys would get a fresh budget with each. */
#include <base/siphash.h>
#include <flow/pattern.h>
#include <flow/retry_budget_core.h>
#include <runtime/worker.h>

#include <weft/retry_budget.h>

#include <stdlib.h>
#include <string.h>

#define RATIO_DEFAULT       0.2
#define TOKEN_RATIO_DEFAULT 0.1
#define RATIO_MAX           1000.0
#define PER_SECOND_DEFAULT  10.0
#define PER_SECOND_MAX      1e6
#define TTL_DEFAULT_NS      (10 * WEFT_SEC)
#define TTL_MAX_NS          (3600 * WEFT_SEC)
#define TOKENS_DEFAULT      10.0
#define TOKENS_MAX          1000.0
#define KEYS_DEFAULT        1024u
#define KEYS_MAX            (1u << 20)
#define IDLE_DEFAULT_NS     (60 * WEFT_SEC)
#define EVICTED_PER_NEW     2 /* so that idle keys are gone sooner than new ones come */

struct entry {
    struct weft_link in_table;
    struct weft_link in_ages;
    int64_t used_at_ns;
    struct weft_share share;
    int64_t tokens;
    char key[WEFT_NAME_MAX + 1];
};

struct weft_retry_budget {
    struct weft_guard guard;
    enum weft_retry_budget_kind kind;
    struct weft_share_rule share_rule;
    struct weft_token_rule token_rule;
    int64_t idle_ns;
    unsigned keys, keys_max;
    uint64_t taken, refused, evicted, crowded;
    void (*on_event)(void *arg, const struct weft_retry_budget_event *event);
    void *on_event_arg;
    struct weft_link ages; /* longest unused first */
    struct entry rest;     /* of those for whom there is no room */
    char name[WEFT_NAME_MAX + 1];
    uint64_t secret[2]; /* of the hash */
    size_t table_mask;
    struct weft_link table[];
};

/* ---- beginning and end ------------------------------------------------------------------- */

static double or_default(double value, double fallback)
{
    return value > 0 || value < 0 ? value : fallback;
}

static bool valid(const struct weft_retry_budget_options *options)
{
    bool minimum = options->per_second_min >= 0 && options->per_second_min <= PER_SECOND_MAX;
    /* Written so that NaN is refused. */
    return (unsigned)options->kind <= WEFT_RETRY_BUDGET_TOKENS && options->ratio >= 0 &&
           options->ratio <= RATIO_MAX &&
           (minimum || !(options->per_second_min != WEFT_RETRY_NO_MINIMUM)) &&
           (options->ttl_ns == 0 ||
            (options->ttl_ns >= WEFT_MSEC && options->ttl_ns <= TTL_MAX_NS)) &&
           (!(options->tokens_max != 0) ||
            (options->tokens_max >= 1 && options->tokens_max <= TOKENS_MAX)) &&
           options->keys_max <= KEYS_MAX && options->idle_ns >= 0;
}

static void set_rules(struct weft_retry_budget *budget,
                      const struct weft_retry_budget_options *options)
{
    double minimum = or_default(options->per_second_min, PER_SECOND_DEFAULT);
    int64_t ttl_ns = options->ttl_ns ? options->ttl_ns : TTL_DEFAULT_NS;
    budget->share_rule = weft_share_rule(or_default(options->ratio, RATIO_DEFAULT),
                                         minimum > 0 ? minimum : 0, ttl_ns);
    budget->token_rule = weft_token_rule(or_default(options->tokens_max, TOKENS_DEFAULT),
                                         or_default(options->ratio, TOKEN_RATIO_DEFAULT));
    budget->idle_ns = options->idle_ns ? options->idle_ns : IDLE_DEFAULT_NS;
    if (budget->kind == WEFT_RETRY_BUDGET_RATIO && budget->idle_ns < ttl_ns)
        budget->idle_ns = ttl_ns;
}

int weft_retry_budget_open(struct weft_retry_budget **ret_budget,
                           const struct weft_retry_budget_options *options)
{
    static const struct weft_retry_budget_options defaults;
    size_t table_len = 16;
    if (!options)
        options = &defaults;
    if (!valid(options))
        return -EINVAL;
    unsigned keys_max = options->keys_max ? options->keys_max : KEYS_DEFAULT;
    while (table_len < keys_max)
        table_len *= 2;
    struct weft_retry_budget *budget =
        calloc(1, sizeof *budget + table_len * sizeof budget->table[0]);
    if (!budget)
        return -ENOMEM;
    budget->kind = options->kind;
    budget->keys_max = keys_max;
    budget->on_event = options->on_event;
    budget->on_event_arg = options->on_event_arg;
    budget->table_mask = table_len - 1;
    weft_pattern_secret(budget->secret, 0);
    set_rules(budget, options);
    budget->rest.tokens = budget->token_rule.max;
    weft_list_init(&budget->ages);
    for (size_t i = 0; i < table_len; i++)
        weft_list_init(&budget->table[i]);
    int err = weft_pattern_name(budget->name, options->name, "retry budget");
    if (err == 0)
        err = weft_guard_init(&budget->guard, options->sharing);
    if (err < 0) {
        weft_retry_budget_close(budget);
        return err;
    }
    *ret_budget = budget;
    return 0;
}

static struct entry *entry_in_ages(struct weft_link *link)
{
    return weft_container_of(link, struct entry, in_ages);
}

void weft_retry_budget_close(struct weft_retry_budget *budget)
{
    if (!budget)
        return;
    while (!weft_list_empty(&budget->ages)) {
        struct entry *entry = entry_in_ages(budget->ages.next);
        weft_list_unlink(&entry->in_ages);
        free(entry);
    }
    free(budget);
}

/* ---- keys, under the guard --------------------------------------------------------------- */

struct key {
    const char *text;
    size_t len;
    uint64_t hash;
};

/* Returns 0, -EINVAL (too long) */
static int make_key(const struct weft_retry_budget *budget, struct key *key, const char *text)
{
    key->text = text ? text : "";
    key->len = strnlen(key->text, WEFT_NAME_MAX + 1);
    if (key->len > WEFT_NAME_MAX)
        return -EINVAL;
    key->hash = weft_siphash(budget->secret, key->text, key->len);
    return 0;
}

static struct weft_link *list_of(struct weft_retry_budget *budget, const struct key *key)
{
    return &budget->table[key->hash & budget->table_mask];
}

static struct entry *find(struct weft_retry_budget *budget, const struct key *key)
{
    WEFT_LIST_FOR_EACH (link, list_of(budget, key)) {
        struct entry *entry = weft_container_of(link, struct entry, in_table);
        if (memcmp(entry->key, key->text, key->len + 1) == 0)
            return entry;
    }
    return NULL;
}

static struct entry *use(struct weft_retry_budget *budget, struct entry *entry, int64_t now_ns)
{
    if (now_ns > entry->used_at_ns)
        entry->used_at_ns = now_ns;
    weft_list_unlink(&entry->in_ages);
    weft_list_append(&budget->ages, &entry->in_ages);
    return entry;
}

static void evict_idle(struct weft_retry_budget *budget, int64_t now_ns)
{
    for (int i = 0; i < EVICTED_PER_NEW && !weft_list_empty(&budget->ages); i++) {
        struct entry *oldest = entry_in_ages(budget->ages.next);
        if (now_ns - oldest->used_at_ns < budget->idle_ns)
            return;
        weft_list_unlink(&oldest->in_ages);
        weft_list_unlink(&oldest->in_table);
        free(oldest);
        budget->keys--;
        budget->evicted++;
    }
}

static void insert(struct weft_retry_budget *budget, const struct key *key, struct entry *entry)
{
    *entry = (struct entry){.tokens = budget->token_rule.max};
    memcpy(entry->key, key->text, key->len);
    weft_list_init(&entry->in_ages);
    weft_list_append(list_of(budget, key), &entry->in_table);
    budget->keys++;
}

/* The guard is entered, the key was not found: make it, or share. */
static struct entry *make(struct weft_retry_budget *budget, const struct key *key, int64_t now_ns)
{
    weft_guard_leave(&budget->guard);
    struct entry *entry = malloc(sizeof *entry); /* may take long */
    weft_guard_enter(&budget->guard);
    evict_idle(budget, now_ns);
    struct entry *found = find(budget, key); /* somebody else may have made it */
    if (!found && entry && budget->keys < budget->keys_max) {
        insert(budget, key, entry);
        found = entry;
        entry = NULL;
    }
    free(entry);
    if (found)
        return use(budget, found, now_ns);
    budget->crowded++;
    return &budget->rest;
}

/* Enter the guard, if the key can be one. Returns 0, -EINVAL, -EPERM */
static int admit(struct weft_retry_budget *budget, struct key *key, const char *text)
{
    int err = make_key(budget, key, text);
    return err < 0 ? err : weft_guard_admit(&budget->guard);
}

/* Enter the guard, with the entry that counts for the key. */
static int enter(struct weft_retry_budget *budget, const char *text, int64_t now_ns,
                 struct entry **ret_entry)
{
    struct key key;
    int err = admit(budget, &key, text);
    if (err < 0)
        return err;
    struct entry *entry = find(budget, &key);
    *ret_entry = entry ? use(budget, entry, now_ns) : make(budget, &key, now_ns);
    return 0;
}

/* ---- counting ---------------------------------------------------------------------------- */

/* Whether this kind counts such notes at all. */
static bool counts(const struct weft_retry_budget *budget, enum weft_retry_note note)
{
    return (note == WEFT_RETRY_CALL) == (budget->kind == WEFT_RETRY_BUDGET_RATIO);
}

/* A key that has its tokens all the same need not be known for a success. */
static int note_success(struct weft_retry_budget *budget, const char *text)
{
    struct key key;
    int err = admit(budget, &key, text);
    if (err < 0)
        return err;
    struct entry *entry = find(budget, &key);
    if (!entry && budget->keys == budget->keys_max)
        entry = &budget->rest;
    if (entry)
        entry->tokens = weft_tokens_after_success(entry->tokens, &budget->token_rule);
    weft_guard_leave(&budget->guard);
    return 0;
}

int weft_retry_budget_note(struct weft_retry_budget *budget, const char *key,
                           enum weft_retry_note note)
{
    struct entry *entry;
    if (!counts(budget, note)) {
        bool too_long = key && strnlen(key, WEFT_NAME_MAX + 1) > WEFT_NAME_MAX;
        return too_long ? -EINVAL : weft_guard_permit(&budget->guard);
    }
    if (note == WEFT_RETRY_SUCCESS)
        return note_success(budget, key);
    int64_t now_ns = weft_now();
    int err = enter(budget, key, now_ns, &entry);
    if (err < 0)
        return err;
    if (note == WEFT_RETRY_CALL)
        weft_share_call(&entry->share, &budget->share_rule, now_ns);
    else
        entry->tokens = weft_tokens_after_failure(entry->tokens);
    weft_guard_leave(&budget->guard);
    return 0;
}

static void tell_refused(const struct weft_retry_budget *budget, const char *key, int64_t now_ns)
{
    const struct weft_retry_budget_event event = {
        .kind = WEFT_RETRY_BUDGET_REFUSED, .name = budget->name, .at_ns = now_ns, .key = key};
    if (budget->on_event)
        budget->on_event(budget->on_event_arg, &event);
}

int weft_retry_budget_take(struct weft_retry_budget *budget, const char *key)
{
    struct entry *entry;
    int64_t now_ns = weft_now();
    int err = enter(budget, key, now_ns, &entry);
    if (err < 0)
        return err;
    bool taken = budget->kind == WEFT_RETRY_BUDGET_RATIO
                     ? weft_share_take(&entry->share, &budget->share_rule, now_ns)
                     : weft_tokens_allow(entry->tokens, &budget->token_rule);
    if (taken)
        budget->taken++;
    else
        budget->refused++;
    weft_guard_leave(&budget->guard);
    if (taken)
        return 0;
    tell_refused(budget, key ? key : "", now_ns);
    return WEFT_ELIMIT;
}

int weft_retry_budget_return(struct weft_retry_budget *budget, const char *key, int64_t taken_at_ns)
{
    struct entry *entry;
    int64_t now_ns = weft_now();
    int err = enter(budget, key, now_ns, &entry);
    if (err < 0)
        return err;
    if (budget->kind == WEFT_RETRY_BUDGET_RATIO)
        weft_share_return(&entry->share, &budget->share_rule, taken_at_ns, now_ns);
    if (budget->taken > 0)
        budget->taken--;
    weft_guard_leave(&budget->guard);
    return 0;
}

int weft_retry_budget_snapshot(struct weft_retry_budget *budget, const char *text,
                               struct weft_retry_budget_snapshot *ret_snapshot)
{
    struct key key;
    struct entry fresh = {.tokens = budget->token_rule.max};
    int64_t now_ns = weft_now();
    int err = admit(budget, &key, text);
    if (err < 0)
        return err;
    struct entry *entry = find(budget, &key);
    if (!entry)
        entry = &fresh;
    *ret_snapshot = (struct weft_retry_budget_snapshot){
        .balance = budget->kind == WEFT_RETRY_BUDGET_RATIO
                       ? weft_share_balance(&entry->share, &budget->share_rule, now_ns)
                       : (double)entry->tokens / WEFT_TOKEN_UNIT,
        .taken = budget->taken,
        .refused = budget->refused,
        .evicted = budget->evicted,
        .crowded = budget->crowded,
        .keys = budget->keys,
    };
    memcpy(ret_snapshot->name, budget->name, sizeof budget->name);
    weft_guard_leave(&budget->guard);
    return 0;
}
