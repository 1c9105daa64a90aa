/* SPDX-License-Identifier: MIT
 * mock_gzip.c - compressed bodies, and one that grows without end when it is unpacked.
 *
 * The bomb is not compressed each time. A block of zeros that ends with a full flush is a piece of
 * a deflate stream that can be repeated: it refers to nothing before it and ends at a byte. So the
 * body is a head, the same block as often as is wanted, and a tail with the checksum of it all,
 * which is put together from that of one block. */
#include <lab/mock_answers.h>

#include <weft/base.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define TEXT_MAX     (UINT64_C(1) << 20)
#define GZIP_BITS    (MAX_WBITS + 16) /* zlib's way to ask for gzip's format */
#define ZLIB_BITS    MAX_WBITS
#define RAW_BITS     (-MAX_WBITS)
#define MEMORY_LEVEL 8
#define BOMB_BLOCK   ((size_t)1 << 20)
#define BOMB_MAX     (UINT64_C(64) << 30)
#define BOMB_COPIES  64u /* blocks sent at once: about 64 KiB */
#define BOMB_DEFAULT (UINT64_C(100) << 20)

/* ---- what is short ----------------------------------------------------------------------- */

/* Hexadecimal digits of the noise: they shrink to about half. */
static void fill_text(const struct weft_mock *mock, char *text, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++)
        text[i] = digits[mock->block[i % WEFT_MOCK_BLOCK_BYTES] & 15];
}

static int compress_text(const char *text, size_t len, int window_bits, struct weft_buffer *out)
{
    z_stream stream = {0};
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, window_bits, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    size_t room = deflateBound(&stream, len);
    char *at = weft_buffer_reserve(out, room);
    int err = at ? 0 : out->err;
    if (!err) {
        memcpy(&stream.next_in, &text, sizeof text); /* zlib does not write there */
        stream.avail_in = (uInt)len;
        stream.next_out = (Bytef *)at;
        stream.avail_out = (uInt)room;
        err = deflate(&stream, Z_FINISH) == Z_STREAM_END ? 0 : -EIO;
        out->len += room - stream.avail_out;
    }
    (void)deflateEnd(&stream);
    return err;
}

static void reply_compressed(struct weft_mock_request *request, const char *text, size_t len,
                             const char *encoding, int window_bits, bool broken)
{
    struct weft_buffer out;
    weft_buffer_init(&out, 2 * TEXT_MAX);
    int err = compress_text(text, len, window_bits, &out);
    if (err) {
        weft_mock_reply_error(request, 503, "out of memory");
    } else {
        weft_http_reply_header(request->exchange, "Content-Encoding", encoding);
        weft_http_reply_header(request->exchange, "Vary", "Accept-Encoding");
        weft_mock_reply(request, 200, "text/plain", out.data, broken ? out.len / 2 : out.len);
    }
    weft_buffer_deinit(&out);
}

/* encoding NULL: as it is. */
static void reply_text(struct weft_mock_request *request, const char *encoding, int window_bits)
{
    uint64_t len = 1000;
    bool broken = false;
    if (!weft_mock_query_count(request, "bytes", 0, TEXT_MAX, &len) ||
        !weft_mock_query_flag(request, "broken", &broken))
        return;
    char *text = malloc((size_t)len + 1);
    if (!text) {
        weft_mock_reply_error(request, 503, "out of memory");
        return;
    }
    fill_text(request->mock, text, (size_t)len);
    if (encoding)
        reply_compressed(request, text, (size_t)len, encoding, window_bits, broken);
    else
        weft_mock_reply(request, 200, "text/plain", text, (size_t)len);
    free(text);
}

void weft_mock_plain_text(struct weft_mock_request *request)
{
    reply_text(request, NULL, 0);
}

void weft_mock_gzip(struct weft_mock_request *request)
{
    reply_text(request, "gzip", GZIP_BITS);
}

void weft_mock_deflate(struct weft_mock_request *request)
{
    reply_text(request, "deflate", ZLIB_BITS);
}

/* ---- the bomb ---------------------------------------------------------------------------- */

struct weft_mock_bomb {
    char *blocks; /* BOMB_COPIES of them */
    size_t block_len;
    uint32_t crc; /* of one block, unpacked */
};

void weft_mock_bomb_free(struct weft_mock_bomb *bomb)
{
    if (!bomb)
        return;
    free(bomb->blocks);
    free(bomb);
}

static int compress_zeros(struct weft_buffer *out, uint32_t *ret_crc)
{
    z_stream stream = {0};
    char *zeros = calloc(1, BOMB_BLOCK);
    int err = -ENOMEM;
    if (!zeros || deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, RAW_BITS, MEMORY_LEVEL,
                               Z_DEFAULT_STRATEGY) != Z_OK)
        goto out;
    char *at = weft_buffer_reserve(out, out->len_max);
    if (at) {
        stream.next_in = (Bytef *)zeros;
        stream.avail_in = (uInt)BOMB_BLOCK;
        stream.next_out = (Bytef *)at;
        stream.avail_out = (uInt)out->len_max;
        err = deflate(&stream, Z_FULL_FLUSH) == Z_OK && stream.avail_in == 0 ? 0 : -EIO;
        out->len = out->len_max - stream.avail_out;
        *ret_crc = (uint32_t)crc32(0, (const Bytef *)zeros, (uInt)BOMB_BLOCK);
    }
    (void)deflateEnd(&stream);
out:
    free(zeros);
    return err;
}

static int make_bomb(struct weft_mock_bomb **ret_bomb)
{
    struct weft_mock_bomb *bomb = calloc(1, sizeof *bomb);
    struct weft_buffer block;
    weft_buffer_init(&block, (size_t)16 << 10);
    int err = bomb ? compress_zeros(&block, &bomb->crc) : -ENOMEM;
    if (!err) {
        bomb->block_len = block.len;
        bomb->blocks = malloc(BOMB_COPIES * block.len);
        err = bomb->blocks ? 0 : -ENOMEM;
    }
    for (size_t i = 0; i < BOMB_COPIES && !err; i++)
        memcpy(bomb->blocks + i * block.len, block.data, block.len);
    weft_buffer_deinit(&block);
    if (err)
        weft_mock_bomb_free(bomb);
    else
        *ret_bomb = bomb;
    return err;
}

/* The same for all; the first who asks has it made, which takes a few milliseconds. */
static int get_bomb(struct weft_mock *mock, const struct weft_mock_bomb **ret_bomb)
{
    (void)pthread_mutex_lock(&mock->bomb_lock);
    int err = mock->bomb ? 0 : make_bomb(&mock->bomb);
    *ret_bomb = mock->bomb;
    (void)pthread_mutex_unlock(&mock->bomb_lock);
    return err;
}

static void put_le32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t crc_of(const struct weft_mock_bomb *bomb, uint64_t blocks)
{
    uLong step = crc32_combine_gen((z_off_t)BOMB_BLOCK);
    uLong crc = blocks > 0 ? bomb->crc : 0;
    for (uint64_t i = 1; i < blocks; i++)
        crc = crc32_combine_op(crc, bomb->crc, step);
    return (uint32_t)crc;
}

static int send_bomb(struct weft_mock_request *request, const struct weft_mock_bomb *bomb,
                     uint64_t blocks)
{
    static const uint8_t head[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255};
    uint8_t tail[10] = {3, 0}; /* an empty last block, then checksum and length */
    put_le32(tail + 2, crc_of(bomb, blocks));
    put_le32(tail + 6, (uint32_t)(blocks * BOMB_BLOCK));
    int err = weft_mock_begin(request, 200, "text/plain", WEFT_MOCK_SIZED,
                              sizeof head + blocks * bomb->block_len + sizeof tail);
    if (!err)
        err = weft_mock_write(request, head, sizeof head);
    while (blocks > 0 && !err) {
        uint64_t count = blocks < BOMB_COPIES ? blocks : BOMB_COPIES;
        err = weft_mock_write(request, bomb->blocks, (size_t)count * bomb->block_len);
        blocks -= count;
    }
    if (!err)
        err = weft_mock_write(request, tail, sizeof tail);
    return err ? err : weft_mock_end(request);
}

/* Rounded up to whole blocks. */
void weft_mock_bomb(struct weft_mock_request *request)
{
    const struct weft_mock_bomb *bomb;
    uint64_t len = BOMB_DEFAULT;
    if (!weft_mock_query_count(request, "bytes", 0, BOMB_MAX, &len))
        return;
    if (get_bomb(request->mock, &bomb) < 0) {
        weft_mock_reply_error(request, 503, "out of memory");
        return;
    }
    weft_http_reply_header(request->exchange, "Content-Encoding", "gzip");
    (void)send_bomb(request, bomb, (len + BOMB_BLOCK - 1) / BOMB_BLOCK);
}
