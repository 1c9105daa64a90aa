/* SPDX-License-Identifier: MIT
 * echo_load.c - one client for every echo server: N connections, each with one message of 64 bytes
 * under way, as fast as the answers come. What comes back is compared with what was sent.
 *
 *     echo_load PORT CONNECTIONS SECONDS [SERVER_PID]
 *
 * Prints round trips per second, and with the server's pid the processor time that the server took
 * for each. client_cpu near 1 means that this client was the limit, not the server: then only the
 * second figure tells servers apart. */
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_BYTES   64
#define CONNECTIONS_MAX 10000
#define WARM_UP_NS      500000000
#define SILENCE_MS      5000
#define EVENTS_MAX      256

struct connection {
    int fd;
    unsigned received; /* bytes of the answer so far */
    uint64_t sequence;
};

struct load {
    int port, epoll_fd;
    unsigned connections_len;
    struct connection connections[CONNECTIONS_MAX];
    uint64_t round_trips;
    long server_pid; /* 0: not told */
};

/* A point in time, by each of the clocks that count. */
struct moment {
    int64_t now_ns, client_ns, server_ns;
    uint64_t round_trips;
};

__attribute__((format(printf, 1, 2))) static _Noreturn void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fputs("echo_load: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Nanoseconds that a process has run, all its threads together; 0 when the kernel does not say. */
static int64_t process_ns(long pid)
{
    char path[64];
    int64_t total_ns = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        return 0;
    for (const struct dirent *task; (task = readdir(tasks));) {
        char name[512];
        long long ran_ns = 0;
        (void)snprintf(name, sizeof name, "%s/%s/schedstat", path, task->d_name);
        FILE *file = task->d_name[0] == '.' ? NULL : fopen(name, "re");
        if (!file)
            continue;
        if (fscanf(file, "%lld", &ran_ns) == 1)
            total_ns += ran_ns;
        (void)fclose(file);
    }
    (void)closedir(tasks);
    return total_ns;
}

static struct moment look(const struct load *load)
{
    return (struct moment){
        .now_ns = clock_ns(CLOCK_MONOTONIC),
        .client_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
        .server_ns = load->server_pid ? process_ns(load->server_pid) : 0,
        .round_trips = load->round_trips,
    };
}

/* Every message differs from the last and from those of other connections. */
static void fill(char *message, unsigned index, uint64_t sequence)
{
    memset(message, (int)('a' + sequence % 26), MESSAGE_BYTES);
    memcpy(message, &index, sizeof index);
    memcpy(message + sizeof index, &sequence, sizeof sequence);
}

static void send_message(struct load *load, unsigned index)
{
    struct connection *connection = &load->connections[index];
    char message[MESSAGE_BYTES];
    fill(message, index, ++connection->sequence);
    connection->received = 0;
    /* Nothing else is in the socket's buffer: a message fits. */
    if (send(connection->fd, message, MESSAGE_BYTES, MSG_NOSIGNAL) != MESSAGE_BYTES)
        fail("send: %s", strerror(errno));
}

static void receive_some(struct load *load, unsigned index)
{
    struct connection *connection = &load->connections[index];
    char expected[MESSAGE_BYTES], answer[MESSAGE_BYTES];
    ssize_t count =
        recv(connection->fd, answer, MESSAGE_BYTES - connection->received, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0)
        fail("the server closed a connection: %s", count < 0 ? strerror(errno) : "end of data");
    fill(expected, index, connection->sequence);
    if (memcmp(answer, expected + connection->received, (size_t)count) != 0)
        fail("the answer differs from the message");
    connection->received += (unsigned)count;
    if (connection->received == MESSAGE_BYTES) {
        load->round_trips++;
        send_message(load, index);
    }
}

static void open_connection(struct load *load, unsigned index)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)load->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket: %s", strerror(errno));
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        fail("connect: %s", strerror(errno));
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("%s", strerror(errno));
    load->connections[index].fd = fd;
}

static void run_until(struct load *load, int64_t end_ns)
{
    struct epoll_event events[EVENTS_MAX];
    while (clock_ns(CLOCK_MONOTONIC) < end_ns) {
        int count = epoll_wait(load->epoll_fd, events, EVENTS_MAX, SILENCE_MS);
        if (count < 0 && errno != EINTR)
            fail("epoll_wait: %s", strerror(errno));
        if (count == 0)
            fail("no answer for %d s", SILENCE_MS / 1000);
        for (int i = 0; i < count; i++)
            receive_some(load, events[i].data.u32);
    }
}

static void print_result(const struct moment *start, const struct moment *end)
{
    double count = (double)(end->round_trips - start->round_trips);
    double elapsed_ns = (double)(end->now_ns - start->now_ns);
    if (count == 0)
        fail("no message came back");
    printf("{\"name\":\"echo\",\"unit\":\"round trips/s\",\"value\":%.1f,\"client_cpu\":%.3f}\n",
           count * 1e9 / elapsed_ns, (double)(end->client_ns - start->client_ns) / elapsed_ns);
    if (end->server_ns > start->server_ns)
        printf("{\"name\":\"echo_cpu\",\"unit\":\"us\",\"value\":%.4f}\n",
               (double)(end->server_ns - start->server_ns) / 1e3 / count);
}

static long number(const char *text, long max)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || *end || end == text || value < 1 || value > max)
        fail("'%s' is not a number between 1 and %ld", text, max);
    return value;
}

int main(int argc, char **argv)
{
    static struct load load;
    if (argc < 4 || argc > 5)
        fail("usage: echo_load PORT CONNECTIONS SECONDS [SERVER_PID]");
    load.port = (int)number(argv[1], 65535);
    load.connections_len = (unsigned)number(argv[2], CONNECTIONS_MAX);
    int64_t duration_ns = number(argv[3], 3600) * INT64_C(1000000000);
    load.server_pid = argc == 5 ? number(argv[4], INT32_MAX) : 0;
    load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (load.epoll_fd < 0)
        fail("epoll_create1: %s", strerror(errno));
    for (unsigned i = 0; i < load.connections_len; i++)
        open_connection(&load, i);
    for (unsigned i = 0; i < load.connections_len; i++)
        send_message(&load, i);
    run_until(&load, clock_ns(CLOCK_MONOTONIC) + WARM_UP_NS);
    struct moment start = look(&load);
    run_until(&load, start.now_ns + duration_ns);
    struct moment end = look(&load);
    print_result(&start, &end);
    return 0;
}
