/* SPDX-License-Identifier: MIT
 * client_error.c - libcurl's errors as weft's. */
#include <http/client_internal.h>

/* What the socket said is more exact, where it said something. */
static int socket_error(long os_error, int otherwise)
{
    return os_error > 0 ? -(int)os_error : otherwise;
}

int weft_http_error_of(CURLcode code, long os_error)
{
    switch ((int)code) { /* not all of the enumeration: most are of other protocols */
    case CURLE_OK:
        return 0;
    case CURLE_UNSUPPORTED_PROTOCOL:
        return -EPROTONOSUPPORT;
    case CURLE_URL_MALFORMAT:
        return -EINVAL;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return -EADDRNOTAVAIL;
    case CURLE_COULDNT_CONNECT:
        return socket_error(os_error, -EHOSTUNREACH);
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
        return socket_error(os_error, -ECONNRESET);
    case CURLE_RECV_ERROR: /* chunks and TLS records as well */
        return socket_error(os_error, -EPROTO);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return -EKEYREJECTED;
    case CURLE_SSL_CACERT_BADFILE:
        return -ENOKEY;
    case CURLE_FAILED_INIT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_UNKNOWN_OPTION:
        return -EIO;
    default:
        return -EPROTO;
    }
}
