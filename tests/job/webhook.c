/* SPDX-License-Identifier: MIT
 * webhook.c - signatures with the vectors of Standard Webhooks, urls that may be asked, requests
 * and what answers mean. */
#include "outcome.h"
#include "test.h"

#include <job/webhook.h>

#include <stdio.h>
#include <stdlib.h>

/* The vectors of standard-webhooks/libraries (go/webhook_symmetric_test.go and the others). */
#define SECRET    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ID        "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define PAYLOAD   "{\"test\": 2432232314}"
#define SENT_S    ((int64_t)1614265330)
#define SENT      "1614265330"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define OTHER     "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="

/* The bytes 0 to 63. */
#define LONG_SECRET                                                                                \
    "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+"   \
    "Pw=="

/* The bytes 0 to 63, and a 0. */
#define TOO_LONG_SECRET                                                                            \
    "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+"   \
    "PwA="

static const struct weft_webhook_message message = {ID, SENT_S, PAYLOAD, sizeof PAYLOAD - 1};

static struct weft_webhook_keys keys_of(const char *secret)
{
    struct weft_webhook_keys keys = {.count = 0};
    REQUIRE(weft_webhook_keys_add(&keys, secret) == 0);
    return keys;
}

static void check_signature(const struct weft_webhook_keys *keys,
                            const struct weft_webhook_message *signed_message, const char *expected)
{
    char signature[WEFT_WEBHOOK_SIGNATURE_MAX] = "(none)";
    CHECK_EQUAL(weft_webhook_sign(keys, signed_message, signature), 0);
    CHECK(strcmp(signature, expected) == 0);
    if (strcmp(signature, expected) != 0)
        test_note("%s", signature);
}

/* ---- signatures -------------------------------------------------------------------------- */

TEST(the_signature_is_that_of_the_published_vector)
{
    struct weft_webhook_keys keys = keys_of("whsec_" SECRET);
    check_signature(&keys, &message, SIGNATURE);
    keys = keys_of(SECRET);
    check_signature(&keys, &message, SIGNATURE);
}

/* Made with Python's hmac module. */
TEST(signatures_of_other_keys_and_bodies_are_right)
{
    static char body[256 * 300];
    struct weft_webhook_message other = {"0198c0de-0000-7000-8000-000000000001", 1753000000, body,
                                         sizeof body};
    struct weft_webhook_keys keys = keys_of(LONG_SECRET);
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (char)i;
    CHECK_EQUAL(keys.keys[0].len, 64);
    check_signature(&keys, &other, "v1,NyO3lItL7TrYqdFg2HPsGPV5vJ3YPGXCLkVEdRSn7gA=");
    keys = keys_of(SECRET);
    other.body = NULL;
    other.body_len = 0;
    check_signature(&keys, &other, "v1,PpPizXI6jMFn7vhuhKjLQQ+M0WXw6+7gercLWBR/e0Y=");
}

FIBER_TEST(a_fiber_has_room_enough_for_a_signature)
{
    struct weft_webhook_keys keys = keys_of(SECRET);
    check_signature(&keys, &message, SIGNATURE);
}

TEST(every_key_signs)
{
    struct weft_webhook_keys keys = keys_of(LONG_SECRET);
    char signature[WEFT_WEBHOOK_SIGNATURE_MAX];
    while (keys.count < WEFT_WEBHOOK_KEYS_MAX)
        CHECK_EQUAL(weft_webhook_keys_add(&keys, SECRET), 0);
    CHECK_EQUAL(weft_webhook_keys_add(&keys, SECRET), -ENOSPC);
    CHECK_EQUAL(weft_webhook_sign(&keys, &message, signature), 0);
    CHECK_EQUAL(strlen(signature), WEFT_WEBHOOK_SIGNATURE_MAX - 1);
    CHECK(strcmp(signature + 48, SIGNATURE " " SIGNATURE " " SIGNATURE) == 0);
    CHECK(!begins_with(signature, SIGNATURE));
}

TEST(what_is_no_secret_is_refused)
{
    static const char *const bad[] = {
        "",
        "whsec_",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",  /* not in fours */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa==", /* 22 bytes */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS=", /* 23 */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa_w", /* base64url */
        "whsec_MfKQ9r8GKYqrTwjUPD8I=PZIo2LaLaSw",
        "whsec_ MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAB==", /* bits behind the last byte */
        LONG_SECRET "AAAA",
        TOO_LONG_SECRET,
        "====",
    };
    struct weft_webhook_keys keys = {.count = 0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int err = weft_webhook_keys_add(&keys, bad[i]);
        CHECK_EQUAL(err, -EINVAL);
        if (err != -EINVAL)
            test_note("%s", bad[i]);
    }
    CHECK_EQUAL(keys.count, 0);
}

/* With a full stop in the id, "a.1" sent at 2 would be signed as "a" sent at "1.2". */
TEST(what_no_message_can_have_is_not_signed)
{
    struct weft_webhook_keys none = {.count = 0}, keys = keys_of(SECRET);
    char signature[WEFT_WEBHOOK_SIGNATURE_MAX] = "untouched", id[WEFT_JOB_NAME_MAX + 2];
    struct weft_webhook_message bad = message;
    CHECK_EQUAL(weft_webhook_sign(&none, &bad, signature), -EINVAL);
    bad.id = "a.1";
    CHECK_EQUAL(weft_webhook_sign(&keys, &bad, signature), -EINVAL);
    bad.id = "";
    CHECK_EQUAL(weft_webhook_sign(&keys, &bad, signature), -EINVAL);
    bad.id = "a\r\nb";
    CHECK_EQUAL(weft_webhook_sign(&keys, &bad, signature), -EINVAL);
    memset(id, 'i', sizeof id);
    id[sizeof id - 1] = '\0';
    bad.id = id;
    CHECK_EQUAL(weft_webhook_sign(&keys, &bad, signature), -EINVAL);
    id[sizeof id - 2] = '\0';
    bad.timestamp_s = -1;
    CHECK_EQUAL(weft_webhook_sign(&keys, &bad, signature), -EINVAL);
    bad.timestamp_s = INT64_MAX;
    CHECK_EQUAL(weft_webhook_sign(&keys, &bad, signature), -EINVAL);
    CHECK(strcmp(signature, "untouched") == 0);
    bad.timestamp_s = 999999999999999;
    CHECK_EQUAL(weft_webhook_sign(&keys, &bad, signature), 0);
}

/* ---- verification ------------------------------------------------------------------------ */

struct received {
    const char *id, *timestamp, *signature, *body;
    int64_t now_s;
};

static const struct received genuine = {ID, SENT, SIGNATURE, PAYLOAD, SENT_S};

static int verify(struct received r)
{
    struct weft_webhook_keys keys = keys_of(SECRET);
    return weft_webhook_verify(&keys, r.id, r.timestamp, r.signature, r.body, strlen(r.body),
                               r.now_s, 0);
}

TEST(a_genuine_request_is_recognized)
{
    CHECK_EQUAL(verify(genuine), 0);
}

TEST(one_signature_of_several_is_enough)
{
    struct received r = genuine;
    r.signature = OTHER " v2,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= " SIGNATURE " " OTHER;
    CHECK_EQUAL(verify(r), 0);
    r.signature = "  " SIGNATURE "  " OTHER " ";
    CHECK_EQUAL(verify(r), 0);
    r.signature = OTHER " " OTHER;
    CHECK_EQUAL(verify(r), -EBADMSG);
}

TEST(one_key_of_several_is_enough)
{
    struct weft_webhook_keys keys = keys_of(LONG_SECRET), none = {.count = 0};
    CHECK_EQUAL(
        weft_webhook_verify(&keys, ID, SENT, SIGNATURE, PAYLOAD, sizeof PAYLOAD - 1, SENT_S, 0),
        -EBADMSG);
    CHECK_EQUAL(weft_webhook_keys_add(&keys, SECRET), 0);
    CHECK_EQUAL(
        weft_webhook_verify(&keys, ID, SENT, SIGNATURE, PAYLOAD, sizeof PAYLOAD - 1, SENT_S, 0), 0);
    CHECK_EQUAL(
        weft_webhook_verify(&none, ID, SENT, SIGNATURE, PAYLOAD, sizeof PAYLOAD - 1, SENT_S, 0),
        -EBADMSG);
}

TEST(a_forged_request_is_refused)
{
    static const char *const bad[] = {
        OTHER,
        "",
        "v1,",
        "v1,g0hM9",
        "v1,dawfeoifkpqwoekfpqoekf",
        "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE",
        SIGNATURE "=",
        SIGNATURE "," SIGNATURE,
    };
    struct received r = genuine;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        r.signature = bad[i];
        CHECK_EQUAL(verify(r), -EBADMSG);
    }
    r = genuine;
    r.body = "{\"test\": 2432232315}";
    CHECK_EQUAL(verify(r), -EBADMSG);
    r.body = "";
    CHECK_EQUAL(verify(r), -EBADMSG);
    r = genuine;
    r.id = "msg_p5jXN8AQM9LWM0D4loKWxJeK";
    CHECK_EQUAL(verify(r), -EBADMSG);
    r = genuine;
    r.timestamp = "1614265331";
    CHECK_EQUAL(verify(r), -EBADMSG);
}

TEST(a_request_without_one_of_its_headers_is_refused)
{
    static const char *const no_times[] = {"",
                                           "hello",
                                           "-1614265330",
                                           "+1614265330",
                                           " 1614265330",
                                           "1614265330 ",
                                           "01614265330",
                                           "1614265330.5",
                                           "9999999999999999999999"};
    struct received r = genuine;
    r.id = NULL;
    CHECK_EQUAL(verify(r), -EINVAL);
    r.id = "no.id";
    CHECK_EQUAL(verify(r), -EINVAL);
    r = genuine;
    r.signature = NULL;
    CHECK_EQUAL(verify(r), -EINVAL);
    r = genuine;
    r.timestamp = NULL;
    CHECK_EQUAL(verify(r), -EINVAL);
    for (size_t i = 0; i < sizeof no_times / sizeof no_times[0]; i++) {
        r.timestamp = no_times[i];
        CHECK_EQUAL(verify(r), -EINVAL);
    }
}

TEST(a_request_is_good_for_five_minutes_on_either_side)
{
    struct weft_webhook_keys keys = keys_of(SECRET);
    struct received r = genuine;
    r.now_s = SENT_S + 300;
    CHECK_EQUAL(verify(r), 0);
    r.now_s = SENT_S + 301;
    CHECK_EQUAL(verify(r), -ESTALE);
    r.now_s = SENT_S - 300;
    CHECK_EQUAL(verify(r), 0);
    r.now_s = SENT_S - 301;
    CHECK_EQUAL(verify(r), -ESTALE);
    CHECK_EQUAL(weft_webhook_verify(&keys, ID, SENT, SIGNATURE, PAYLOAD, sizeof PAYLOAD - 1,
                                    SENT_S + 10, 9),
                -ESTALE);
    CHECK_EQUAL(weft_webhook_verify(&keys, ID, SENT, SIGNATURE, PAYLOAD, sizeof PAYLOAD - 1,
                                    SENT_S + 3600, 3600),
                0);
    r.timestamp = "0";
    CHECK_EQUAL(verify(r), -ESTALE);
}

/* ---- urls -------------------------------------------------------------------------------- */

static int check_url(const char *pattern, const char *url)
{
    const char *const allowed[] = {pattern, NULL};
    const char *reason = NULL;
    int err = weft_webhook_url_check(allowed, url, &reason);
    CHECK((err == 0) == !reason);
    return err;
}

struct url_case {
    const char *pattern, *url;
    int expected;
};

static void check_urls(const struct url_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int err = check_url(cases[i].pattern, cases[i].url);
        CHECK_EQUAL(err, cases[i].expected);
        if (err != cases[i].expected)
            test_note("%s for %s", cases[i].url, cases[i].pattern);
    }
}

#define CHECK_URLS(cases) check_urls(cases, sizeof(cases) / sizeof(cases)[0])

TEST(hosts_and_ports_on_the_list_may_be_asked)
{
    static const struct url_case cases[] = {
        {"https://a.example", "https://a.example", 0},
        {"https://a.example", "https://a.example/", 0},
        {"https://a.example", "https://a.example?x=1", 0},
        {"https://a.example", "https://a.example/p/q?x=1&y=/../@:", 0},
        {"https://a.example/", "https://a.example/p", 0},
        {"https://a.example", "https://A.Example:443/", 0},
        {"HTTPS://A.EXAMPLE:443", "https://a.example/", 0},
        {"https://a.example", "https://a.example:8443/", -EACCES},
        {"https://a.example:8443", "https://a.example:8443/", 0},
        {"https://a.example:8443", "https://a.example/", -EACCES},
        {"https://a.example", "http://a.example/", -EACCES},
        {"https://a.example", "http://a.example:443/", -EACCES},
        {"http://a.example", "http://a.example:80/", 0},
        {"http://a.example", "https://a.example/", -EACCES},
        {"https://a.example", "https://b.example/", -EACCES},
        {"https://a.example", "https://a.example.evil.test/", -EACCES},
        {"https://a.example", "https://xa.example/", -EACCES},
        {"https://a.example", "https://a.exampl/", -EACCES},
        {"https://a_b-c.example", "https://a_b-c.example/", 0},
    };
    const char *const several[] = {"https://a.example", "nonsense", "https://b.example", NULL};
    const char *const none[] = {NULL};
    const char *reason = NULL;
    CHECK_URLS(cases);
    CHECK_EQUAL(weft_webhook_url_check(several, "https://b.example/", &reason), 0);
    CHECK_EQUAL(weft_webhook_url_check(none, "https://b.example/", &reason), -EACCES);
}

TEST(a_star_stands_for_names_only)
{
    static const struct url_case cases[] = {
        {"https://*.example", "https://a.example/", 0},
        {"https://*.example", "https://b.A.EXAMPLE/", 0},
        {"https://*.example", "https://example/", -EACCES},
        {"https://*.example", "https://aexample/", -EACCES},
        {"https://*.example", "https://.example/", -EINVAL},
        {"https://*.example", "https://a.example.test/", -EACCES},
        {"https://*.b.example:99/in/", "https://a.b.example:99/in/x", 0},
        {"https://*", "https://anything.at.all/", 0},
        {"https://*", "http://anything.at.all/", -EACCES},
        {"https://*", "https://127.0.0.1/", -EACCES},
        {"https://*", "https://[::1]/", -EACCES},
        {"https://*", "https://*/", -EINVAL},
        {"https://*.example", "https://*.example/", -EINVAL},
    };
    CHECK_URLS(cases);
}

TEST(a_path_leads_to_itself_and_what_is_below)
{
    static const struct url_case cases[] = {
        {"https://h/in", "https://h/in", 0},
        {"https://h/in", "https://h/in?x", 0},
        {"https://h/in", "https://h/in/", 0},
        {"https://h/in", "https://h/in/x", 0},
        {"https://h/in", "https://h/inner", -EACCES},
        {"https://h/in", "https://h/IN", -EACCES},
        {"https://h/in", "https://h/", -EACCES},
        {"https://h/in", "https://h", -EACCES},
        {"https://h/in", "https://h?/in", -EACCES},
        {"https://h/in/", "https://h/in", -EACCES},
        {"https://h/in/", "https://h/in/", 0},
        {"https://h/in/", "https://h/in/x", 0},
        {"https://h/in", "https://h//in", -EACCES},
        {"https://h/in", "https://h/.well-known/in", -EACCES},
        {"https://h", "https://h/.well-known/a..b/c.", 0},
    };
    CHECK_URLS(cases);
}

TEST(addresses_have_to_be_written_out_in_their_usual_form)
{
    static const struct url_case cases[] = {
        {"http://127.0.0.1:8080", "http://127.0.0.1:8080/x", 0},
        {"http://127.0.0.1", "http://127.0.0.2/", -EACCES},
        {"http://127.0.0.1", "http://127.1/", -EINVAL},
        {"http://127.0.0.1", "http://2130706433/", -EINVAL},
        {"http://127.0.0.1", "http://0x7f000001/", -EINVAL},
        {"http://127.0.0.1", "http://0x7f.0.0.1/", -EINVAL},
        {"http://127.0.0.1", "http://127.0.0.0X1/", -EINVAL},
        {"http://127.0.0.1", "http://0177.0.0.1/", -EINVAL},
        {"http://127.0.0.1", "http://127.0.0.1./", -EINVAL},
        {"http://127.0.0.1", "http://127.0.0.256/", -EINVAL},
        {"http://127.0.0.1", "http://a.example.127/", -EINVAL},
        {"http://[::1]", "http://[::1]/", 0},
        {"http://[::1]", "http://[0:0:0:0:0:0:0:1]:80/", 0},
        {"http://[::1]", "http://[::2]/", -EACCES},
        {"http://[::1]", "http://[::ffff:127.0.0.1]/", -EACCES},
        {"http://127.0.0.1", "http://[::ffff:127.0.0.1]/", -EACCES},
        {"http://[::1]", "http://[::1/", -EINVAL},
        {"http://[::1]", "http://::1/", -EINVAL},
        {"http://[::1]", "http://[]/", -EINVAL},
        {"http://[::1]", "http://[::1]x/", -EINVAL},
        {"http://[::1]", "http://[::1]:/", -EINVAL},
        {"http://[::1]", "http://[::1%25eth0]/", -EINVAL},
        {"http://[::1]", "http://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]/", -EINVAL},
    };
    CHECK_URLS(cases);
}

/* What readers of urls are known to disagree on. */
TEST(urls_that_could_be_read_otherwise_are_refused)
{
    static const char *const bad[] = {
        "",
        "a.example",
        "//a.example/",
        "ftp://a.example/",
        "file:///etc/passwd",
        "https:/a.example/",
        "https:a.example",
        "https://",
        "https:///x",
        "https://?x",
        " https://a.example/",
        "https://a.example/ ",
        "https://a.example/\n",
        "https://a.example/\t",
        "https://a.example/x\r\nhost: b",
        "https://a.example/\x7f",
        "https://a.example/\xc3\xa4",
        "https://\xc3\xa4.example/",
        "https://user@a.example/",
        "https://user:word@a.example/",
        "https://@a.example/",
        "https://a.example@evil.test/",
        "https://a.example\\@evil.test/",
        "https://evil.test\\.a.example/",
        "https://a.example#@evil.test/",
        "https://a.example/#x",
        "https://a.example:/",
        "https://a.example:0/",
        "https://a.example:65536/",
        "https://a.example:443x/",
        "https://a.example:-1/",
        "https://a.example:+443/",
        "https://a.example:0443/",
        "https://a.example:443:443/",
        "https://a..example/",
        "https://.a.example/",
        "https://a.example./",
        "https://-a.example/",
        "https://a-.example/",
        "https://a.exa%6dple/",
        "https://a,b.example/",
        "https://a.example;/",
        "https://a.example/in/../x",
        "https://a.example/..",
        "https://a.example/.",
        "https://a.example/./x",
        "https://a.example/in/%2e%2e/x",
        "https://a.example/in/.%2E",
        "https://a.example/in/..;a/x",
        "https://a.example/in/..%2fx",
        "https://a.example/%5cx",
        "https://a.example/%",
        "https://a.example/%2",
        "https://a.example/%zz",
        "https://a.example/%00",
        "https://a.example/%0d%0a",
        "https://a.example/<x>",
        "https://a.example/{x}",
        "https://a.example/\"",
        "https://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example/",
    };
    const char *const allowed[] = {"https://*", "https://a.example", NULL};
    const char *reason = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int err = weft_webhook_url_check(allowed, bad[i], &reason);
        CHECK_EQUAL(err, -EINVAL);
        if (err != -EINVAL)
            test_note("%s", bad[i]);
    }
}

TEST(a_url_has_a_longest_length_and_so_has_a_name)
{
    char url[WEFT_WEBHOOK_URL_MAX + 2] = "https://h/";
    memset(url + 10, 'x', sizeof url - 11);
    url[sizeof url - 1] = '\0';
    CHECK_EQUAL(check_url("https://h", url), -EINVAL);
    url[sizeof url - 2] = '\0';
    CHECK_EQUAL(check_url("https://h", url), 0);
    char name[8 + 255] = "https://";
    for (size_t i = 8; i < sizeof name; i++)
        name[i] = i % 2 ? '.' : 'a';
    name[8 + 254] = '\0'; /* a label too many */
    name[8 + 253] = 'a';
    CHECK_EQUAL(check_url("https://*", name), -EINVAL);
    name[8 + 253] = '\0';
    CHECK_EQUAL(check_url("https://*", name), 0);
}

TEST(patterns_that_make_no_sense_are_refused)
{
    static const char *const bad[] = {"",
                                      "a.example",
                                      "https://",
                                      "https://*.",
                                      "https://*.*",
                                      "https://*a.example",
                                      "https://a.*.example",
                                      "https://*.1",
                                      "https://*.127.0.0.1",
                                      "https://a.example/?x",
                                      "https://a.example/../x",
                                      "https://a.example:0",
                                      "https://u@a.example"};
    static const char *const good[] = {"https://*", "http://*.a.example:80/x/", "https://[::1]",
                                       "https://10.0.0.1/x"};
    const char *reason = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        reason = NULL;
        CHECK_EQUAL(weft_webhook_pattern_check(bad[i], &reason), -EINVAL);
        CHECK(reason);
    }
    reason = NULL;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CHECK_EQUAL(weft_webhook_pattern_check(good[i], &reason), 0);
    CHECK(!reason);
}

/* ---- requests ---------------------------------------------------------------------------- */

static const char *header(const struct weft_webhook_request *request, const char *name)
{
    for (size_t i = 0; i < request->headers_count; i++) {
        if (strcmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    }
    return "(none)";
}

static const struct weft_execution execution = {
    .id = ID,
    .task = "mail.send now",
    .attempt = 3,
    .input = {.data = PAYLOAD, .len = sizeof PAYLOAD - 1, .json = true}};

TEST(a_request_carries_what_its_receiver_needs_to_check_it)
{
    struct weft_webhook_keys keys = keys_of(SECRET);
    struct weft_webhook_request request;
    CHECK_EQUAL(weft_webhook_request_init(&request, &keys, &execution, SENT_S), 0);
    CHECK_EQUAL(request.headers_count, 7);
    CHECK(strcmp(header(&request, "content-type"), "application/json") == 0);
    CHECK(strcmp(header(&request, "webhook-id"), ID) == 0);
    CHECK(strcmp(header(&request, "webhook-timestamp"), SENT) == 0);
    CHECK(strcmp(header(&request, "webhook-signature"), SIGNATURE) == 0);
    CHECK(strcmp(header(&request, "weft-task"), "mail.send now") == 0);
    CHECK(strcmp(header(&request, "weft-attempt"), "3") == 0);
    CHECK(begins_with(header(&request, "user-agent"), "weft/"));
    CHECK_EQUAL(weft_webhook_verify(&keys, header(&request, "webhook-id"),
                                    header(&request, "webhook-timestamp"),
                                    header(&request, "webhook-signature"), execution.input.data,
                                    execution.input.len, SENT_S + 60, 0),
                0);
}

TEST(without_a_key_a_request_is_not_signed)
{
    struct weft_webhook_keys none = {.count = 0};
    struct weft_webhook_request request;
    struct weft_execution bytes = execution;
    bytes.input.json = false;
    CHECK_EQUAL(weft_webhook_request_init(&request, &none, &bytes, SENT_S), 0);
    CHECK_EQUAL(request.headers_count, 6);
    CHECK(strcmp(header(&request, "content-type"), "application/octet-stream") == 0);
    CHECK(strcmp(header(&request, "webhook-signature"), "(none)") == 0);
}

TEST(what_no_header_can_carry_is_refused)
{
    static const char *const bad[] = {"", " a", "a ", "a\r\nb: c", "\x01", "\x7f", "\xc3\xa4"};
    struct weft_webhook_keys none = {.count = 0}, keys = keys_of(SECRET);
    struct weft_webhook_request request;
    struct weft_execution other;
    char name[WEFT_JOB_NAME_MAX + 2];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        other = execution;
        other.task = bad[i];
        CHECK_EQUAL(weft_webhook_request_init(&request, &keys, &other, SENT_S), -EINVAL);
        other = execution;
        other.id = bad[i];
        CHECK_EQUAL(weft_webhook_request_init(&request, &none, &other, SENT_S), -EINVAL);
    }
    other = execution;
    other.id = "no.id";
    CHECK_EQUAL(weft_webhook_request_init(&request, &keys, &other, SENT_S), -EINVAL);
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    other = execution;
    other.task = name;
    CHECK_EQUAL(weft_webhook_request_init(&request, &keys, &other, SENT_S), -EINVAL);
}

/* ---- answers ----------------------------------------------------------------------------- */

static struct weft_outcome judge(const struct weft_webhook_rules *rules, int status)
{
    struct weft_outcome outcome = {.kind = WEFT_OUTCOME_DONE};
    struct weft_webhook_answer answer = {.status = status};
    weft_webhook_judge(rules, &answer, SENT_S, &outcome);
    return outcome;
}

TEST(a_status_says_whether_another_attempt_makes_sense)
{
    static const struct weft_webhook_rules usual, strict = {.client_errors_final = true};
    for (int status = -1; status < 1000; status++) {
        enum weft_outcome_kind kind = WEFT_OUTCOME_FAILED;
        bool temporary = status == 408 || status == 425 || status == 429;
        if (status >= 200 && status < 300)
            kind = WEFT_OUTCOME_DONE;
        if (status == 410)
            kind = WEFT_OUTCOME_DISCARD;
        struct weft_outcome outcome = judge(&usual, status);
        CHECK_EQUAL(outcome.kind, kind);
        CHECK((outcome.reason == NULL) == (kind == WEFT_OUTCOME_DONE));
        weft_outcome_release(&outcome);
        if (status >= 400 && status < 500 && !temporary)
            kind = WEFT_OUTCOME_DISCARD;
        outcome = judge(&strict, status);
        CHECK_EQUAL(outcome.kind, kind);
        weft_outcome_release(&outcome);
    }
}

TEST(the_body_of_a_success_is_the_result)
{
    static const struct weft_webhook_rules usual;
    struct weft_outcome outcome;
    char *body = malloc(3);
    REQUIRE(body);
    memcpy(body, "a\0b", 3);
    struct weft_webhook_answer answer = {.status = 201, .body = body, .body_len = 3};
    weft_webhook_judge(&usual, &answer, SENT_S, &outcome);
    check_result(&outcome, "a\0b", 3);
    CHECK(outcome.result == body);
    CHECK(!answer.body);
    weft_outcome_release(&outcome);
}

static bool is_taken_for_json(const char *content_type)
{
    static const struct weft_webhook_rules usual;
    struct weft_outcome outcome;
    struct weft_webhook_answer answer = {
        .status = 200, .body = strdup("{}"), .body_len = 2, .content_type = content_type};
    weft_webhook_judge(&usual, &answer, SENT_S, &outcome);
    bool json = outcome.result_json;
    weft_outcome_release(&outcome);
    return json;
}

TEST(a_result_is_json_when_its_type_says_so)
{
    CHECK(is_taken_for_json("application/json"));
    CHECK(is_taken_for_json("Application/JSON; charset=utf-8"));
    CHECK(is_taken_for_json("application/problem+json"));
    CHECK(!is_taken_for_json(NULL));
    CHECK(!is_taken_for_json(""));
    CHECK(!is_taken_for_json("+json"));
    CHECK(!is_taken_for_json("application/json5"));
    CHECK(!is_taken_for_json("text/plain; application/json"));
}

TEST(a_success_whose_body_is_too_long_is_one_without_a_result)
{
    static const struct weft_webhook_rules usual;
    struct weft_outcome outcome;
    struct weft_webhook_answer answer = {
        .status = 200, .body = strdup("begin"), .body_len = 5, .body_cut = true};
    weft_webhook_judge(&usual, &answer, SENT_S, &outcome);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_DONE);
    CHECK(!outcome.result);
    CHECK_REASON(&outcome, "the answer was too long to be kept");
    weft_outcome_release(&outcome);
    CHECK(answer.body);
    free(answer.body);
}

static void check_answer(int status, const char *body, size_t len, const char *location,
                         const char *expected)
{
    static const struct weft_webhook_rules usual;
    struct weft_outcome outcome;
    char *copy = malloc(len + 1); /* exactly as long as it is said to be, for the sanitizers */
    REQUIRE(copy);
    if (len > 0)
        memcpy(copy, body, len);
    char *exact = realloc(copy, len > 0 ? len : 1);
    REQUIRE(exact);
    struct weft_webhook_answer answer = {
        .status = status, .body = exact, .body_len = len, .location = location};
    weft_webhook_judge(&usual, &answer, SENT_S, &outcome);
    CHECK_REASON(&outcome, expected);
    weft_outcome_release(&outcome);
    free(answer.body);
}

TEST(what_the_receiver_says_is_in_the_reason)
{
    check_answer(500, NULL, 0, NULL, "answered 500");
    check_answer(422, "no such\r\ncustomer \xff\x1b", 21, NULL,
                 "answered 422: no such  customer ? ");
    check_answer(503, "busy", 4, "https://elsewhere.test", "answered 503: busy");
    check_answer(301, "moved", 5, "https://elsewhere.test/",
                 "answered 301: it has moved to "
                 "https://elsewhere.test/");
    check_answer(304, NULL, 0, NULL, "answered 304");
    static char much[5000];
    memset(much, 'm', sizeof much);
    struct weft_outcome outcome;
    struct weft_webhook_answer answer = {.status = 400, .body = much, .body_len = sizeof much};
    weft_webhook_judge(&(struct weft_webhook_rules){.retry_after_max_ns = 0}, &answer, SENT_S,
                       &outcome);
    CHECK(outcome.reason && strlen(outcome.reason) < WEFT_JOB_ERROR_MAX + 1);
    CHECK(outcome.reason && strlen(outcome.reason) > WEFT_JOB_ERROR_MAX - 5);
    weft_outcome_release(&outcome);
}

static int64_t delay_of(int status, const char *retry_after, const char *date, int64_t max_ns)
{
    const struct weft_webhook_rules rules = {.retry_after_max_ns = max_ns};
    struct weft_webhook_answer answer = {
        .status = status, .retry_after = retry_after, .date = date};
    struct weft_outcome outcome;
    weft_webhook_judge(&rules, &answer, SENT_S, &outcome); /* Thu, 25 Feb 2021 15:02:10 GMT */
    int64_t delay_ns = outcome.delay_ns;
    weft_outcome_release(&outcome);
    return delay_ns;
}

TEST(retry_after_is_heard_and_bounded)
{
    const int64_t day_ns = 86400 * WEFT_SEC;
    CHECK_EQUAL(delay_of(503, NULL, NULL, 0), 0);
    CHECK_EQUAL(delay_of(503, "120", NULL, 0), 120 * WEFT_SEC);
    CHECK_EQUAL(delay_of(429, "7", NULL, 0), 7 * WEFT_SEC);
    CHECK_EQUAL(delay_of(404, "7", NULL, 0), 7 * WEFT_SEC);
    CHECK_EQUAL(delay_of(503, "soon", NULL, 0), 0);
    CHECK_EQUAL(delay_of(503, "99999999999999999999", NULL, 0), day_ns);
    CHECK_EQUAL(delay_of(503, "120", NULL, WEFT_SEC), WEFT_SEC);
    CHECK_EQUAL(delay_of(503, "Thu, 25 Feb 2021 15:02:40 GMT", NULL, 0), 30 * WEFT_SEC);
    /* By the receiver's own clock, which is an hour behind. */
    CHECK_EQUAL(delay_of(503, "Thu, 25 Feb 2021 14:02:40 GMT", "Thu, 25 Feb 2021 14:02:20 GMT", 0),
                20 * WEFT_SEC);
    CHECK_EQUAL(delay_of(503, "Thu, 25 Feb 2021 15:02:40 GMT", "yesterday", 0), 30 * WEFT_SEC);
    CHECK_EQUAL(delay_of(200, "120", NULL, 0), 0);
    CHECK_EQUAL(delay_of(410, "120", NULL, 0), 0);
}
