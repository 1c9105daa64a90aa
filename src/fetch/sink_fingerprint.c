/* SPDX-License-Identifier: MIT
 * sink_fingerprint.c - what tells one request from another. Part of the format of databases: it
 * must never change.
 *
 * The first half of SHA-256 over the parts, each with its length before it, so that no two lists of
 * parts give the same bytes. An absent tag is another than an empty one, and a body without bytes
 * is no body. */
#include <weft/sink.h>

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

struct part {
    const void *data;
    size_t len;
    unsigned char is_there;
};

static int add(EVP_MD_CTX *context, const struct part *part)
{
    unsigned char head[9] = {part->is_there};
    for (unsigned i = 0; i < 8; i++)
        head[1 + i] = (unsigned char)((uint64_t)part->len >> (8 * i));
    return EVP_DigestUpdate(context, head, sizeof head) &&
           (part->len == 0 || EVP_DigestUpdate(context, part->data, part->len));
}

int weft_fingerprint(struct weft_fingerprint *ret_fingerprint, const char *method, const char *url,
                     const void *body, size_t body_len, const char *tag)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (!method)
        method = "GET";
    const struct part parts[] = {
        {method, strlen(method), 1},
        {url, strlen(url), 1},
        {body, body ? body_len : 0, body && body_len > 0},
        {tag, tag ? strlen(tag) : 0, tag != NULL},
    };
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int ok = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    for (size_t i = 0; i < sizeof parts / sizeof *parts && ok; i++)
        ok = add(context, &parts[i]);
    ok = ok && EVP_DigestFinal_ex(context, digest, NULL);
    EVP_MD_CTX_free(context);
    if (!ok)
        return -ENOMEM;
    memcpy(ret_fingerprint->bytes, digest, sizeof ret_fingerprint->bytes);
    return 0;
}
