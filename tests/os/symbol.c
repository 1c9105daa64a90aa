/* SPDX-License-Identifier: MIT
 * symbol.c - addresses as text: by name, by place in a file, or as they are. */
#include "test.h"

#include <os/symbol.h>

#include <dlfcn.h>
#include <string.h>

TEST(an_address_in_no_file_is_shown_as_it_is)
{
    char text[WEFT_SYMBOL_MAX] = "";
    weft_symbol_format(text, text, sizeof text);
    CHECK(strncmp(text, "0x", 2) == 0);
}

TEST(a_function_with_a_name_is_shown_by_it)
{
    char text[WEFT_SYMBOL_MAX];
    char *function = dlsym(RTLD_DEFAULT, "strtoull");
    REQUIRE(function);
    weft_symbol_format(function, text, sizeof text);
    CHECK(strstr(text, " (lib"));
    CHECK(strchr(text, '+') > strchr(text, '(')); /* no offset in the function */
    weft_symbol_format(function + 1, text, sizeof text);
    CHECK(strstr(text, "+0x1 (lib"));
}
