/* SPDX-License-Identifier: MIT
 * method.c - see method.h. */
#include <http/method.h>

#include <string.h>

static const char *const names[WEFT_HTTP_METHODS] = {
#define METHOD_NAME(number, identifier, text) [number] = #text,
    HTTP_METHOD_MAP(METHOD_NAME)
#undef METHOD_NAME
};

const char *weft_http_method_name(unsigned method)
{
    return method < WEFT_HTTP_METHODS ? names[method] : NULL;
}

int weft_http_method_find(const char *name)
{
    for (int i = 0; i < WEFT_HTTP_METHODS; i++)
        if (names[i] && strcmp(names[i], name) == 0)
            return i;
    return -1;
}
