/* SPDX-License-Identifier: MIT
 * print.h - figures for people and strings for JSON, on standard output. */
#ifndef WEFT_CMD_PRINT_H
#define WEFT_CMD_PRINT_H

#include <stdint.h>

#define FIGURE_BYTES 32

/* "850 ns", "12.3 us", "4.56 ms", "1.20 s": three digits. Returns text. */
const char *format_duration(char text[FIGURE_BYTES], int64_t length_ns);

/* "512 B", "1.50 KiB", "31.2 GiB". Returns text. */
const char *format_bytes(char text[FIGURE_BYTES], uint64_t bytes);

/* Nanoseconds as a number of milliseconds, exact: 1.234567. */
void print_json_ms(const char *name, int64_t length_ns);

/* Text as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void print_json_string(const char *text);

#endif
