/* SPDX-License-Identifier: MIT
 * peer.c - see peer.h. */
#include "peer.h"
#include "test.h"

#include <weft/io.h>
#include <weft/net.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- programs ----------------------------------------------------------------------------- */

int run_to_the_end(const char *const *command)
{
    struct weft_process_status status = {.exit_code = -1};
    const struct weft_process_options options = {.err.kind = WEFT_STDIO_NULL,
                                                 .out.kind = WEFT_STDIO_NULL};
    int err = weft_process_run(command, &options, weft_now() + PEER_PATIENCE, &status);
    return err < 0 ? err : status.exit_code;
}

static bool start(struct peer *peer, const char *const *command, bool speaks)
{
    const struct weft_process_options options = {.out.kind =
                                                     speaks ? WEFT_STDIO_PIPE : WEFT_STDIO_NULL,
                                                 .err.kind = WEFT_STDIO_NULL,
                                                 .grace_ns = WEFT_NO_GRACE};
    if (weft_process_open(&peer->process, command, &options) == 0)
        return true;
    char reason[128];
    (void)snprintf(reason, sizeof reason, "%s is not installed", command[0]);
    test_skip(reason);
    return false;
}

bool peer_open(struct peer *peer, const char *const *command)
{
    char line[16] = "";
    *peer = (struct peer){.port = 0};
    if (!start(peer, command, true))
        return false;
    for (size_t len = 0; len < sizeof line - 1 && !strchr(line, '\n'); len++) {
        int pipe = weft_process_pipe(peer->process, 1);
        if (weft_read(pipe, &line[len], 1, weft_now() + PEER_PATIENCE) != 1)
            break;
    }
    peer->port = (uint16_t)strtoul(line, NULL, 10);
    if (peer->port == 0) {
        weft_process_close(peer->process);
        test_skip("the server's language cannot do what is needed");
    }
    return peer->port != 0;
}

static bool listens(uint16_t port)
{
    int fd = weft_tcp_connect("127.0.0.1", port, weft_now() + WEFT_SEC);
    if (fd >= 0)
        (void)weft_close(fd);
    return fd >= 0;
}

bool peer_open_on_port(struct peer *peer, const char *const *command)
{
    if (!start(peer, command, false))
        return false;
    int64_t until_ns = weft_now() + PEER_PATIENCE;
    while (weft_now() < until_ns) {
        if (listens(peer->port))
            return true;
        if (weft_sleep(10 * WEFT_MSEC) < 0)
            break;
    }
    weft_process_close(peer->process);
    test_skip("the server did not begin to listen");
    return false;
}

void peer_close(struct peer *peer)
{
    weft_process_close(peer->process);
}

uint16_t unused_port(void)
{
    int listener = weft_tcp_listen("127.0.0.1", 0, NULL);
    REQUIRE(listener >= 0);
    uint16_t port = (uint16_t)weft_tcp_port(listener);
    CHECK_EQUAL(weft_close(listener), 0);
    return port;
}

/* ---- certificates ------------------------------------------------------------------------- */

char authority[96], certificate[96], key[96], expired[96], self_signed[96], own_key[96];

#define NEW_KEY "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"

static void name_file(char name[96], const char *file)
{
    (void)snprintf(name, 96, "%s/%s", test_directory(), file);
}

static bool write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    if (!file)
        return false;
    (void)fputs(text, file);
    return fclose(file) == 0;
}

/* By openssl's own little authority, which alone lets a certificate have ended. */
static bool make_expired(const char *authority_key)
{
    const char *directory = test_directory();
    char config[96], index[96], serial[96], request[96], settings[600];
    (void)snprintf(settings, sizeof settings,
                   "[ca]\ndefault_ca = d\n[d]\ndatabase = %s/index.txt\nserial = %s/serial\n"
                   "new_certs_dir = %s\ndefault_md = sha256\npolicy = p\ncopy_extensions = copy\n"
                   "[p]\ncommonName = supplied\n",
                   directory, directory, directory);
    name_file(config, "ca.conf");
    name_file(index, "index.txt");
    name_file(serial, "serial");
    name_file(request, "request.pem");
    const char *const ask[] = {"openssl", "req",     "-new",
                               "-key",    key,       "-subj",
                               "/CN=old", "-addext", "subjectAltName=IP:127.0.0.1",
                               "-out",    request,   NULL};
    const char *const sign[] = {"openssl",    "ca",
                                "-config",    config,
                                "-batch",     "-notext",
                                "-cert",      authority,
                                "-keyfile",   authority_key,
                                "-in",        request,
                                "-out",       expired,
                                "-startdate", "20200101000000Z",
                                "-enddate",   "20200102000000Z",
                                NULL};
    return write_file(config, settings) && write_file(index, "") && write_file(serial, "01\n") &&
           run_to_the_end(ask) == 0 && run_to_the_end(sign) == 0;
}

static bool make_all(void)
{
    char authority_key[96];
    name_file(authority, "authority.pem");
    name_file(authority_key, "authority.key");
    name_file(certificate, "server.pem");
    name_file(key, "server.key");
    name_file(expired, "expired.pem");
    name_file(self_signed, "own.pem");
    name_file(own_key, "own.key");
    const char *const make_authority[] = {
        "openssl",   "req",     "-x509",       NEW_KEY, "-days",   "2", "-subj",
        "/CN=tests", "-keyout", authority_key, "-out",  authority, NULL};
    const char *const make_server[] = {"openssl", "req",
                                       "-x509",   NEW_KEY,
                                       "-days",   "2",
                                       "-subj",   "/CN=server",
                                       "-CA",     authority,
                                       "-CAkey",  authority_key,
                                       "-addext", "basicConstraints=critical,CA:FALSE",
                                       "-addext", "subjectAltName=IP:127.0.0.1",
                                       "-keyout", key,
                                       "-out",    certificate,
                                       NULL};
    const char *const make_own[] = {
        "openssl", "req",   "-x509",   NEW_KEY,     "-days",
        "2",       "-subj", "/CN=own", "-addext",   "subjectAltName=IP:127.0.0.1",
        "-keyout", own_key, "-out",    self_signed, NULL};
    return run_to_the_end(make_authority) == 0 && run_to_the_end(make_server) == 0 &&
           run_to_the_end(make_own) == 0 && make_expired(authority_key);
}

bool certificates_are_made(void)
{
    static int made; /* 1: they are there; -1: they cannot be made */
    if (made == 0)
        made = make_all() ? 1 : -1;
    if (made < 0)
        test_skip("openssl is not there, or too old to make certificates");
    return made > 0;
}
