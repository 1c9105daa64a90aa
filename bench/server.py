# SPDX-License-Identifier: MIT
"""server - a `weft serve` to be measured: started on a free port, with a database that is given, and
looked at from outside."""
import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import time
import urllib.request

from measure import BUILD_SECONDS_MAX, Child, Failed, call

START_SECONDS_MAX = 60  # with a large database and a cold cache
END_SECONDS_MAX = 120


def build(directory, *targets):
    """A release build of weft in this directory, if there is none yet, and these targets of it."""
    if not (directory / "build.ninja").exists():
        call(["meson", "setup", directory, "--buildtype", "release"], timeout=BUILD_SECONDS_MAX)
    call(["ninja", "-C", directory, "src/cmd/weft", *targets], timeout=BUILD_SECONDS_MAX)


class Server:
    """With it a server runs; at the end of the block it is killed, if it was not ended before."""

    def __init__(self, build, database, *flags, environment=None):
        self.program, self.database = build / "src/cmd/weft", database
        command = [self.program, "serve", "--listen", "127.0.0.1:0", "--broker",
                   "sqlite:%s" % database, *flags]
        self.child = Child(command, cwd=database.parent, environment=environment,
                           log=database.parent / "server.log")
        self.url = None

    def __enter__(self):
        self.child.__enter__()
        told = re.search(r"http://\S+", self.child.first_line(START_SECONDS_MAX))
        if not told:
            said = self.child.what_it_said()
            self.child.__exit__()
            raise Failed("weft serve told no address\n" + said)
        self.url = told.group(0)
        return self

    def __exit__(self, *_):
        self.child.__exit__()

    def end(self):
        """With SIGTERM; it has to end well."""
        self.child.process.send_signal(signal.SIGTERM)
        try:
            code = self.child.process.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired as error:
            raise Failed("the server does not end") from error
        if code:
            raise Failed("the server ended with %d\n%s" % (code, self.child.what_it_said()))

    def check(self):
        """That it has not ended by itself."""
        code = self.child.process.poll()
        if code is not None:
            raise Failed("the server ended with %d\n%s" % (code, self.child.what_it_said()))

    # -- from outside

    def memory_bytes(self, field):
        """VmHWM, VmRSS."""
        with open("/proc/%d/status" % self.child.process.pid, encoding="utf-8") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
        raise Failed("no %s of the server" % field)

    def cpu_seconds(self):
        """In user mode and in the kernel."""
        with open("/proc/%d/stat" % self.child.process.pid, encoding="utf-8") as stat:
            fields = stat.read().rpartition(")")[2].split()
        ticks = os.sysconf("SC_CLK_TCK")
        return int(fields[11]) / ticks, int(fields[12]) / ticks

    def disk_bytes(self):
        """Of the database and its log."""
        return sum(path.stat().st_size for path in self.database.parent.glob(
            self.database.name + "*"))

    # -- over HTTP

    def request(self, method, path, body=None):
        """What it answers, as JSON; anything but success is a failure."""
        request = urllib.request.Request(
            self.url + path, None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.loads(reply.read())
        except (OSError, ValueError) as error:
            raise Failed("%s %s: %s" % (method, path, error)) from error

    def load(self, path, body, connections, *flags, timeout=600):
        """What `weft load` tells; every request must have succeeded. {i} in the body becomes the
        number of the request."""
        told = json.loads(call([self.program, "load", self.url + path, "--body", body,
                                "--connections", connections, "--json", *flags], timeout=timeout))
        if told["succeeded"] != told["requests"] or told["not_started"]:
            raise Failed("not all was accepted: %s" % told)
        return told

    # -- in its database

    @contextlib.contextmanager
    def reader(self):
        database = sqlite3.connect("file:%s?mode=ro" % self.database, uri=True, timeout=30,
                                   isolation_level=None)
        try:
            yield database
        finally:
            database.close()

    def wait_until_idle(self, seconds_max, poll_s=0.02):
        """Until no job is left to be done, as of the last commit. Returns whether there is none."""
        end = time.monotonic() + seconds_max
        with self.reader() as database:
            while database.execute("SELECT EXISTS (SELECT 1 FROM queue)").fetchone()[0]:
                if time.monotonic() > end:
                    return False
                self.check()
                time.sleep(poll_s)
        return True
