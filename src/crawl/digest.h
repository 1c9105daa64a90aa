/* SPDX-License-Identifier: MIT
 * digest.h - SHA-256: what URLs are known by in the frontier, and contents in the results. */
#ifndef WEFT_CRAWL_DIGEST_H
#define WEFT_CRAWL_DIGEST_H

#include <stddef.h>

#define WEFT_DIGEST_BYTES 32

/* Half of a digest: two URLs do not come upon the same, not even on purpose. */
#define WEFT_URL_FINGERPRINT_BYTES 16

/* Returns 0, -ENOMEM. For threads: it may take more stack than a fiber has. */
int weft_content_digest(unsigned char ret_digest[WEFT_DIGEST_BYTES], const void *data, size_t len);
int weft_url_fingerprint(unsigned char ret_fingerprint[WEFT_URL_FINGERPRINT_BYTES],
                         const void *data, size_t len);

#endif
