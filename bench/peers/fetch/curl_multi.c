/* SPDX-License-Identifier: MIT
 * curl_multi.c - plain libcurl: a multi handle on epoll, handles used again and again, nothing
 * around them. curl-multi URL REQUESTS CONNECTIONS prints a line of JSON. */
#include <curl/curl.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#define EVENTS 256

struct load {
    CURLM *multi;
    int epoll;
    long timeout_ms; /* libcurl's timer; -1: none */
    long requests, begun, ended, successful;
};

static size_t discard(char *bytes, size_t size, size_t len, void *arg)
{
    (void)bytes, (void)arg;
    return size * len;
}

static int want(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct load *load = arg;
    struct epoll_event event = {.data.fd = fd};
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(load->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (known && epoll_ctl(load->epoll, EPOLL_CTL_MOD, fd, &event) == 0)
        return 0;
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        (void)epoll_ctl(load->epoll, EPOLL_CTL_MOD, fd, &event);
    (void)curl_multi_assign(load->multi, fd, load);
    return 0;
}

static int set_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    ((struct load *)arg)->timeout_ms = timeout_ms;
    return 0;
}

static void take_ended(struct load *load)
{
    int left;
    const CURLMsg *message;
    while ((message = curl_multi_info_read(load->multi, &left))) {
        long status = 0;
        CURL *easy = message->easy_handle;
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        load->successful += message->data.result == CURLE_OK && status == 200;
        load->ended++;
        (void)curl_multi_remove_handle(load->multi, easy);
        if (load->begun < load->requests) {
            load->begun++;
            (void)curl_multi_add_handle(load->multi, easy);
        } else {
            curl_easy_cleanup(easy);
        }
    }
}

static void run(struct load *load)
{
    struct epoll_event events[EVENTS];
    int running;
    while (load->ended < load->requests) {
        int timeout = load->timeout_ms < 0 ? 1000 : (int)load->timeout_ms;
        int count = epoll_wait(load->epoll, events, EVENTS, timeout);
        if (count <= 0) {
            load->timeout_ms = -1;
            (void)curl_multi_socket_action(load->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
        for (int i = 0; i < count; i++) {
            unsigned what = events[i].events;
            int flags = (what & (EPOLLIN | EPOLLHUP | EPOLLERR) ? CURL_CSELECT_IN : 0) |
                        (what & EPOLLOUT ? CURL_CSELECT_OUT : 0);
            (void)curl_multi_socket_action(load->multi, events[i].data.fd, flags, &running);
        }
        take_ended(load);
    }
}

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    struct load load = {.requests = atol(argv[2]), .timeout_ms = 0};
    long connections = atol(argv[3]);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.multi = curl_multi_init();
    if (load.epoll < 0 || !load.multi)
        return 1;
    (void)curl_multi_setopt(load.multi, CURLMOPT_SOCKETFUNCTION, want);
    (void)curl_multi_setopt(load.multi, CURLMOPT_SOCKETDATA, &load);
    (void)curl_multi_setopt(load.multi, CURLMOPT_TIMERFUNCTION, set_timer);
    (void)curl_multi_setopt(load.multi, CURLMOPT_TIMERDATA, &load);
    (void)curl_multi_setopt(load.multi, CURLMOPT_MAXCONNECTS, connections);
    double begun = seconds();
    for (long i = 0; i < connections && i < load.requests; i++) {
        CURL *easy = curl_easy_init();
        if (!easy)
            return 1;
        (void)curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
        (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
        (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 16384L);
        load.begun++;
        (void)curl_multi_add_handle(load.multi, easy);
    }
    run(&load);
    (void)printf("{\"successful\": %ld, \"seconds\": %.6f, \"version\": \"%s\"}\n", load.successful,
                 seconds() - begun, curl_version_info(CURLVERSION_NOW)->version);
    (void)curl_multi_cleanup(load.multi);
    return 0;
}
