# SPDX-License-Identifier: MIT
"""weft's driver for bench/jobs. Jobs are put in over HTTP by `weft load`, as POST /v1/jobs; the
server runs them in the same process, so nothing here works. While it is measured how fast jobs are
taken in, their queue is paused: nobody runs them, as with the other peers."""
import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))
import driver  # noqa: E402

LOAD_SECONDS_MAX = 120
QUEUE = "bench"
COUNTS = """SELECT (SELECT completed + dead + cancelled FROM totals), (SELECT dead FROM totals),
                   (SELECT count(*) FROM (SELECT 1 FROM queue LIMIT 1))"""
CREATED = """SELECT CAST(json_extract(payload, '$.number') AS INTEGER), created_us FROM jobs
             WHERE created_us >= ?"""


class Weft:
    def __init__(self, producers):
        self.url = os.environ["JOBS_BROKER"]
        self.producers = producers
        self.database = sqlite3.connect("file:%s?mode=ro" % os.environ["JOBS_DATABASE"], uri=True,
                                        isolation_level=None)
        self.settings = "POST /v1/jobs; " + os.environ["JOBS_SETTINGS"]
        self.marks = driver.Marks(os.environ["JOBS_MARKS"])
        self.pause(False)
        driver.wait_until(lambda: self.pending() == 0, "there were still jobs of earlier")
        self.dead_before = self.counts()[1]

    def pause(self, paused):
        request = urllib.request.Request(
            "%s/v1/queues/%s" % (self.url, QUEUE), json.dumps({"paused": paused}).encode(),
            {"Content-Type": "application/json"}, method="PATCH")
        with urllib.request.urlopen(request, timeout=driver.WAIT_SECONDS_MAX):
            pass

    @staticmethod
    def body(batch):
        """{i} becomes the number of the request; two digits after it make that of a job."""
        places = [""] if batch == 1 else ["%02d" % place for place in range(batch)]
        jobs = [{"task": "mark", "queue": QUEUE, "payload": {"number": "{i}" + place}}
                for place in places]
        return json.dumps(jobs[0] if batch == 1 else jobs)

    def counts(self):
        """Ended, dead, and whether there are any that are neither."""
        return self.database.execute(COUNTS).fetchone()

    def pending(self):
        """As of the last commit."""
        return self.counts()[2]

    def load(self, batch, *flags):
        """Put jobs in; all must be accepted. Returns what the load says."""
        if batch not in (1, 100):
            sys.exit("batches have 100 jobs")
        command = [os.environ["JOBS_WEFT"], "load", self.url + "/v1/jobs", "--body",
                   self.body(batch), "--connections", str(self.producers), "--json",
                   *map(str, flags)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LOAD_SECONDS_MAX,
                              check=False)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        told = json.loads(done.stdout)
        if told["succeeded"] != told["requests"] or told["not_started"]:
            sys.exit("not all was accepted: " + done.stdout)
        return told

    def wait_until_settled(self, count):
        """Returns what became of them."""
        driver.wait_until_settled(self, self.marks, count)
        if self.counts()[1] > self.dead_before:
            sys.exit("jobs failed")
        return self.marks.reckon(count)


def enqueue(peer, options):
    peer.marks.clear(peer.marks.room)
    peer.pause(True)
    told = peer.load(options.batch, "--duration", "%dms" % (1000 * options.seconds))
    count = told["requests"] * options.batch
    peer.pause(False)
    if count > peer.marks.room:
        sys.exit("there is no room for the marks of %d jobs" % count)
    driver.tell_rate(peer, count, told["elapsed_s"] * driver.NS, **peer.wait_until_settled(count))


def run(peer, options):
    peer.marks.clear(options.jobs)
    start_us = time.time_ns() // 1000
    peer.load(options.batch, "--requests", options.jobs // options.batch)
    reckoned = peer.wait_until_settled(options.jobs)
    end_us = time.time_ns() // 1000
    first_us, = peer.database.execute("SELECT min(created_us) FROM jobs WHERE created_us >= ?",
                                      (start_us,)).fetchone()
    driver.tell_rate(peer, options.jobs, 1000 * (end_us - first_us), **reckoned)


def latency(peer, options):
    """Request i was due at start + i / rate. The load does not tell its start, but the request that
    came in soonest after it was due does: too late by that request's way into the server."""
    peer.marks.clear(options.jobs)
    start_us = time.time_ns() // 1000
    peer.load(1, "--requests", options.jobs, "--rate", options.rate)
    reckoned = peer.wait_until_settled(options.jobs)
    began_us = min(created_us - number / options.rate * 1e6
                   for number, created_us in peer.database.execute(CREATED, (start_us,)))
    due_and_start_ns = ((1000 * began_us + number / options.rate * driver.NS,
                         peer.marks.times[number]) for number in range(options.jobs)
                        if peer.marks.times[number])
    driver.tell(peer, n=options.jobs, seconds=options.jobs / options.rate, rate=options.rate,
                **driver.latencies_ms(due_and_start_ns), **reckoned)


if __name__ == "__main__":
    OPTIONS = driver.arguments(__doc__)
    MEASURE = {"enqueue": enqueue, "run": run, "latency": latency}.get(OPTIONS.word)
    if not MEASURE:
        sys.exit("the server itself works")
    MEASURE(Weft(OPTIONS.producers), OPTIONS)
