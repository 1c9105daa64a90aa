/* SPDX-License-Identifier: MIT
 * engine_internal.h - what the files of the engine share.
 *
 *   engine.c     open, run, drain, close: the fibers and their order of ending
 *   lanes.c      which queues a consumer takes from, and which may have jobs
 *   submit.c     jobs in: checks, defaults, durable acceptance
 *   dispatch.c   a consumer's two fibers: one claims, one starts a fiber for each job
 *   execute.c    how a handler is run, by its executor; thread.c: on a thread
 *   verdict.c    what the end of an attempt means for its job
 *   settle.c     one fiber says in batches what became of jobs
 *   timeouts.c   one fiber tells attempts that are late to end, and gives up those that do not
 *   maintain.c   one fiber has the broker do what time brings about, one keeps the house
 *   pump.c       one fiber takes the broker's events to whoever waits for them
 *   heartbeat.c  a thread keeps leases that end alive
 *   progress.c   one fiber hands on how far jobs are
 *   wait.c       weft_engine_wait
 *   drain.c      weft_engine_drain_queues
 *
 * The way of a job: claimed by dispatch.c or submit.c --> consumer->ready --> its own fiber -->
 * engine->finished --> settled and forgotten. At each moment exactly one of these holds the
 * engine's reference; the fiber, or the thread, that runs the handler holds one of its own, because
 * one that does not end is given up and settled without it. */
#ifndef WEFT_JOB_ENGINE_INTERNAL_H
#define WEFT_JOB_ENGINE_INTERNAL_H

#include <base/heap.h>
#include <base/list.h>
#include <base/table.h>
#include <job/attempt.h>
#include <job/engine.h>
#include <job/wake.h>

#include <weft/group.h>
#include <weft/sync.h>

#include <pthread.h>
#include <stdatomic.h>

#define WEFT_CLAIM_MAX       512u           /* jobs per claim: so many can be hit by one crash */
#define WEFT_CLAIM_LANES_MAX 64u            /* queues per claim */
#define WEFT_SETTLE_MAX      1024u          /* jobs per settlement */
#define WEFT_EVENTS_MAX      256u           /* per look at the broker's */
#define WEFT_BEAT_MAX        500u           /* leases per call */
#define WEFT_BACKOFF_NS      (WEFT_SEC / 2) /* after the broker refused, or memory ran out */

/* Why an attempt is to end, the weightier the later. */
enum weft_stop {
    WEFT_STOP_NOT,
    WEFT_STOP_DRAIN,   /* we stop: it goes back */
    WEFT_STOP_TIMEOUT, /* it took too long: a failure */
    WEFT_STOP_CANCEL,  /* somebody asked for it */
    WEFT_STOP_LOST,    /* the lease is lost: it is not ours any more */
};

/* What is to be settled. */
struct weft_verdict {
    enum weft_job_event event;
    int64_t delay_us;
    const char *error; /* static, or the handler's, or own; NULL: none */
    char *own;         /* owned; NULL: none */
};

struct weft_thread_call;
struct weft_progress_batch;

/* A job between claim and settlement. */
struct weft_engine_job {
    struct weft_attempt attempt;  /* first: the host's functions find the rest by it */
    struct weft_link link;        /* in consumer->ready, or in engine->finished */
    struct weft_table_node by_id; /* in engine->jobs until it is settled */
    struct weft_link leased;      /* in engine->beat.leased, under its mutex */
    struct weft_link told;        /* in engine->progress.told, under its mutex */
    char *progress;               /* owned; to be handed on; under the same mutex */
    struct weft_engine *engine;
    struct weft_consumer *consumer;
    const struct weft_handler *handler; /* NULL: nobody here knows the task */
    struct weft_job *job;               /* owned */
    struct weft_verdict verdict;        /* once it is in engine->finished */
    struct weft_enqueue *follow;        /* owned; room for what is on its desk */

    struct weft_scope scope;  /* around the handler, while `running` */
    struct weft_timer timer;  /* in engine->timers */
    struct weft_scope *force; /* what waits for a handler that a cancel does not reach; or NULL */
    struct weft_thread_call *call; /* the handler's thread; NULL without one */
    int64_t timeout_ns;            /* that it was given; 0: none */
    int64_t thread;                /* that ran it */
    bool running;                  /* the handler is on its way, inside scope */
    bool forced;                   /* it is being ended by force */
    bool given_up;                 /* it did not end: settled without it */
    enum weft_stop stop;
    atomic_bool cancelled; /* the same for other threads: not WEFT_STOP_NOT */
    atomic_uint *stuck;    /* see weft_stuck_open */
    atomic_uint references;
};

/* A queue that somebody here takes jobs from. */
struct weft_engine_queue {
    struct weft_table_node by_name; /* in engine->queues */
    struct weft_lane *lanes;        /* of each consumer that takes from it */
    bool named;                     /* by a consumer, so it is not for "*" */
    bool complete;                  /* each consumer that takes from all has its lane */
    bool limited; /* so many of its jobs may run at once: the end of one lets another begin */
    char name[];
};

/* A consumer's end of a queue. */
struct weft_lane {
    struct weft_lane *next; /* of the same queue */
    struct weft_engine_queue *queue;
    struct weft_consumer *consumer;
    struct weft_link all;   /* in consumer->lanes */
    struct weft_link maybe; /* in consumer->maybe while `is_maybe` */
    bool is_maybe;          /* it may have jobs. False before a claim begins, so that news which
                               comes while it goes on is not lost */
    unsigned position;      /* in the consumer's list of queues */
    uint64_t stride, pass;  /* stride scheduling: who has passed the least is next */
    int64_t again_ns;       /* when to look again in any case */
};

/* A fiber of the engine that is cancelled by itself, and not with the engine's caller: what runs
 * still needs it then. */
struct weft_service {
    int (*main)(void *arg);
    void *arg;
    const char *name;
    struct weft_scope scope;
    bool entered, stopped;
};

struct weft_consumer {
    struct weft_engine *engine;
    const struct weft_consumer_options *options;
    unsigned concurrency;
    unsigned running;  /* jobs between claim and settlement */
    unsigned claiming; /* places kept for a claim under way */
    unsigned reserved; /* places kept for submissions under way */
    struct weft_link lanes, maybe;
    uint64_t pass;    /* of the lane that was asked last */
    int64_t again_ns; /* the earliest of its lanes */
    struct weft_link ready;
    struct weft_link spares; /* for jobs to be claimed; nothing in them is set */
    unsigned spares_count;
    struct weft_wake start_wake, claim_wake;
    struct weft_service claimer, starter;
    struct weft_job *claimed[WEFT_CLAIM_MAX];
};

/* What the broker is asked about jobs that run: to extend their leases, where they end. */
struct weft_beat {
    bool needed;           /* they do */
    pthread_mutex_t mutex; /* of what follows, and for `changed` */
    struct weft_link leased;
    size_t leased_count;
    pthread_cond_t changed;
    bool stopping;
    struct weft_link marker;    /* in leased during a round: where it goes on */
    struct weft_lease *leases;  /* of the call under way; the round's own */
    struct weft_lease *answers; /* bad news, WEFT_BEAT_MAX at most */
    size_t answers_count;
    atomic_uint failures;   /* calls that failed */
    struct weft_event news; /* shared: there are answers */
    pthread_t thread;
    bool has_thread;
    struct weft_runtime *runtime; /* held for the thread */
};

struct weft_progress {
    pthread_mutex_t mutex;
    struct weft_link told;
    struct weft_event wake;            /* shared: handlers on threads tell as well */
    struct weft_progress_batch *batch; /* of the service alone */
};

/* Kinds of calls to the broker. */
enum weft_engine_call {
    WEFT_CALL_ENQUEUE,
    WEFT_CALL_CLAIM,
    WEFT_CALL_SETTLE,
    WEFT_CALL_EXTEND,
    WEFT_CALL_MAINTAIN,
    WEFT_CALL_EVENTS,
    WEFT_CALL_QUEUES,
    WEFT_CALL_PRUNE,
    WEFT_CALL_REGISTRY,
};

enum weft_engine_service {
    WEFT_SERVICE_TIMEOUTS,
    WEFT_SERVICE_MAINTAIN,
    WEFT_SERVICE_KEEP,
    WEFT_SERVICE_PUMP,
    WEFT_SERVICE_PROGRESS,
    WEFT_SERVICE_BEAT,
    WEFT_SERVICES,
};

struct weft_engine {
    struct weft_engine_options options;
    struct weft_broker *broker;
    unsigned capabilities;
    struct weft_random random;
    struct weft_uuid_maker ids;
    struct weft_worker_info worker; /* number 0: the broker keeps no registry */

    struct weft_table handlers; /* by name */
    struct weft_table_node *handler_nodes;
    const char **tasks;        /* of the handlers; NULL: claims take jobs of all tasks */
    struct weft_table queues;  /* by name; owned */
    struct weft_table jobs;    /* by id */
    struct weft_table waiters; /* by id */
    struct weft_link watches;  /* struct weft_queue_watch */
    bool has_star;             /* a consumer takes from every queue that none names */

    bool occupied;       /* weft_engine_run or weft_engine_drain_queues is on its way, or run was */
    bool running;        /* weft_engine_run is on its way: what is claimed gets run */
    bool stopping;       /* drain was called, or run was cancelled */
    int64_t deadline_ns; /* of the jobs that still run then */
    bool cut_short;      /* it has passed */
    struct weft_wake stopped;
    /* Calls to the broker under way that may bring jobs here, by the epoch in which they began. */
    unsigned epoch, calls[2];
    struct weft_wake call_wake; /* one has ended */

    struct weft_link finished;
    struct weft_wake settle_wake;
    bool settled_all;        /* no more jobs will come to the settler ... */
    int64_t settle_until_ns; /* ... and it does not try for ever */
    struct weft_settlement *settlements;
    struct weft_engine_job **settling;

    struct weft_heap timers;
    struct weft_wake timers_wake;
    struct weft_semaphore threads;       /* places on threads */
    struct weft_http_client *clients[2]; /* of webhooks: without and with private addresses; NULL */
    atomic_uint *stuck;
    bool too_many_stuck; /* said so */

    bool pumped;  /* the broker tells of everything */
    bool pumping; /* and somebody listens: who waits for a job is told */
    uint64_t events_after;
    struct weft_broker_event *events;
    int64_t maintain_at_ns, maintained_at_ns;
    struct weft_wake maintain_wake;
    unsigned failing; /* kinds of calls to the broker that failed last time */

    struct weft_beat beat;
    struct weft_progress progress;
    struct weft_engine_counts counts;
    struct weft_service services[WEFT_SERVICES], settler;
    struct weft_consumer inline_consumer; /* of weft_engine_drain_queues */
    size_t consumers_count;
    struct weft_consumer consumers[];
};

/* --- watch.c --- */

/* Tell all who watch a queue; NULL: any queue. */
void weft_watches_tell(struct weft_engine *engine, const char *queue);
/* Tell one of them that there is a job of this task. */
void weft_watches_tell_one(struct weft_engine *engine, const char *queue, const char *task);

/* --- engine.c --- */

/* The handler of a task, NULL when there is none. */
const struct weft_handler *weft_engine_handler(const struct weft_engine *engine, const char *task);

void weft_engine_log(const struct weft_engine *engine, enum weft_log_level level,
                     const struct weft_job *job, const char *event, const char *text);

/* What the broker's calls came to passes here. Failures are counted. The log has one line when a
 * kind of call begins to fail, and one when none does any more; not for those that may not come
 * again: enqueue, whose caller hears of it, and extend. */
void weft_engine_heard(struct weft_engine *engine, enum weft_engine_call call, int err);

/* Around calls to the broker that may bring jobs here, until those are known here. begin returns
 * the epoch to be given to end. */
unsigned weft_engine_call_begin(struct weft_engine *engine);
void weft_engine_call_end(struct weft_engine *engine, unsigned epoch);

/* Wait for the end of all such calls that have begun. One fiber at a time. A checkpoint. */
int weft_engine_calls_wait(struct weft_engine *engine);

static inline int64_t weft_ns_from_us(int64_t us)
{
    return us < WEFT_FOREVER / 1000 ? us * 1000 : WEFT_FOREVER;
}

/* duration_ns, or up to a tenth more. */
int64_t weft_engine_jitter(struct weft_engine *engine, int64_t duration_ns);

/* A fiber for it in a group, and its end. Returns 0, -ENOMEM */
int weft_service_start(struct weft_service *service, struct weft_group *group);
void weft_service_stop(struct weft_service *service);

/* All of them, or those that weft_engine_drain_queues needs; stop waits for their end. Returns 0,
 * -ENOMEM, -EAGAIN (no thread for the heartbeat): stop all the same */
int weft_services_start(struct weft_engine *engine, struct weft_group *group, bool inline_run);
void weft_services_stop(struct weft_engine *engine, struct weft_group *group);

/* --- lanes.c --- */

/* Returns 0; -EINVAL (options), -ENOMEM */
int weft_lanes_open(struct weft_engine *engine);
void weft_lanes_close(struct weft_engine *engine);

/* Look a queue up, and take it in when it is new and a consumer takes from all; to rouse it, or
 * not, is the caller's business.
 * Returns 0, with *ret_queue NULL when nobody here takes from it; -ENOMEM */
int weft_engine_queue(struct weft_engine *engine, const char *name,
                      struct weft_engine_queue **ret_queue);

/* There may be jobs in a queue; in all of them. */
void weft_queue_rouse(struct weft_engine_queue *queue);
void weft_lanes_rouse(struct weft_engine *engine);
void weft_lane_rouse(struct weft_lane *lane);

/* Learn from the broker which queues there are and which have limits. Suspends.
 * Returns 0, or the broker's error */
int weft_lanes_learn(struct weft_engine *engine);

/* Ask the broker for the limits of a queue whose settings were changed, and rouse it. Suspends. */
void weft_queue_look(struct weft_engine *engine, struct weft_engine_queue *queue);

/* Lanes that may have jobs, in the order in which they are to be asked; none of them may any more.
 * Returns how many, at most WEFT_CLAIM_LANES_MAX */
unsigned weft_lanes_take(struct weft_consumer *consumer, struct weft_lane **lanes);

/* So many jobs came from it. */
void weft_lane_pass(struct weft_lane *lane, unsigned jobs);

/* --- dispatch.c --- */

/* Returns 0, -EPERM */
int weft_consumer_init(struct weft_engine *engine, struct weft_consumer *consumer,
                       const struct weft_consumer_options *options);
void weft_consumer_deinit(struct weft_consumer *consumer);

/* For a job that is or will be claimed. The job becomes its own only when it is started.
 * Returns NULL when memory is out */
struct weft_engine_job *weft_engine_job_make(struct weft_consumer *consumer, struct weft_job *job);

/* Have a claimed job run, one of consumer->running. Never suspends. */
void weft_engine_job_start(struct weft_engine_job *job);

/* Start fibers for those that are ready to run; with the engine stopping, give them back.
 * Returns 0, or -ENOMEM when there was no stack for one: it and what follows stay ready */
int weft_consumer_start_ready(struct weft_consumer *consumer, struct weft_group *group);

/* Have memory for so many jobs before they are claimed: afterwards it must not fail. Returns for
 * how many there is */
unsigned weft_consumer_stock(struct weft_consumer *consumer, unsigned wanted);

/* Make a claimed job, for which there is memory, ready to run. */
void weft_consumer_start(struct weft_consumer *consumer, struct weft_job *job);

/* The running job with this id and token; NULL when there is none. */
struct weft_engine_job *weft_engine_job_find(struct weft_engine *engine, const struct weft_uuid *id,
                                             uint64_t token);

/* Somebody wants the job with this id cancelled. Returns whether it runs here. */
bool weft_engine_jobs_cancel(struct weft_engine *engine, const struct weft_uuid *id);

/* Give back a reference; the last one frees it. Any thread. */
void weft_engine_job_unref(struct weft_engine_job *job);

/* Whether nothing is to be begun until some of those that are stuck have ended. */
bool weft_engine_too_many_stuck(struct weft_engine *engine);

/* A place has become free. */
void weft_consumer_place_free(struct weft_consumer *consumer);

/* The broker's answer about a lease. */
void weft_engine_lease_answered(struct weft_engine *engine, const struct weft_lease *lease);

/* --- execute.c, thread.c --- */

/* Whether there is such an executor, and the handler has what it needs. */
bool weft_executor_takes(const struct weft_handler *handler);

/* Whether it ends by force, when job->force is cancelled, what does not end when asked to. */
bool weft_executor_forces(const struct weft_handler *handler);

/* How long it may take by default; 0: for ever. */
int64_t weft_executor_timeout(const struct weft_handler *handler);

/* What executors of valid handlers need beyond one job. Suspend.
 * Returns 0; -EINVAL (nothing to run them in), what weft_http_client_open does. Close in every case
 */
int weft_executors_open(struct weft_engine *engine);
void weft_executors_close(struct weft_engine *engine);

/* Run the handler: what it returned. Suspends. */
int weft_engine_job_execute(struct weft_engine_job *job);

int weft_thread_run(struct weft_engine_job *job);

/* Nobody will wait for the thread any more: from now on it does not touch the engine. */
void weft_thread_abandon(struct weft_thread_call *call);

/* Around what a handler asks of the engine. False: it was given up, and nobody listens. */
bool weft_engine_job_reach(struct weft_engine_job *job);
void weft_engine_job_let_go(struct weft_engine_job *job);

/* --- verdict.c --- */

/* The handler has returned. */
void weft_engine_job_conclude(struct weft_engine_job *job, int result);

/* The handler has not returned, and nobody waits for it any more. */
void weft_engine_job_conclude_stuck(struct weft_engine_job *job, int64_t grace_ns);

/* It never ran: back with it, unless something else was wanted of it. */
void weft_engine_job_give_back(struct weft_engine_job *job);

/* It failed. own is taken over; without it text, which is static, is the error. */
void weft_engine_job_fail(struct weft_engine_job *job, char *own, const char *text);

/* --- settle.c --- */

/* The verdict is there: hand it to the settler. */
void weft_engine_job_finish(struct weft_engine_job *job);

/* Room for the further jobs that its handler wants. Returns 0, -ENOMEM */
int weft_follow_prepare(struct weft_engine_job *job);

/* Like all that end in _main: a service, whose arg is the engine. */
int weft_settler_main(void *arg);

/* What is finished now, or will be by calls under way, is the last. */
void weft_settle_last(struct weft_engine *engine);
/* Take that back. */
void weft_settle_begin(struct weft_engine *engine);

/* Settle what is finished, at most a batch. Returns how many. Suspends. */
size_t weft_settle_some(struct weft_engine *engine);

/* --- timeouts.c --- */

/* How long it may take, 0: for ever; and from when it is told to end to its end by force. */
int64_t weft_engine_job_timeout(const struct weft_engine_job *job);
int64_t weft_engine_job_grace(const struct weft_engine_job *job);

/* The handler begins now: its time runs. */
void weft_engine_job_clock(struct weft_engine_job *job);

/* Tell the attempt to end, and give it up when it does not. */
void weft_engine_job_stop(struct weft_engine_job *job, enum weft_stop why);

int weft_timeouts_main(void *arg);

/* A count of handlers that were given up and have not ended. It lives as long as the engine and as
 * the last of them: threads may outlive the engine. Returns NULL when memory is out */
atomic_uint *weft_stuck_open(void);
void weft_stuck_close(atomic_uint *stuck);
void weft_stuck_ended(atomic_uint *stuck);
unsigned weft_stuck_count(const atomic_uint *stuck);

/* --- maintain.c --- */

/* Something is due then, on the runtime's clock. */
void weft_maintain_at(struct weft_engine *engine, int64_t at_ns);
/* Something has changed by which the time of the next call may be another. */
void weft_maintain_soon(struct weft_engine *engine);
/* Something was put in by ourselves: for brokers that tell of nothing. queue may be NULL when it
 * comes later. */
void weft_engine_expect(struct weft_engine *engine, const char *queue, int64_t delay_us);
int weft_maintain_main(void *arg);
int weft_keep_main(void *arg);

/* --- pump.c, wait.c --- */

int weft_pump_main(void *arg);
void weft_waiters_tell(struct weft_engine *engine, const struct weft_uuid *id);
void weft_waiters_tell_all(struct weft_engine *engine);

/* --- heartbeat.c --- */

int weft_beat_init(struct weft_engine *engine);
void weft_beat_deinit(struct weft_engine *engine);
/* Ask the broker about all jobs that run here, where nobody does so regularly. Suspends. */
void weft_beat_look(struct weft_engine *engine);
/* Around weft_engine_run. Returns 0, -EAGAIN (no thread) */
int weft_beat_start(struct weft_engine *engine);
void weft_beat_stop(struct weft_engine *engine);
int weft_beat_main(void *arg);
void weft_beat_add(struct weft_engine_job *job);
void weft_beat_remove(struct weft_engine_job *job);
/* What a claim asks for. */
int64_t weft_beat_lease_us(const struct weft_engine *engine);
unsigned weft_beat_failures(const struct weft_engine *engine);

/* --- progress.c --- */

int weft_progress_init(struct weft_engine *engine);
void weft_progress_deinit(struct weft_engine *engine);
int weft_progress_main(void *arg);
/* json is from malloc and taken over. Any thread. */
void weft_progress_tell(struct weft_engine_job *job, char *json);
void weft_progress_forget(struct weft_engine_job *job);

#endif
