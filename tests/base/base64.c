/* SPDX-License-Identifier: MIT
 * base64.c - bytes from text, and nothing that only looks like it. */
#include "test.h"

#include <base/base64.h>
#include <base/buffer.h>

#include <errno.h>
#include <string.h>

TEST(base64_is_read)
{
    /* The vectors of RFC 4648 section 10, and all 64 characters. */
    static const struct {
        const char *text, *bytes;
    } right[] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Zm9vYmE=", "fooba"},
        {"Zm9vYmFy", "foobar"},
        {"+/+/", "\xfb\xff\xbf"},
    };
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        char bytes[16];
        size_t len = 99, text_len = strlen(right[i].text);
        CHECK_EQUAL(weft_base64_decode(bytes, &len, right[i].text, text_len), 0);
        CHECK_EQUAL(len, strlen(right[i].bytes));
        CHECK(len <= weft_base64_bytes_max(text_len));
        CHECK(memcmp(bytes, right[i].bytes, strlen(right[i].bytes)) == 0);
    }
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char bytes[48];
    size_t len;
    CHECK_EQUAL(weft_base64_decode(bytes, &len, all, 64), 0);
    CHECK_EQUAL(len, 48);
    for (unsigned i = 0; i < 64; i++) { /* six bits each, counting up */
        unsigned at = i * 6, byte = at / 8, pair = (unsigned)bytes[byte] << 8;
        pair |= byte + 1 < 48 ? bytes[byte + 1] : 0;
        CHECK_EQUAL(pair >> (10 - at % 8) & 63, i);
    }
}

TEST(what_is_not_quite_base64_is_refused)
{
    static const char *const wrong[] = {
        "Z",
        "Zg",
        "Zg=",
        "Zm9",
        "====",
        "=Zg=",
        "Zg=v",
        "Zm9v=",
        "Zm9vYg",
        "Zm9v Yg==",
        "Zm9v\n",
        "Zh==",
        "Zm9=",
        "Zm8=Zm8=",
        "Zm-_",
        "Z===",
        "\xc3\xa4\xc3\xa4",
    };
    char bytes[32];
    size_t len = 99;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_EQUAL(weft_base64_decode(bytes, &len, wrong[i], strlen(wrong[i])), -EINVAL);
    CHECK_EQUAL(weft_base64_decode(bytes, &len, "Zm\0v", 4), -EINVAL);
    CHECK_EQUAL(len, 99);
}

TEST(what_is_written_is_read_back)
{
    static const struct {
        const char *bytes, *text;
    } vectors[] = {{"", ""},
                   {"f", "Zg=="},
                   {"fo", "Zm8="},
                   {"foo", "Zm9v"},
                   {"foob", "Zm9vYg=="},
                   {"fooba", "Zm9vYmE="},
                   {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct weft_buffer buffer;
        weft_buffer_init(&buffer, 100);
        weft_base64_append(&buffer, vectors[i].bytes, strlen(vectors[i].bytes));
        CHECK_EQUAL(buffer.len, strlen(vectors[i].text));
        CHECK(buffer.len == 0 || memcmp(buffer.data, vectors[i].text, buffer.len) == 0);
        weft_buffer_deinit(&buffer);
    }
}

TEST(a_buffer_that_is_full_takes_no_base64)
{
    struct weft_buffer buffer;
    weft_buffer_init(&buffer, 7);
    weft_base64_append(&buffer, "foob", 4);
    CHECK(buffer.err != 0);
    CHECK_EQUAL(buffer.len, 0);
    weft_buffer_deinit(&buffer);
}
