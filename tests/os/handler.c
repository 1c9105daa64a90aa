/* SPDX-License-Identifier: MIT
 * handler.c - tests of os/handler.h: who is asked when a signal comes that is not the library's. */
#include "test.h"

#include <os/handler.h>

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t ours, theirs;

static void pass_on(int number, siginfo_t *info, void *context)
{
    ours++;
    weft_handler_pass_on(number, info, context);
}

static void plain(int number)
{
    theirs += number;
}

static void with_info(int number, siginfo_t *info, void *context)
{
    (void)context;
    theirs += info->si_signo == number ? 1000 : 0;
}

/* Raise the signal while ours is installed on top of what the program has. */
static void raise_above(int number, const struct sigaction *before)
{
    struct sigaction kept;
    ours = theirs = 0;
    REQUIRE(sigaction(number, before, &kept) == 0);
    REQUIRE(weft_handler_install(number, pass_on, false) == 0);
    (void)raise(number);
    weft_handler_remove(number);
    REQUIRE(sigaction(number, &kept, NULL) == 0);
    CHECK_EQUAL(ours, 1);
}

TEST(a_signal_goes_on_to_the_handler_that_the_program_had)
{
    raise_above(SIGUSR2, &(struct sigaction){.sa_handler = plain});
    CHECK_EQUAL(theirs, SIGUSR2);
    raise_above(SIGUSR2, &(struct sigaction){.sa_sigaction = with_info, .sa_flags = SA_SIGINFO});
    CHECK_EQUAL(theirs, 1000);
}

TEST(a_signal_that_the_program_ignores_stays_ignored)
{
    raise_above(SIGUSR2, &(struct sigaction){.sa_handler = SIG_IGN});
    CHECK_EQUAL(theirs, 0);
}

TEST(a_signal_that_does_nothing_by_default_does_nothing)
{
    raise_above(SIGURG, &(struct sigaction){.sa_handler = SIG_DFL});
    CHECK_EQUAL(theirs, 0);
}

TEST(a_signal_that_ends_the_process_by_default_ends_it)
{
    int status = 0;
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        raise_above(SIGUSR2, &(struct sigaction){.sa_handler = SIG_DFL});
        _exit(0);
    }
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2);
}

TEST(a_handler_stays_until_its_last_user_and_then_gives_the_signal_back)
{
    struct sigaction now;
    REQUIRE(weft_handler_install(SIGUSR2, pass_on, true) == 0);
    REQUIRE(weft_handler_install(SIGUSR2, pass_on, true) == 0);
    weft_handler_remove(SIGUSR2);
    REQUIRE(sigaction(SIGUSR2, NULL, &now) == 0);
    CHECK((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == pass_on);
    weft_handler_remove(SIGUSR2);
    REQUIRE(sigaction(SIGUSR2, NULL, &now) == 0);
    CHECK(now.sa_handler == SIG_DFL);
    weft_handler_remove(SIGUSR2); /* nobody has it: nothing happens */
    weft_handler_remove(SIGHUP);  /* nobody ever had it */
}

TEST(a_handler_that_the_program_installed_meanwhile_is_left_alone)
{
    struct sigaction now;
    const struct sigaction mine = {.sa_handler = plain};
    const struct sigaction with_information = {.sa_sigaction = with_info, .sa_flags = SA_SIGINFO};
    REQUIRE(weft_handler_install(SIGUSR2, pass_on, true) == 0);
    REQUIRE(sigaction(SIGUSR2, &mine, NULL) == 0);
    weft_handler_remove(SIGUSR2);
    REQUIRE(sigaction(SIGUSR2, NULL, &now) == 0);
    CHECK(now.sa_handler == plain);
    CHECK_EQUAL(weft_handler_install(SIGUSR2, pass_on, true), -EBUSY);
    REQUIRE(weft_handler_install(SIGUSR2, pass_on, false) == 0);
    REQUIRE(sigaction(SIGUSR2, &with_information, NULL) == 0);
    weft_handler_remove(SIGUSR2);
    REQUIRE(sigaction(SIGUSR2, NULL, &now) == 0);
    CHECK(now.sa_sigaction == with_info);
    CHECK_EQUAL(weft_handler_install(SIGUSR2, pass_on, true), -EBUSY);
    (void)signal(SIGUSR2, SIG_DFL);
}

/* In a process of its own: a slot is never given back. Tests before may have taken some. */
static bool fill_slots(void)
{
    int err = 0, number = SIGRTMIN;
    while (err == 0 && number <= SIGRTMIN + 8)
        err = weft_handler_install(number++, pass_on, true);
    return err == -EAGAIN;
}

TEST(there_is_room_for_eight_signals)
{
    int status = 0;
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0)
        exit(fill_slots() ? 0 : 1);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(what_is_no_signal_has_no_handler)
{
    CHECK_EQUAL(weft_handler_install(0, pass_on, true), -EINVAL);
    CHECK_EQUAL(weft_handler_install(-1, pass_on, true), -EINVAL);
    CHECK_EQUAL(weft_handler_install(100000, pass_on, true), -EINVAL);
}
