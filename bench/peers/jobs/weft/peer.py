# SPDX-License-Identifier: MIT
"""weft's driver for bench/jobs. Jobs are put in over HTTP by `weft load`: as /v1/jobs where the
server has that, else one at a time as POST /process, which with steps of no length does as little.
The server runs them in the same process, so nothing here works."""
import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))
import driver  # noqa: E402

LOAD_SECONDS_MAX = 120
COUNTS = "SELECT completed, dead, available + running FROM totals"
# When it was put in and when it was settled, in microseconds; that it had started was before that.
TIMES = """SELECT CAST(json_extract(CAST(jobs.payload AS TEXT), '$.text') AS INTEGER),
                  jobs.created_us, outcomes.finished_us
           FROM jobs JOIN outcomes USING (seq) WHERE jobs.created_us >= ? AND outcomes.state = 5"""


class Weft:
    def __init__(self, producers):
        self.url = os.environ["JOBS_BROKER"]
        self.producers = producers
        self.database = sqlite3.connect("file:%s?mode=ro" % os.environ["JOBS_DATABASE"], uri=True,
                                        isolation_level=None)
        self.path = "/v1/jobs"
        self.why_not_v1 = self.try_v1()
        if self.why_not_v1:
            self.path = "/process"
        self.settings = "POST %s; %s" % (self.path, os.environ["JOBS_SETTINGS"])
        driver.wait_until(lambda: self.counts()[2] == 0, "there were still jobs of earlier")
        self.before = self.counts()

    def try_v1(self):
        """Put in one job that does not count. Returns why that does not go, or None."""
        request = urllib.request.Request(self.url + "/v1/jobs", data=self.body(1).encode(),
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=driver.WAIT_SECONDS_MAX):
                return None
        except urllib.error.HTTPError as error:
            return "POST /v1/jobs answers %d" % error.code

    def body(self, batch):
        if batch == 1 and self.path == "/process":
            return '{"text": "{i}"}'
        job = {"task": "noop", "payload": {"text": "{i}"}}
        return json.dumps(job if batch == 1 else [job] * batch)

    def counts(self):
        return self.database.execute(COUNTS).fetchone()

    def load(self, batch, *flags):
        """Put jobs in; all must be accepted. Returns what the load says."""
        if batch > 1 and self.why_not_v1:
            driver.skip(self, self.why_not_v1)
        command = [os.environ["JOBS_WEFT"], "load", self.url + self.path, "--body",
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
        """The database's counters are those of the last commit."""
        def settled():
            completed, dead, _ = self.counts()
            return completed - self.before[0] + dead - self.before[1] >= count

        driver.wait_until(settled, "not all of the %d jobs were settled" % count)
        if self.counts()[1] > self.before[1]:
            sys.exit("jobs failed")


def enqueue(peer, options):
    told = peer.load(options.batch, "--duration", "%dms" % (1000 * options.seconds))
    count = told["requests"] * options.batch
    peer.wait_until_settled(count)
    driver.tell_rate(peer, count, told["elapsed_s"] * driver.NS)


def run(peer, options):
    start_us = time.time_ns() // 1000
    peer.load(options.batch, "--requests", options.jobs // options.batch)
    peer.wait_until_settled(options.jobs)
    end_us = time.time_ns() // 1000
    first_us, = peer.database.execute("SELECT min(created_us) FROM jobs WHERE created_us >= ?",
                                      (start_us,)).fetchone()
    driver.tell_rate(peer, options.jobs, 1000 * (end_us - first_us))


def latency(peer, options):
    """Request i was due at start + i / rate. The load does not tell its start, but the request that
    came in soonest after it was due does: too late by that request's way into the server."""
    start_us = time.time_ns() // 1000
    peer.load(1, "--requests", options.jobs, "--rate", options.rate)
    peer.wait_until_settled(options.jobs)
    offset_us = {number: number / options.rate * 1e6 for number in range(options.jobs)}
    times = peer.database.execute(TIMES, (start_us,)).fetchall()
    if sorted(number for number, _, _ in times) != list(offset_us):
        sys.exit("%d of %d jobs are in the database" % (len(times), options.jobs))
    began_us = min(created_us - offset_us[number] for number, created_us, _ in times)
    due_and_settled_ns = [(1000 * (began_us + offset_us[number]), 1000 * finished_us)
                          for number, _, finished_us in times]
    driver.tell(peer, n=options.jobs, seconds=options.jobs / options.rate, rate=options.rate,
                **driver.latencies_ms(due_and_settled_ns))


if __name__ == "__main__":
    OPTIONS = driver.arguments(__doc__)
    MEASURE = {"enqueue": enqueue, "run": run, "latency": latency}.get(OPTIONS.word)
    if not MEASURE:
        sys.exit("the server itself works")
    MEASURE(Weft(OPTIONS.producers), OPTIONS)
