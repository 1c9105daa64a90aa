/* SPDX-License-Identifier: MIT
 * load_probe.c - see load_probe.h. */
#include <base/time.h>
#include <lab/load_probe.h>

#include <weft/io.h>
#include <weft/net.h>
#include <weft/runtime.h>

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define INPUT_BYTES 8192

int weft_load_reach(struct weft_load_shared *shared, char *host)
{
    struct sockaddr_storage address;
    socklen_t address_len = sizeof address;
    int fd = weft_tcp_connect(shared->host, shared->port,
                              weft_time_after(weft_now(), shared->timeout_ns));
    if (fd < 0)
        return fd;
    if (getpeername(fd, (struct sockaddr *)&address, &address_len) == 0 &&
        getnameinfo((struct sockaddr *)&address, address_len, host, NI_MAXHOST, NULL, 0,
                    NI_NUMERICHOST) == 0)
        shared->host = host;
    (void)weft_close(fd);
    return 0;
}

/* Whether a comma-separated list holds POST. */
static bool allows_post(const char *allow)
{
    while (*allow) {
        size_t len = strcspn(allow, ", \t");
        if (len == 4 && memcmp(allow, "POST", 4) == 0)
            return true;
        allow += len;
        allow += strspn(allow, ", \t");
    }
    return false;
}

struct probe {
    struct weft_load_response response;
    struct weft_load_known known;
    struct weft_buffer out;
    char input[INPUT_BYTES];
};

static int read_response(struct probe *probe, int fd, int64_t deadline_ns)
{
    enum weft_load_progress progress = WEFT_LOAD_MORE;
    while (progress == WEFT_LOAD_MORE) {
        size_t used;
        ssize_t len = weft_read(fd, probe->input, sizeof probe->input, deadline_ns);
        if (len < 0)
            return (int)len;
        if (len == 0)
            return weft_load_response_end(&probe->response) == WEFT_LOAD_COMPLETE ? 0 : -ECONNRESET;
        progress = weft_load_response_feed(&probe->response, probe->input, (size_t)len, &used);
        if (progress == WEFT_LOAD_MORE && weft_now() >= deadline_ns)
            return -ETIMEDOUT;
    }
    return progress == WEFT_LOAD_COMPLETE ? 0 : -EPROTO;
}

/* Returns 0 when probe->response holds the answer. */
static int ask(struct probe *probe, const struct weft_load_shared *shared)
{
    const struct weft_load_message *message = &shared->targets.items[0].message;
    int64_t deadline_ns = weft_time_after(weft_now(), shared->timeout_ns);
    weft_load_message_append(message, 0, &probe->out);
    if (probe->out.err)
        return probe->out.err;
    int fd = weft_tcp_connect(shared->host, shared->port, deadline_ns);
    if (fd < 0)
        return fd;
    weft_load_response_init(&probe->response);
    weft_load_response_begin(&probe->response, message->head, &probe->known);
    int err = weft_write_all(fd, probe->out.data, probe->out.len, deadline_ns, NULL);
    if (err == 0)
        err = read_response(probe, fd, deadline_ns);
    (void)weft_close(fd);
    return err;
}

int weft_load_wants_post(struct weft_load_shared *shared)
{
    struct probe *probe = calloc(1, sizeof *probe);
    if (!probe)
        return -ENOMEM;
    weft_buffer_init(&probe->out, 2 * WEFT_LOAD_BODY_MAX);
    int err = ask(probe, shared);
    bool wants = err == 0 && probe->response.status == 405 && allows_post(probe->response.allow);
    weft_buffer_deinit(&probe->out);
    free(probe);
    if (err == -ENOMEM || err == -ECANCELED)
        return err;
    return wants;
}
