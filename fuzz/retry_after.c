/* SPDX-License-Identifier: MIT
 * retry_after.c - Retry-After and HTTP dates from arbitrary bytes: no crash, no negative delay, the
 * same with blanks around it, and an error leaves the output alone.
 *
 * The first eight bytes of the input are the time it is measured against. */
#include <weft/retry_after.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNTOUCHED (-7)

static void check(int holds)
{
    if (!holds)
        abort();
}

/* In memory of exactly its size. */
static char *copy(const uint8_t *data, size_t len, size_t blanks)
{
    char *text = malloc(len + 2 * blanks + 1);
    check(text != NULL);
    memset(text, ' ', len + 2 * blanks);
    if (len > 0)
        memcpy(text + blanks, data, len);
    char *exact = realloc(text, len + 2 * blanks > 0 ? len + 2 * blanks : 1);
    check(exact != NULL);
    return exact;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t date_s, delay_ns = UNTOUCHED, again_ns = UNTOUCHED, parsed_s = UNTOUCHED;
    if (size < sizeof date_s)
        return 0;
    memcpy(&date_s, data, sizeof date_s);
    size_t len = size - sizeof date_s;
    char *text = copy(data + sizeof date_s, len, 0);
    char *padded = copy(data + sizeof date_s, len, 3);

    int err = weft_retry_after_parse(text, len, date_s, &delay_ns);
    check(err == 0 || err == -EINVAL);
    check(err == 0 ? delay_ns >= 0 : delay_ns == UNTOUCHED);
    check(weft_retry_after_parse(padded, len + 6, date_s, &again_ns) == err);
    check(delay_ns == again_ns);

    int date_err = weft_http_date_parse(text, len, date_s, &parsed_s);
    check(date_err == 0 || (date_err == -EINVAL && parsed_s == UNTOUCHED));
    check(date_err != 0 || err == 0); /* every date will do for a Retry-After */
    check(date_err != 0 || parsed_s > date_s || delay_ns == 0);
    if (err == 0)
        check(weft_retry_after_delay(delay_ns, 1000, WEFT_FOREVER) >= delay_ns);
    free(text);
    free(padded);
    return 0;
}
