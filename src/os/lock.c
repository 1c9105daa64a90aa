/* SPDX-License-Identifier: MIT
 * lock.c - see lock.h. */
#include <os/lock.h>

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPINS 200 /* about a microsecond: the holder is nearly always done by then */

bool weft_futex_wait(unsigned *word, unsigned expected, int64_t deadline_ns)
{
    if (deadline_ns <= 0)
        return false;
    struct timespec until = {.tv_sec = deadline_ns / 1000000000,
                             .tv_nsec = deadline_ns % 1000000000};
    /* The bitset variant takes an absolute time on CLOCK_MONOTONIC. */
    long err = syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected,
                       deadline_ns == INT64_MAX ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
    return err == 0 || errno == EAGAIN || errno == EINTR;
}

void weft_futex_wake_one(unsigned *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void weft_futex_wake_all(unsigned *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void weft_lock_slow(unsigned *lock)
{
    for (int i = 0; i < SPINS; i++) {
        unsigned unlocked = 0;
        if (__atomic_load_n(lock, __ATOMIC_RELAXED) == 0 &&
            __atomic_compare_exchange_n(lock, &unlocked, 1, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return;
        pause_briefly();
    }
    while (__atomic_exchange_n(lock, 2, __ATOMIC_ACQUIRE) != 0)
        (void)weft_futex_wait(lock, 2, INT64_MAX);
}
