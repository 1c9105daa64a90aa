/* SPDX-License-Identifier: MIT
 * test.h - a test is a function; its name is the behaviour it proves. Prints TAP.
 *
 *     TEST(ring_refuses_what_does_not_fit) { CHECK(...); }        // on a plain thread
 *     FIBER_TEST(sleep_is_never_early) { CHECK(...); }            // on a fiber, virtual time
 *
 * A failed CHECK is reported and the test goes on; a failed REQUIRE ends the program.
 * Every program takes names of tests to run, and --list. With --cancel it runs every test on fibers
 * again and again, cancelling everything at its first wait, its second, and so on (to the 50th, or
 * $WEFT_CANCEL_MAX), each in a process of its own: whatever the test's checks say then, it must
 * end, without a crash, a misuse of scopes or groups, or (with a sanitizer) a leak. */
#ifndef WEFT_TESTS_TEST_H
#define WEFT_TESTS_TEST_H

#include <weft/runtime.h>

#include <stdbool.h>

struct test {
    const char *name;
    void (*run)(void);
    bool on_fiber;
    struct test *next;
};

void test_register(struct test *test);
void test_failed(const char *file, int line, const char *text);
_Noreturn void test_bail_out(const char *file, int line, const char *text);
void test_skip(const char *reason); /* mark the running test as skipped */
void test_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Run body on a fiber; a result other than 0 fails the running test. */
void test_on_fiber(enum weft_clock_kind clock, void (*body)(void));

/* A directory of this program's own, removed when it ends. */
const char *test_directory(void);

#define TEST_REGISTER_(id, function, on_fiber)                                                     \
    static struct test id##_test = {#id, function, on_fiber, NULL};                                \
    __attribute__((constructor)) static void id##_register(void)                                   \
    {                                                                                              \
        test_register(&id##_test);                                                                 \
    }

#define TEST(id)                                                                                   \
    static void id(void);                                                                          \
    TEST_REGISTER_(id, id, false)                                                                  \
    static void id(void)

#define FIBER_TEST_ON_(id, clock)                                                                  \
    static void id##_body(void);                                                                   \
    static void id(void)                                                                           \
    {                                                                                              \
        test_on_fiber(clock, id##_body);                                                           \
    }                                                                                              \
    TEST_REGISTER_(id, id, true)                                                                   \
    static void id##_body(void)

#define FIBER_TEST(id)           FIBER_TEST_ON_(id, WEFT_CLOCK_VIRTUAL)
#define REAL_TIME_FIBER_TEST(id) FIBER_TEST_ON_(id, WEFT_CLOCK_REAL)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            test_failed(__FILE__, __LINE__, #condition);                                           \
    } while (0)

#define CHECK_EQUAL(actual, expected)                                                              \
    do {                                                                                           \
        long long actual_ = (long long)(actual), expected_ = (long long)(expected);                \
        if (actual_ != expected_) {                                                                \
            test_failed(__FILE__, __LINE__, #actual " == " #expected);                             \
            test_note("actual %lld, expected %lld", actual_, expected_);                           \
        }                                                                                          \
    } while (0)

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            test_bail_out(__FILE__, __LINE__, #condition);                                         \
    } while (0)

#endif
