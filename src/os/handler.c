/* SPDX-License-Identifier: MIT
 * handler.c - see handler.h. */
#include <os/handler.h>
#include <os/lock.h>

#include <errno.h>
#include <stddef.h>

#define SLOTS 8

struct slot {
    int number;
    unsigned users;
    void (*handle)(int, siginfo_t *, void *);
    struct sigaction before;
};

static unsigned lock;
static struct slot slots[SLOTS];

/* The slot of a signal, or with number 0 a free one. A slot keeps its signal for ever, so that a
 * handler that still runs finds it. */
static struct slot *find(int number)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (slots[i].number == number)
            return &slots[i];
    }
    return NULL;
}

static int first_install(struct slot *slot, int number, void (*handle)(int, siginfo_t *, void *),
                         bool polite)
{
    struct sigaction ours = {.sa_sigaction = handle,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    struct sigaction before;
    if (sigaction(number, NULL, &before) < 0)
        return -errno;
    if (polite && ((before.sa_flags & SA_SIGINFO) || before.sa_handler != SIG_DFL))
        return -EBUSY;
    *slot = (struct slot){.number = number, .handle = handle, .before = before};
    (void)sigemptyset(&ours.sa_mask);
    return sigaction(number, &ours, NULL) < 0 ? -errno : 0;
}

int weft_handler_install(int number, void (*handle)(int, siginfo_t *, void *), bool polite)
{
    if (number <= 0)
        return -EINVAL;
    weft_lock(&lock);
    struct slot *slot = find(number);
    if (!slot)
        slot = find(0);
    int err = slot ? 0 : -EAGAIN;
    if (err == 0 && slot->users == 0)
        err = first_install(slot, number, handle, polite);
    if (err == 0)
        slot->users++;
    weft_unlock(&lock);
    return err;
}

void weft_handler_remove(int number)
{
    struct sigaction now;
    weft_lock(&lock);
    struct slot *slot = find(number);
    if (slot && slot->users > 0 && --slot->users == 0 && sigaction(number, NULL, &now) == 0 &&
        (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == slot->handle)
        (void)sigaction(number, &slot->before, NULL);
    weft_unlock(&lock);
}

void weft_handler_pass_on(int number, siginfo_t *info, void *context)
{
    const struct slot *slot = find(number);
    if (!slot)
        return;
    const struct sigaction *before = &slot->before;
    bool by_default = !(before->sa_flags & SA_SIGINFO) && before->sa_handler == SIG_DFL;
    if (by_default && number == SIGURG)
        return; /* nothing happens by default */
    if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(number, info, context);
    } else if (by_default) {
        (void)sigaction(number, before, NULL);
        if (info->si_code <= 0) /* sent by a process, not a fault: it would not come again */
            (void)raise(number);
    } else if (before->sa_handler != SIG_IGN) {
        before->sa_handler(number);
    }
}

void weft_handler_forked(void)
{
    lock = 0;
}

void weft_signals_hold(sigset_t *ret_before)
{
    static const int own_fault[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    sigset_t all;
    (void)sigfillset(&all);
    for (size_t i = 0; i < sizeof own_fault / sizeof own_fault[0]; i++)
        (void)sigdelset(&all, own_fault[i]);
    (void)pthread_sigmask(SIG_SETMASK, &all, ret_before);
}

void weft_signals_restore(const sigset_t *before)
{
    (void)pthread_sigmask(SIG_SETMASK, before, NULL);
}
