/* SPDX-License-Identifier: MIT
 * symbol.c - see symbol.h. */
#include <os/symbol.h>

#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void weft_symbol_format(const void *address, char *text, size_t size)
{
    Dl_info info;
    struct link_map *map = NULL;
    if (!dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) || !map || !info.dli_fname) {
        (void)snprintf(text, size, "%p", address);
        return;
    }
    /* From the load bias, not from the lowest address: the same unless the program is not PIE. */
    uintptr_t offset = (uintptr_t)address - (uintptr_t)map->l_addr;
    const char *object = base_name(info.dli_fname);
    uintptr_t inside = (uintptr_t)address - (uintptr_t)info.dli_saddr;
    if (!info.dli_sname)
        (void)snprintf(text, size, "%.60s+%#jx", object, (uintmax_t)offset);
    else if (inside == 0)
        (void)snprintf(text, size, "%.60s (%.50s+%#jx)", info.dli_sname, object, (uintmax_t)offset);
    else
        (void)snprintf(text, size, "%.60s+%#jx (%.50s+%#jx)", info.dli_sname, (uintmax_t)inside,
                       object, (uintmax_t)offset);
}

void weft_symbol_format_call(const void *return_address, char *text, size_t size)
{
    weft_symbol_format((const char *)return_address - 1, text, size);
}
