/* SPDX-License-Identifier: MIT
 * breaker_table.c - prints the breaker's states for docs/patterns/breaker.md. */
#include <base/buffer.h>
#include <flow/breaker_state.h>

#include <stdio.h>

int main(void)
{
    struct weft_buffer text;
    weft_buffer_init(&text, 1 << 16);
    weft_breaker_print_table(&text);
    if (!text.err)
        (void)fwrite(text.data, 1, text.len, stdout);
    int err = text.err;
    weft_buffer_deinit(&text);
    return err ? 1 : 0;
}
