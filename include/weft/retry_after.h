/* SPDX-License-Identifier: MIT
 * retry_after.h - when a server that is busy wants to be asked again.
 *
 *     // retry.h's delay_ns for an HTTP client; the response is in the request
 *     static int64_t when(void *arg, unsigned attempt, int result, int64_t planned_ns)
 *     {
 *         struct request *request = arg;
 *         int64_t date_s = time(NULL), wait_ns = 0;
 *         weft_http_date_parse(request->date, strlen(request->date), date_s, &date_s);
 *         weft_retry_after_parse(request->retry_after, strlen(request->retry_after), date_s,
 *                                &wait_ns);   // no such header, or garbage: 0, as planned
 *         return weft_retry_after_delay(wait_ns, planned_ns, 300 * WEFT_SEC);
 *     }
 *
 * Nothing here suspends or keeps anything; every thread may call it. */
#ifndef WEFT_RETRY_AFTER_H
#define WEFT_RETRY_AFTER_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* How long a Retry-After header asks to wait: seconds, or a date.
 *
 * value         need not end with a zero byte; blanks around it do not matter
 * date_s        what a date is measured against, in seconds since 1970: the response's own Date,
 *               because the server's clock may be wrong; without one, the time of day
 * ret_delay_ns  0 for a date that is over; WEFT_FOREVER for what a number cannot hold
 * Returns       0; -EINVAL (neither): ignore it. *ret_delay_ns is as it was then
 * Source        RFC 9110, 10.2.3 */
WEFT_API int weft_retry_after_parse(const char *value, size_t len, int64_t date_s,
                                    int64_t *ret_delay_ns);

/* A date as HTTP writes it, in any of its three forms:
 *
 *     Fri, 31 Dec 1999 23:59:59 GMT    Friday, 31-Dec-99 23:59:59 GMT    Fri Dec 31 23:59:59 1999
 *
 * now_s       for the second form: its year is at most 50 after this one, and the last such
 * ret_date_s  seconds since 1970
 * Returns     0; -EINVAL: *ret_date_s is as it was
 * Source      RFC 9110, 5.6.7. The day of the week must be one, but need not be the right one */
WEFT_API int weft_http_date_parse(const char *value, size_t len, int64_t now_s,
                                  int64_t *ret_date_s);

/* The delay that respects both the server and the plan: the longer of them. Where that is the
 * server's, an eighth of the plan comes on top, so that those it sent away together do not come
 * back together.
 *
 * Returns  the delay; -1, which gives up, when the server asks for more than cap_ns */
WEFT_API int64_t weft_retry_after_delay(int64_t retry_after_ns, int64_t planned_ns, int64_t cap_ns);

WEFT_END_DECLS

#endif
