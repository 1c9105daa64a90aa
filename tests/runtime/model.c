/* SPDX-License-Identifier: MIT
 * model.c - the protocols between threads, in every order of their steps with a few preemptions.
 *
 * The code under test is the code that runs: mailbox.h and life.h, compiled here with operations
 * that give way before each access. Each proof is accompanied by a broken variant that has to be
 * found, so that we know the explorer looks. */
#include "explorer.h"
#include "test.h"

#define WEFT_MODEL
#define weft_mailbox_load(at)         (explorer_step(), *(at))
#define weft_mailbox_store(at, value) (explorer_step(), *(at) = (value))
#define weft_mailbox_swap(at, value)                                                               \
    __extension__({                                                                                \
        explorer_step();                                                                           \
        __typeof__(*(at)) old_ = *(at);                                                            \
        *(at) = (value);                                                                           \
        old_;                                                                                      \
    })
#define weft_mailbox_replace(at, expected, value)                                                  \
    __extension__({                                                                                \
        explorer_step();                                                                           \
        bool same_ = *(at) == *(expected);                                                         \
        if (same_)                                                                                 \
            *(at) = (value);                                                                       \
        else                                                                                       \
            *(expected) = *(at);                                                                   \
        same_;                                                                                     \
    })
#define weft_mailbox_add(at, value)                                                                \
    __extension__({                                                                                \
        explorer_step();                                                                           \
        __typeof__(*(at)) old_ = *(at);                                                            \
        *(at) += (value);                                                                          \
        old_;                                                                                      \
    })
#define weft_life_load    weft_mailbox_load
#define weft_life_store   weft_mailbox_store
#define weft_life_replace weft_mailbox_replace

#include <runtime/life.h>
#include <runtime/mailbox.h>

/* ---- the mailbox and the sleeping owner ------------------------------------------------- */

#define LETTERS 2

static struct {
    struct weft_mailbox box;
    struct weft_mail letters[2][LETTERS];
    unsigned bell; /* the eventfd */
    int senders, received[2];
    bool in_order, gone;
} post;

static void post_reset(int senders)
{
    __typeof__(post) fresh = {.senders = senders, .in_order = true};
    post = fresh;
}

static void reset_one_sender(void)
{
    post_reset(1);
}

static void reset_two_senders(void)
{
    post_reset(2);
}

static void send(int sender)
{
    for (int i = 0; i < LETTERS; i++) {
        bool wake = weft_mailbox_put(&post.box, &post.letters[sender][i]);
        post.in_order = post.in_order && !post.gone; /* the owner waits until nobody is inside */
        if (wake)
            post.bell = 1;
        weft_mailbox_done(&post.box);
    }
}

static void sender_0(void)
{
    send(0);
}

static void sender_1(void)
{
    send(1);
}

static void read_mail(void)
{
    for (struct weft_mail *mail = weft_mailbox_take(&post.box); mail; mail = mail->next) {
        int sender = mail >= post.letters[1] ? 1 : 0;
        if (mail != &post.letters[sender][post.received[sender]++])
            post.in_order = false;
    }
}

static bool all_received(void)
{
    return post.received[0] + post.received[1] == post.senders * LETTERS;
}

static void sleep_on_bell(void)
{
    explorer_wait(&post.bell);
    post.bell = 0;
}

static void owner(void)
{
    while (read_mail(), !all_received()) {
        if (weft_mailbox_doze(&post.box))
            sleep_on_bell();
        weft_mailbox_rise(&post.box);
    }
    while (weft_mailbox_busy(&post.box))
        explorer_wait_zero(&post.box.senders);
    post.gone = true;
}

/* Looks for mail first and says that it sleeps afterwards. */
static void careless_owner(void)
{
    while (read_mail(), !all_received()) {
        bool empty = weft_mailbox_empty(&post.box);
        weft_mailbox_store(&post.box.asleep, 1);
        if (empty)
            sleep_on_bell();
        weft_mailbox_rise(&post.box);
    }
}

static bool post_holds(void)
{
    return all_received() && post.in_order;
}

TEST(no_letter_and_no_wake_up_is_lost_with_one_sender)
{
    const struct explorer_scenario scenario = {
        .reset = reset_one_sender,
        .threads = {owner, sender_0},
        .holds = post_holds,
        .preemptions_max = 6,
    };
    uint64_t runs = explorer_run(&scenario);
    CHECK(runs > 1000);
    test_note("%llu interleavings", (unsigned long long)runs);
}

TEST(no_letter_and_no_wake_up_is_lost_with_two_senders)
{
    const struct explorer_scenario scenario = {
        .reset = reset_two_senders,
        .threads = {owner, sender_0, sender_1},
        .holds = post_holds,
        .preemptions_max = 3,
    };
    uint64_t runs = explorer_run(&scenario);
    CHECK(runs > 1000);
    test_note("%llu interleavings", (unsigned long long)runs);
}

TEST(the_explorer_finds_a_lost_wake_up)
{
    const struct explorer_scenario scenario = {
        .reset = reset_one_sender,
        .threads = {careless_owner, sender_0},
        .holds = post_holds,
        .preemptions_max = 3,
    };
    CHECK_EQUAL(explorer_run(&scenario), 0);
}

/* ---- a task away from home -------------------------------------------------------------- */

static struct {
    struct weft_life life;
    unsigned cancel_sent, end_sent;
    bool cancel_read, freed, touched_after;
    int ends;
} away;

static void away_reset(void)
{
    __typeof__(away) fresh = {.ends = 0};
    away = fresh;
}

/* The group is cancelled, and waits for the end of its task. */
static void home(void)
{
    if (weft_life_cancel(&away.life))
        away.cancel_sent = 1;
    explorer_wait(&away.end_sent);
    away.freed = true;
}

static void send_end(void)
{
    away.ends++;
    away.end_sent = 1;
}

static void read_cancel(void)
{
    away.cancel_read = true;
    away.touched_after = away.touched_after || away.freed;
    if (weft_life_cancel_arrived(&away.life))
        send_end();
}

/* The task ends some time; the cancellation, if one was sent, is read before or after. */
static void target(void)
{
    explorer_step();
    if (away.cancel_sent)
        read_cancel();
    if (weft_life_end(&away.life))
        send_end();
    explorer_step();
    if (away.cancel_sent && !away.cancel_read)
        read_cancel();
    if (!away.ends) {
        explorer_wait(&away.cancel_sent);
        read_cancel();
    }
}

/* Sends the end home whatever is under way. */
static void careless_target(void)
{
    explorer_step();
    send_end();
    explorer_step();
    if (away.cancel_sent && !away.cancel_read)
        read_cancel();
}

static bool away_holds(void)
{
    return away.ends == 1 && away.freed && !away.touched_after &&
           away.cancel_read == (away.cancel_sent != 0);
}

TEST(a_record_is_freed_once_and_never_under_a_letter)
{
    const struct explorer_scenario scenario = {
        .reset = away_reset,
        .threads = {home, target},
        .holds = away_holds,
        .preemptions_max = 8,
    };
    CHECK(explorer_run(&scenario) > 10);
}

TEST(the_explorer_finds_a_record_freed_under_a_letter)
{
    const struct explorer_scenario scenario = {
        .reset = away_reset,
        .threads = {home, careless_target},
        .holds = away_holds,
        .preemptions_max = 8,
    };
    CHECK_EQUAL(explorer_run(&scenario), 0);
}
