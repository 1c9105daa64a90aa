/* SPDX-License-Identifier: MIT
 * client_address.c - which addresses are of the public internet: IANA's registries of
 * special-purpose addresses (RFC 6890 and those after it), and the IPv6 forms that IPv4 addresses
 * have. */
#include <weft/http_client.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

struct range {
    uint8_t bytes[16];
    unsigned bits;
};

// clang-format off
static const struct range special_v4[] = {
    {{0}, 8},               /* "this network" */
    {{10}, 8},              /* private */
    {{100, 64}, 10},        /* shared by a carrier's customers */
    {{127}, 8},             /* loopback */
    {{168, 63, 129, 16}, 32}, /* of no registry: the host, for Azure's virtual machines */
    {{169, 254}, 16},       /* link-local; metadata of clouds */
    {{172, 16}, 12},        /* private */
    {{192, 0, 0}, 24},      /* protocol assignments */
    {{192, 0, 2}, 24},      /* documentation */
    {{192, 88, 99}, 24},    /* 6to4 relays, given up */
    {{192, 168}, 16},       /* private */
    {{198, 18}, 15},        /* benchmarks */
    {{198, 51, 100}, 24},   /* documentation */
    {{203, 0, 113}, 24},    /* documentation */
    {{224}, 3},             /* multicast, reserved, broadcast */
};

static const struct range special_v6[] = {
    {{0x20, 0x01, 0x00}, 23},       /* protocol assignments: Teredo, benchmarks, ORCHID */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {{0x3f, 0xff, 0x00}, 20},       /* documentation */
};

static const struct range unicast_v6 = {{0x20}, 3}; /* all that is given out so far */

/* IPv6 addresses with an IPv4 address inside, and where. */
static const struct {
    struct range range;
    size_t at;
} forms_of_v4[] = {
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12},   /* mapped */
    {{{0x00, 0x64, 0xff, 0x9b}, 96}, 12},                     /* NAT64 */
    {{{0x20, 0x02}, 16}, 2},                                  /* 6to4 */
};
// clang-format on

#define LEN(array) (sizeof(array) / sizeof(array)[0])

static bool is_in(const uint8_t *address, const struct range *range)
{
    unsigned whole = range->bits / 8, rest = range->bits % 8;
    if (memcmp(address, range->bytes, whole) != 0)
        return false;
    return rest == 0 || (address[whole] ^ range->bytes[whole]) >> (8 - rest) == 0;
}

static bool is_in_any(const uint8_t *address, const struct range *ranges, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (is_in(address, &ranges[i]))
            return true;
    }
    return false;
}

static bool is_public_v4(const uint8_t *address)
{
    return !is_in_any(address, special_v4, LEN(special_v4));
}

static bool is_public_v6(const uint8_t *address)
{
    for (size_t i = 0; i < LEN(forms_of_v4); i++) {
        if (is_in(address, &forms_of_v4[i].range))
            return is_public_v4(address + forms_of_v4[i].at);
    }
    return is_in(address, &unicast_v6) && !is_in_any(address, special_v6, LEN(special_v6));
}

int weft_http_address_is_public(void *context, const struct sockaddr *address, socklen_t len)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    (void)context;
    if (address->sa_family == AF_INET && len >= sizeof v4) {
        memcpy(&v4, address, sizeof v4);
        return is_public_v4((const uint8_t *)&v4.sin_addr);
    }
    if (address->sa_family == AF_INET6 && len >= sizeof v6) {
        memcpy(&v6, address, sizeof v6);
        return is_public_v6(v6.sin6_addr.s6_addr);
    }
    return 0;
}
