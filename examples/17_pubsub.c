/* 17_pubsub.c - parts of a program that do not know each other: a shop announces what happens, who
 * cares listens. One waits for the listeners, one does not, and one is told what it missed.
 *
 * Run it:  build/release/examples/example-17_pubsub */
#include <weft/weft.h>

#include <errno.h>
#include <stdio.h>

static int send_mail(void *arg, const struct weft_message *message)
{
    (void)arg;
    weft_sleep(20 * WEFT_MSEC);
    printf("mail:  welcome, %s\n", (const char *)message->data);
    return 0;
}

static int book(void *arg, const struct weft_message *message)
{
    int *total = arg, amount;
    if (sscanf(message->data, "%d", &amount) != 1)
        return -EINVAL;
    printf("books: %s %d, %d in all\n", message->topic, amount, *total += amount);
    return 0;
}

static void tell(void *arg, const struct weft_bus_event *event)
{
    (void)arg;
    if (event->kind == WEFT_BUS_HANDLER_FAILED)
        printf("event: %s failed on %s: %s\n", event->subscription, event->topic,
               weft_strerror(event->result));
}

static void print_news(struct weft_subscription *news)
{
    const struct weft_message *message;
    struct weft_subscription_snapshot snapshot;
    while (weft_subscription_receive(news, &message, WEFT_NOWAIT) == 0) {
        printf("news:  %s\n", message->topic);
        weft_message_release(message);
    }
    weft_subscription_snapshot(news, &snapshot);
    printf("news:  %d missed\n", (int)snapshot.dropped);
}

static int shop(void *arg)
{
    struct weft_bus *bus;
    struct weft_subscription *news;
    int total = 0;
    (void)arg;
    weft_bus_open(&bus, &(struct weft_bus_options){.on_event = tell});
    const struct weft_subscription_options mail = {.topic = "user.created", .handler = send_mail},
                                           books = {.topic = "order.*",
                                                    .handler = book,
                                                    .arg = &total,
                                                    .name = "the books"},
                                           recent = {.topic = ">", /* everything, the last two */
                                                     .capacity = 2,
                                                     .slow = WEFT_SLOW_DROP_OLDEST};
    weft_subscribe(bus, &mail, NULL);
    weft_subscribe(bus, &books, NULL);
    weft_subscribe(bus, &recent, &news);

    int queues = weft_publish(bus, "user.created", "Ada", 3, WEFT_FOREVER);
    printf("shop:  %d have heard of her, and the mail is out\n", queues);
    weft_publish_nowait(bus, "order.paid", "30", 2);
    weft_publish_nowait(bus, "order.paid", "thirty", 6);
    weft_publish_nowait(bus, "order.shipped", "12", 2);
    print_news(news);
    weft_unsubscribe(news);
    return weft_bus_close(bus, weft_now() + WEFT_SEC); /* what is queued is still handled */
}

int main(void)
{
    return weft_run(NULL, shop, NULL) < 0;
}
