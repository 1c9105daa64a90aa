# SPDX-License-Identifier: MIT
"""driver - what the Python drivers of bench/jobs share: the command line, who puts in which job
when, and what is told at the end. bench/peers/README.md says what is measured.

A peer is an object with these:

    settings        what it was told, for people
    produce(share)  in each of several processes: put in what share.take() hands out; returns how
                    many jobs that were (with_threads and with_coroutines do it)
    pending()       how many jobs are waiting, running or not yet settled
    clear()         forget all jobs
    work(ready)     run jobs until SIGTERM; ready() when it has started"""
import argparse
import asyncio
import itertools
import json
import math
import mmap
import multiprocessing
import os
import sys
import threading
import time

NS = 1_000_000_000
WARM_UP = -1  # the number of a job that opens a connection and is not counted
START_AHEAD_NS = 20_000_000
WAIT_SECONDS_MAX = 60
POLL_SECONDS = 0.002
LOOK_NS, IDLE_NS = NS // 2, 3 * NS


class Marks:
    """When each job started, by its number: wall clock in nanoseconds, 0 for not yet; and, in the
    second half of the file, how many times it did. A file that the workers share, so that a job
    costs two stores."""

    def __init__(self, path):
        with open(path, "r+b") as file:
            self.bytes = mmap.mmap(file.fileno(), 0)
        self.room = len(self.bytes) // 16
        self.times = memoryview(self.bytes).cast("q")
        self.counts = self.times[self.room:]

    def start(self, number):
        if number >= 0:
            self.times[number] = time.time_ns()
            self.counts[number] += 1  # not atomic: two at the very same time may count as one

    def clear(self, count):
        self.bytes[:8 * count] = bytes(8 * count)
        self.bytes[8 * self.room:8 * (self.room + count)] = bytes(8 * count)

    def all_started(self, count):
        # A time's highest byte is never 0, so eight zeros lie in a row only where one is missing.
        return self.bytes.find(bytes(8), 0, 8 * count) < 0

    def reckon(self, count):
        """How many of the jobs never ran, and how many times one ran again."""
        counts = self.counts[:count].tolist()
        lost = counts.count(0)
        return {"lost": lost, "duplicated": sum(counts) - (count - lost)}


class Share:
    """What one of several processes puts in: numbers of jobs, and when.

    count      jobs of all processes, or None: until `seconds` are over
    per_s      jobs are due at this rate, whether or not somebody is free; None: at once"""

    def __init__(self, index, shares, producers, batch, count=None, seconds=None, per_s=None):
        self.producers = max(1, producers // shares)
        self.batch, self.count, self.seconds, self.per_s = batch, count, seconds, per_s
        self.turns = itertools.count(index, shares)  # its next() is atomic
        self.start_ns = 0
        self.wait_for_start = None

    def take(self):
        """Numbers and the time at which they are due, or None when there is nothing left."""
        first = next(self.turns) * self.batch
        if self.count is None:
            if time.time_ns() >= self.start_ns + self.seconds * NS:
                return None
            return range(first, first + self.batch), 0
        if first >= self.count:
            return None
        due_ns = self.start_ns + int(first * NS / self.per_s) if self.per_s else 0
        return range(first, min(first + self.batch, self.count)), due_ns


def with_threads(share, put):
    """Producers that block, a thread each. put(numbers) puts in one batch."""
    warm, done, failures = threading.Barrier(share.producers + 1), [], []
    started = threading.Event()

    def produce():
        count = 0
        try:
            put([WARM_UP])
            warm.wait()
            started.wait()
            while taken := share.take():
                numbers, due_ns = taken
                time.sleep(max(0, due_ns - time.time_ns()) / NS)
                put(numbers)
                count += len(numbers)
        except Exception as error:
            failures.append(error)
            warm.abort()
        done.append(count)

    threads = [threading.Thread(target=produce) for _ in range(share.producers)]
    for thread in threads:
        thread.start()
    try:
        warm.wait()
        share.wait_for_start()
    except threading.BrokenBarrierError:
        pass
    started.set()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sum(done)


async def with_coroutines(share, put):
    """Producers that await, a coroutine each."""
    await asyncio.gather(*[put([WARM_UP]) for _ in range(share.producers)])
    share.wait_for_start()

    async def produce():
        count = 0
        while taken := share.take():
            numbers, due_ns = taken
            await asyncio.sleep(max(0, due_ns - time.time_ns()) / NS)
            await put(numbers)
            count += len(numbers)
        return count

    return sum(await asyncio.gather(*[produce() for _ in range(share.producers)]))


def put_all(peer, producers, **what):
    """Have it put in by one process per processor. Returns jobs, when it began and ended."""
    processes = min(os.cpu_count(), producers)
    context = multiprocessing.get_context("fork")
    start, barrier = context.Value("q", 0), context.Barrier(processes + 1)
    results = context.Queue()

    def process(index):
        def wait_for_start():
            barrier.wait()
            share.start_ns = start.value
            time.sleep(max(0, share.start_ns - time.time_ns()) / NS)

        share = Share(index, processes, producers, **what)
        share.wait_for_start = wait_for_start
        try:
            results.put((peer.produce(share), time.time_ns(), None))
        except Exception as error:
            results.put((0, 0, "%s: %s" % (type(error).__name__, error)))
            barrier.abort()

    children = [context.Process(target=process, args=(index,), daemon=True)
                for index in range(processes)]
    for child in children:
        child.start()
    while barrier.n_waiting < processes and not barrier.broken and results.empty():
        time.sleep(POLL_SECONDS)
    start.value = time.time_ns() + START_AHEAD_NS
    try:
        barrier.wait(WAIT_SECONDS_MAX)
    except threading.BrokenBarrierError:
        pass
    told = [results.get(timeout=2 * WAIT_SECONDS_MAX) for _ in children]
    for child in children:
        child.join()
    for _, _, failure in told:
        if failure:
            sys.exit(failure)
    return sum(count for count, _, _ in told), start.value, max(end for _, end, _ in told)


def wait_until(condition, what):
    end = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        if time.monotonic() > end:
            sys.exit("after %d s %s" % (WAIT_SECONDS_MAX, what))
        time.sleep(POLL_SECONDS)


def wait_until_settled(peer, marks, count):
    """Until all jobs have run and are settled; or until there is nothing left to run for a while:
    then some are lost."""
    look_ns = idle_ns = time.monotonic_ns()  # when to ask the peer; when it last had something

    def over():
        nonlocal look_ns, idle_ns
        now_ns = time.monotonic_ns()
        if marks.all_started(count):
            return peer.pending() == 0
        if now_ns >= look_ns:  # seldom: it has something else to do
            look_ns = now_ns + LOOK_NS
            if peer.pending() > 0:
                idle_ns = now_ns
        return now_ns - idle_ns > IDLE_NS

    wait_until(over, "not all of the %d jobs had run and were settled" % count)


def percentile(ordered, percent):
    """The smallest value that at least so many are not above."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def latencies_ms(due_and_start_ns):
    """Percentiles of the time from when a job was due to its start."""
    late = sorted((start - due) / 1e6 for due, start in due_and_start_ns)
    return {"p50_ms": round(percentile(late, 50), 3), "p99_ms": round(percentile(late, 99), 3)}


def tell(peer, **result):
    """The one line that a measurement prints."""
    line = {"peer": os.environ.get("JOBS_PEER", ""),
            "scenario": os.environ.get("JOBS_SCENARIO", ""), "n": None, "seconds": None,
            "rate": None, "p50_ms": None, "p99_ms": None, "lost": None, "duplicated": None,
            "durable": os.environ.get("JOBS_DURABLE") == "1", "settings": peer.settings}
    print(json.dumps({**line, **result}), flush=True)


def skip(peer, reason):
    """Tell why this cannot be measured, which is no failure."""
    tell(peer, skipped=reason)
    sys.exit(0)


def tell_rate(peer, count, nanoseconds, **more):
    tell(peer, n=count, seconds=nanoseconds / NS, rate=count * NS / nanoseconds, **more)


def enqueue(peer, options):
    count, start_ns, end_ns = put_all(peer, options.producers, batch=options.batch,
                                      seconds=options.seconds)
    peer.clear()
    tell_rate(peer, count, end_ns - start_ns)


def run(peer, options):
    marks = Marks(os.environ["JOBS_MARKS"])
    marks.clear(options.jobs)
    count, start_ns, _ = put_all(peer, options.producers, batch=options.batch, count=options.jobs)
    wait_until_settled(peer, marks, options.jobs)
    tell_rate(peer, count, time.time_ns() - start_ns, **marks.reckon(options.jobs))


def latency(peer, options):
    marks = Marks(os.environ["JOBS_MARKS"])
    marks.clear(options.jobs)
    count, start_ns, _ = put_all(peer, options.producers, batch=1, count=options.jobs,
                                 per_s=options.rate)
    wait_until_settled(peer, marks, options.jobs)
    due_and_start_ns = ((start_ns + i * NS / options.rate, marks.times[i]) for i in range(count)
                        if marks.times[i])
    tell(peer, n=count, seconds=count / options.rate, rate=options.rate,
         **latencies_ms(due_and_start_ns), **marks.reckon(options.jobs))


def work(peer):
    stdout = os.dup(1)
    os.dup2(2, 1)  # workers greet; nobody but us writes where we tell that they are ready
    peer.work(lambda: os.write(stdout, b"ready\n"))


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    words = parser.add_subparsers(dest="word", required=True)
    enqueue_word = words.add_parser("enqueue", help="put in as many as possible; nobody runs them")
    enqueue_word.add_argument("--seconds", type=float, required=True)
    run_word = words.add_parser("run", help="put in a number of jobs and wait until they have run")
    latency_word = words.add_parser("latency", help="put in jobs at a rate; when do they start?")
    latency_word.add_argument("--rate", type=float, required=True, help="jobs per second")
    for word in (run_word, latency_word):
        word.add_argument("--jobs", type=int, required=True)
    for word in (enqueue_word, run_word, latency_word):
        word.add_argument("--producers", type=int, default=64)
    for word in (enqueue_word, run_word):
        word.add_argument("--batch", type=int, default=1)
    words.add_parser("work", help="run jobs until SIGTERM; prints `ready`")
    return parser.parse_args()


def main(description, open_peer):
    """open_peer(producers) makes the peer; None producers for the one that works."""
    options = arguments(description)
    if options.word == "work":
        work(open_peer(None))
        return
    peer = open_peer(options.producers)
    {"enqueue": enqueue, "run": run, "latency": latency}[options.word](peer, options)
