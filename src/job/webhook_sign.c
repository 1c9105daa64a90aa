/* SPDX-License-Identifier: MIT
 * webhook_sign.c - signatures, see webhook.h. */
#include <job/webhook.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#define PREFIX          "whsec_"
#define SCHEME          "v1,"
#define DIGEST_BYTES    32
#define SIGNATURE_CHARS 44 /* base64 of a digest */
#define SECRET_CHARS    88 /* base64 of the longest key */
#define TIMESTAMP_CHARS 15 /* more seconds than anybody needs, and far from an overflow */

/* ---- keys -------------------------------------------------------------------------------- */

/* Returns the number of bytes, 0 when it is not the base64 of any, as base64 is meant to be. */
static size_t decode(const char *text, unsigned char *ret_bytes)
{
    unsigned char bytes[SECRET_CHARS / 4 * 3 + 1], again[SECRET_CHARS + 1];
    size_t chars = strlen(text);
    if (chars == 0 || chars > SECRET_CHARS || chars % 4 != 0)
        return 0;
    int count = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)chars);
    if (count < 0)
        return 0;
    /* Padding counts as bytes there, and much is let through. */
    size_t len = (size_t)count - (text[chars - 1] == '=') - (text[chars - 2] == '=');
    bool same = EVP_EncodeBlock(again, bytes, (int)len) == (int)chars &&
                CRYPTO_memcmp(again, text, chars) == 0;
    if (same && len <= WEFT_WEBHOOK_KEY_MAX)
        memcpy(ret_bytes, bytes, len);
    OPENSSL_cleanse(bytes, sizeof bytes);
    OPENSSL_cleanse(again, sizeof again);
    return same ? len : 0;
}

int weft_webhook_keys_add(struct weft_webhook_keys *keys, const char *secret)
{
    unsigned char bytes[WEFT_WEBHOOK_KEY_MAX];
    if (strncmp(secret, PREFIX, strlen(PREFIX)) == 0)
        secret += strlen(PREFIX);
    size_t len = decode(secret, bytes);
    if (len < WEFT_WEBHOOK_KEY_MIN || len > WEFT_WEBHOOK_KEY_MAX)
        return -EINVAL;
    if (keys->count == WEFT_WEBHOOK_KEYS_MAX)
        return -ENOSPC;
    memcpy(keys->keys[keys->count].bytes, bytes, len);
    keys->keys[keys->count++].len = len;
    OPENSSL_cleanse(bytes, sizeof bytes);
    return 0;
}

/* ---- one signature ----------------------------------------------------------------------- */

static bool update(EVP_MAC_CTX *context, const void *data, size_t len)
{
    return len == 0 || EVP_MAC_update(context, data, len) == 1;
}

/* HMAC-SHA256 of the message, which head begins, as base64. */
static int authenticate(const unsigned char *key, size_t key_len, const char *head,
                        const struct weft_webhook_message *message, char *ret_chars)
{
    char digest_name[] = "SHA256";
    unsigned char digest[DIGEST_BYTES], chars[SIGNATURE_CHARS + 1];
    size_t len = 0;
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest_name, 0),
                                 OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = mac ? EVP_MAC_CTX_new(mac) : NULL;
    bool made = context && EVP_MAC_init(context, key, key_len, params) == 1 &&
                update(context, head, strlen(head)) &&
                update(context, message->body, message->body_len) &&
                EVP_MAC_final(context, digest, &len, sizeof digest) == 1 && len == sizeof digest;
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
    if (!made) {
        ERR_clear_error(); /* lack of memory is all that can be the matter */
        return -ENOMEM;
    }
    (void)EVP_EncodeBlock(chars, digest, sizeof digest);
    memcpy(ret_chars, chars, SIGNATURE_CHARS);
    return 0;
}

/* A full stop in the id would let one message be read as another. */
static bool is_id(const char *id)
{
    size_t len = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    return len > 0 && len <= WEFT_JOB_NAME_MAX && !id[len];
}

#define HEAD_BYTES (WEFT_JOB_NAME_MAX + TIMESTAMP_CHARS + 3)

/* What is signed before the body. Returns 0, -EINVAL */
static int write_head(const struct weft_webhook_message *message, char *ret_head)
{
    if (!is_id(message->id) || message->timestamp_s < 0)
        return -EINVAL;
    int len = snprintf(ret_head, HEAD_BYTES, "%s.%" PRId64 ".", message->id, message->timestamp_s);
    return len < (int)HEAD_BYTES ? 0 : -EINVAL;
}

int weft_webhook_sign(const struct weft_webhook_keys *keys,
                      const struct weft_webhook_message *message, char *ret_signature)
{
    char head[HEAD_BYTES], signature[WEFT_WEBHOOK_SIGNATURE_MAX], *at = signature;
    int err = keys->count > 0 ? write_head(message, head) : -EINVAL;
    for (size_t i = 0; !err && i < keys->count; i++) {
        if (i > 0)
            *at++ = ' ';
        memcpy(at, SCHEME, strlen(SCHEME));
        at += strlen(SCHEME);
        err = authenticate(keys->keys[i].bytes, keys->keys[i].len, head, message, at);
        at += SIGNATURE_CHARS;
    }
    if (err < 0)
        return err;
    *at = '\0';
    memcpy(ret_signature, signature, (size_t)(at - signature) + 1);
    return 0;
}

/* ---- verification ------------------------------------------------------------------------ */

static int parse_timestamp(const char *text, int64_t *ret_s)
{
    size_t len = strspn(text, "0123456789");
    if (len == 0 || len > TIMESTAMP_CHARS || text[len] || (len > 1 && text[0] == '0'))
        return -EINVAL;
    *ret_s = strtoll(text, NULL, 10);
    return 0;
}

/* Whether a list of signatures has this one. All of it is compared, whatever comes. */
static bool has_signature(const char *list, const char *chars)
{
    bool found = false;
    while (*list) {
        size_t len = strcspn(list, " ");
        if (len == strlen(SCHEME) + SIGNATURE_CHARS && memcmp(list, SCHEME, strlen(SCHEME)) == 0 &&
            CRYPTO_memcmp(list + strlen(SCHEME), chars, SIGNATURE_CHARS) == 0)
            found = true;
        list += len + strspn(list + len, " ");
    }
    return found;
}

int weft_webhook_verify(const struct weft_webhook_keys *keys, const char *id, const char *timestamp,
                        const char *signature, const char *body, size_t body_len, int64_t now_s,
                        int64_t tolerance_s)
{
    char head[HEAD_BYTES], chars[SIGNATURE_CHARS];
    struct weft_webhook_message message = {.id = id, .body = body, .body_len = body_len};
    bool found = false;
    if (!id || !timestamp || !signature || parse_timestamp(timestamp, &message.timestamp_s) < 0 ||
        write_head(&message, head) < 0)
        return -EINVAL;
    if (tolerance_s == 0)
        tolerance_s = WEFT_WEBHOOK_TOLERANCE_S;
    if (message.timestamp_s < now_s - tolerance_s || message.timestamp_s > now_s + tolerance_s)
        return -ESTALE;
    for (size_t i = 0; i < keys->count; i++) {
        int err = authenticate(keys->keys[i].bytes, keys->keys[i].len, head, &message, chars);
        if (err < 0)
            return err;
        found = has_signature(signature, chars) || found;
    }
    return found ? 0 : -EBADMSG;
}
