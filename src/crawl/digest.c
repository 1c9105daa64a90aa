/* SPDX-License-Identifier: MIT
 * digest.c - see digest.h. */
#include <crawl/digest.h>

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

int weft_content_digest(unsigned char ret_digest[WEFT_DIGEST_BYTES], const void *data, size_t len)
{
    return EVP_Digest(data, len, ret_digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
}

int weft_url_fingerprint(unsigned char ret_fingerprint[WEFT_URL_FINGERPRINT_BYTES],
                         const void *data, size_t len)
{
    unsigned char digest[WEFT_DIGEST_BYTES];
    int err = weft_content_digest(digest, data, len);
    if (err == 0)
        memcpy(ret_fingerprint, digest, WEFT_URL_FINGERPRINT_BYTES);
    return err;
}
