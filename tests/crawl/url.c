/* SPDX-License-Identifier: MIT
 * url.c - URLs have one spelling. */
#include "test.h"

#include <crawl/url.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct weft_url_rules plain;

static void resolves(const char *base, const char *text, const char *expected,
                     const struct weft_url_rules *rules)
{
    struct weft_buffer url;
    weft_buffer_init(&url, WEFT_URL_MAX * 4);
    int err = weft_url_resolve(&url, base, text, strlen(text), rules);
    bool same = err == 0 && strcmp(url.data, expected) == 0;
    CHECK(same);
    if (!same)
        test_note("'%s' on '%s': got %d '%s', expected '%s'", text, base ? base : "", err,
                  err ? "" : url.data, expected);
    weft_buffer_deinit(&url);
}

static void is(const char *text, const char *expected)
{
    resolves(NULL, text, expected, &plain);
    resolves(NULL, expected, expected, &plain);
}

static int refused(const char *base, const char *text)
{
    struct weft_buffer url;
    weft_buffer_init(&url, WEFT_URL_MAX * 4);
    int err = weft_url_resolve(&url, base, text, strlen(text), &plain);
    weft_buffer_deinit(&url);
    return err;
}

TEST(spellings_of_one_url_are_one)
{
    is("http://example.org", "http://example.org/");
    is("HTTP://EXAMPLE.Org:80/", "http://example.org/");
    is("https://example.org:443/a", "https://example.org/a");
    is("https://example.org:80/a", "https://example.org:80/a");
    is("http://example.org:/", "http://example.org/");
    is("http://example.org:00080/", "http://example.org/");
    is("http://example.org./a", "http://example.org/a");
    is("http://example.org/#top", "http://example.org/");
    is("http://example.org/%7efoo/%7Ebar", "http://example.org/~foo/~bar");
    is("http://example.org/a%2fb%3f", "http://example.org/a%2Fb%3F");
    is("http://example.org/a/./b/../c", "http://example.org/a/c");
    is("http://example.org/a/%2e%2E/b", "http://example.org/b");
    is("http://example.org/../../a", "http://example.org/a");
    is("http://example.org/a/..", "http://example.org/");
    is("http://example.org/a/b/..", "http://example.org/a/");
    is("http://example.org/a//b", "http://example.org/a//b");
    is("http://example.org/a b\"<>", "http://example.org/a%20b%22%3C%3E");
    is("http://example.org/100%", "http://example.org/100%25");
    is("http://example.org/%zz%4", "http://example.org/%25zz%254");
    is("http://example.org/%%41", "http://example.org/%25A");
    is("http://example.org?", "http://example.org/?");
    is("http://example.org?q", "http://example.org/?q");
    is("http://example.org/?a[]=1&b=%c3%a9", "http://example.org/?a%5B%5D=1&b=%C3%A9");
    is("http://example.org/?a=/b?c", "http://example.org/?a=/b?c");
    is("  http://example.org/a\n/b\t ", "http://example.org/a/b");
    is("http:\\\\example.org\\a\\b?c\\d", "http://example.org/a/b?c%5Cd");
    is("http://example.org/stra\xc3\x9f"
       "e",
       "http://example.org/stra%C3%9Fe");
    is("http://example.org/\xff", "http://example.org/%FF");
}

TEST(hosts_are_names_by_idna_and_addresses)
{
    is("http://b\xc3\xbc"
       "cher.example/",
       "http://xn--bcher-kva.example/");
    is("http://B%C3%9CCHER.example/", "http://xn--bcher-kva.example/");
    is("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/");
    is("http://fa\xc3\x9f.example/", "http://xn--fa-hia.example/");
    is("http://\xe4\xbe\x8b\xe3\x81\x88\xe3\x80\x82\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88/",
       "http://xn--r8jz45g.xn--zckzah/");
    is("http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/", "http://127.0.0.1/");
    is("http://[2001:DB8:0:0::1]/", "http://[2001:db8::1]/");
    is("http://[::1]:8080/a", "http://[::1]:8080/a");
    is("http://a_b.example/", "http://a_b.example/");
    is("http://127.0.0.1:8001/", "http://127.0.0.1:8001/");
    is("http://1.2.3.4.example/", "http://1.2.3.4.example/");
}

TEST(what_readers_disagree_on_is_refused)
{
    CHECK_EQUAL(refused(NULL, "http://user@example.org/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://user:pass@example.org/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://example.org@127.0.0.1/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://127.1/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://2130706433/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://0x7f.0.0.1/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://0x7f000001/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://0177.0.0.1/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://127.0.0.256/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://1.2.3.4.5/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http:example.org"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http:/example.org"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http:///example.org"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "//example.org"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "example.org"), -EINVAL);
    CHECK_EQUAL(refused(NULL, ""), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://exa mple.org/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://a..b/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://[::1/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://[::g]/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://[fe80::1%25eth0]/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://example.org:0/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://example.org:65536/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://example.org:8a/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://example.org%00/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://example.org%2f/"), -EINVAL);
    CHECK_EQUAL(refused(NULL, "http://\xff\xfe/"), -EINVAL);
    const char *base = "http://example.org/";
    CHECK_EQUAL(refused(base, "mailto:a@example.org"), -EPROTONOSUPPORT);
    CHECK_EQUAL(refused(base, "javascript:void(0)"), -EPROTONOSUPPORT);
    CHECK_EQUAL(refused(base, "java\nscript:void(0)"), -EPROTONOSUPPORT);
    CHECK_EQUAL(refused(base, "ftp://example.org/"), -EPROTONOSUPPORT);
    CHECK_EQUAL(refused(base, "file:///etc/passwd"), -EPROTONOSUPPORT);
    CHECK_EQUAL(refused(base, "data:text/html,x"), -EPROTONOSUPPORT);
}

/* RFC 3986, 5.4, but for those that are not http, with the fragments gone. */
TEST(references_are_resolved_as_the_rfc_says)
{
    static const char base[] = "http://a/b/c/d;p?q";
    static const char *const vectors[][2] = {
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g/"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q"},
        {"g#s", "http://a/b/c/g"},
        {"g?y#s", "http://a/b/c/g?y"},
        {";x", "http://a/b/c/;x"},
        {"g;x", "http://a/b/c/g;x"},
        {"g;x?y#s", "http://a/b/c/g;x?y"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"g#s/../x", "http://a/b/c/g"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        resolves(base, vectors[i][0], vectors[i][1], &plain);
    resolves("https://a/", "//b", "https://b/", &plain);
    resolves("http://a/?q", "x", "http://a/x", &plain);
}

TEST(parameters_are_dropped_and_sorted_when_that_is_wanted)
{
    static const char *const drops[] = {"PHPSESSID", "jsessionid", "utm_*"};
    const struct weft_url_rules drop = {.drops = drops, .drops_count = 3};
    const struct weft_url_rules sort = {.sorts_query = true};
    resolves(NULL, "http://a/?phpsessid=1&b=2", "http://a/?b=2", &drop);
    resolves(NULL, "http://a/?b=2&utm_source=x&utm_medium=y&c", "http://a/?b=2&c", &drop);
    resolves(NULL, "http://a/?PHPSESSID=1", "http://a/", &drop);
    resolves(NULL, "http://a/?b=PHPSESSID", "http://a/?b=PHPSESSID", &drop);
    resolves(NULL, "http://a/x;jsessionid=5?q", "http://a/x?q", &drop);
    resolves(NULL, "http://a/x;jsessionid=5/y;v=1", "http://a/x/y;v=1", &drop);
    resolves(NULL, "http://a/.;jsessionid=5/y", "http://a/y", &drop);
    resolves(NULL, "http://a/?b=2&a=1&a=0&", "http://a/?&a=0&a=1&b=2", &sort);
    resolves(NULL, "http://a/?b&a", "http://a/?b&a", &plain);
}

TEST(what_is_too_long_is_refused)
{
    char text[9000] = "http://a/";
    memset(text + 9, 'x', 8900);
    CHECK_EQUAL(refused(NULL, text), -EMSGSIZE);
    text[2048] = '\0';
    CHECK_EQUAL(refused(NULL, text), 0);
    text[2048] = 'x';
    text[2049] = '\0';
    CHECK_EQUAL(refused(NULL, text), -EMSGSIZE);
    memset(text + 9, '/', 70);
    text[79] = '\0';
    CHECK_EQUAL(refused(NULL, text), -EMSGSIZE); /* segments */
    text[60] = '\0';
    CHECK_EQUAL(refused(NULL, text), 0);
    struct weft_buffer url;
    weft_buffer_init(&url, 10);
    CHECK_EQUAL(weft_url_resolve(&url, NULL, "http://example.org/", 19, &plain), -EMSGSIZE);
    weft_buffer_deinit(&url);
}

TEST(a_url_has_its_parts)
{
    struct weft_url url;
    weft_url_read(&url, "https://[::1]:8443/a/b?c=/d");
    CHECK(url.https);
    CHECK_EQUAL(url.port, 8443);
    CHECK_EQUAL(url.origin_len, strlen("https://[::1]:8443"));
    CHECK(url.host_len == 5 && memcmp(url.host, "[::1]", 5) == 0);
    CHECK(strcmp(url.path, "/a/b?c=/d") == 0);
    CHECK_EQUAL(url.path_len, 4);
    weft_url_read(&url, "http://example.org/");
    CHECK(!url.https);
    CHECK_EQUAL(url.port, 80);
    CHECK(url.host_len == 11 && memcmp(url.host, "example.org", 11) == 0);
}
