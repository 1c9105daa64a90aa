#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`weft mock` from outside: its settings, its ends, and docs/mock.md against it. TAP.

    WEFT_PROGRAM   the program
    WEFT_DOCUMENT  docs/mock.md: every route that it names must be there, and no other
"""
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import traceback

WEFT = os.environ["WEFT_PROGRAM"]
DOCUMENT = os.environ["WEFT_DOCUMENT"]
PATIENCE_S = 120

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("WEFT_")}


class Mock:
    """A running one."""

    def __init__(self, *arguments, environment=None, directory=None, listen="127.0.0.1:0"):
        command = [WEFT, "mock", "--json", *arguments]
        if listen:
            command += ["--listen", listen]
        self.process = subprocess.Popen(command, cwd=directory or work, text=True,
                                        env={**CLEAN, **(environment or {})},
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate(timeout=PATIENCE_S)[1])
        self.port = json.loads(line)["port"]

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.communicate(timeout=PATIENCE_S)

    def ask(self, target, method="GET", body=None, headers=None):
        """Status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, target, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def stats(self):
        return json.loads(self.ask("/__stats")[2])

    def wait_for(self, route, count):
        end = time.monotonic() + PATIENCE_S
        while self.stats()["routes"].get(route, {}).get("now") != count:
            assert time.monotonic() < end, "nobody asks"
            time.sleep(0.01)

    def end(self):
        """The exit code, and what it printed at its end."""
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out


def refused(*arguments, environment=None):
    """What it said, when it must not start."""
    done = subprocess.run([WEFT, "mock", *arguments], cwd=work, text=True, timeout=PATIENCE_S,
                          env={**CLEAN, **(environment or {})}, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert done.stdout == "" and done.stderr.count("\n") == 1, done
    return done.stderr


# ---- the tests ----------------------------------------------------------------------------------


def it_says_where_it_listens_and_ends_with_0():
    process = subprocess.Popen([WEFT, "mock", "--listen", "127.0.0.1:0"], cwd=work, text=True,
                               env=CLEAN, stdout=subprocess.PIPE)
    first, second = process.stdout.readline(), process.stdout.readline()
    assert re.fullmatch(r"weft mocks on http://127\.0\.0\.1:\d+\n", first), first
    assert second.startswith("try: curl -s 'http://127.0.0.1:"), second
    process.terminate()
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0 and out.startswith("0 requests on 0 connections"), out


def the_counters_at_the_end_are_what_was_asked():
    with Mock() as mock:
        for _ in range(5):
            mock.ask("/bytes/100")
        mock.ask("/nothing")
        mock.process.send_signal(signal.SIGINT)
        code, out = mock.end()
    stats = json.loads(out)
    assert code == 0
    assert stats["requests"] == 5 and stats["unrouted"] == 1 and stats["connections"] == 6
    assert stats["routes"]["/bytes/{n}"]["bytes"] == 500


def flags_count_before_the_environment_and_that_before_the_file():
    directory = os.path.join(work, "settings")
    os.mkdir(directory)
    with open(os.path.join(directory, "weft.ini"), "w", encoding="ascii") as file:
        file.write("[mock]\nseed = 5\nlisten = 127.0.0.1:0\nworkers = 2\n")
    elsewhere = {"WEFT_SEED": "9", "WEFT_LISTEN": "nonsense"}  # of other commands
    try:
        with Mock(environment=elsewhere, directory=directory, listen=None) as mock:
            stats = mock.stats()
            assert stats["seed"] == 5 and stats["workers"] == 2, stats
    except AssertionError as error:
        if "built without inih" in str(error):
            return
        raise
    named = {**elsewhere, "WEFT_MOCK_SEED": "6"}
    with Mock(environment=named, directory=directory) as mock:
        assert mock.stats()["seed"] == 6
    with Mock("--seed", "7", environment=named, directory=directory) as mock:
        assert mock.stats()["seed"] == 7


def what_cannot_be_is_refused_in_one_sentence():
    assert "can be reached from other machines" in refused("--listen", "0.0.0.0:0")
    assert "is no address to listen on" in refused("--listen", "here")
    assert "the latency \"soon\" is not one" in refused("--latency", "soon")
    assert "the rate limit \"10\" is not one" in refused("--rate-limit", "10")
    assert "--error-rate: '2' is not a share, like 0.05 or 5%" in refused("--error-rate", "2")
    assert "--reset-rate: '101%' is not a share" in refused("--reset-rate", "101%")
    assert "--retry-after: 'soon' is neither seconds nor date" in refused("--retry-after", "soon")
    assert "--workers: '0' is not a number between 1 and 64" in refused("--workers", "0")
    assert "WEFT_MOCK_WORKERS: 'x' is not" in refused(environment={"WEFT_MOCK_WORKERS": "x"})
    assert "--robots-status: '99' is not" in refused("--robots-status", "99")
    assert "did you mean --latency?" in refused("--latncy", "1s")


def any_address_will_do_if_that_is_said():
    with Mock("--insecure", listen="0.0.0.0:0") as mock:
        assert mock.ask("/health")[0] == 200


def settings_do_what_they_say():
    robots = os.path.join(work, "robots.txt")
    with open(robots, "w", encoding="ascii") as file:
        file.write("User-agent: *\nDisallow: /\n")
    with Mock("--robots", robots, "--error-rate", "100%", "--site-pages", "50") as mock:
        assert mock.ask("/robots.txt")[2] == b"User-agent: *\nDisallow: /\n"
        assert mock.ask("/get")[0] == 500
        assert mock.ask("/get?error_rate=0")[0] == 200
        assert json.loads(mock.ask("/__site")[2])["pages"] == 50
    with Mock("--rate-limit", "2/1h", "--retry-after", "date", "--workers", "2") as mock:
        statuses = [mock.ask("/get")[0] for _ in range(5)]
        assert statuses == [200, 200, 429, 429, 429], statuses
        assert mock.ask("/get")[1]["Retry-After"].endswith(" GMT")
        assert mock.ask("/__reset", "POST")[0] == 204
        assert mock.ask("/get")[0] == 200


def what_is_under_way_is_answered_before_it_ends():
    got = []
    with Mock() as mock:
        asking = threading.Thread(target=lambda: got.append(mock.ask("/delay/0.5")[0]))
        asking.start()
        mock.wait_for("/delay/{s}", 1)
        mock.process.terminate()
        assert mock.end()[0] == 0
        asking.join(PATIENCE_S)
    assert got == [200], got


def a_second_signal_ends_it_at_once():
    failed = []

    def ask(mock):
        try:
            mock.ask("/delay/60")
        except (OSError, http.client.HTTPException):
            failed.append(True)

    with Mock() as mock:
        asking = threading.Thread(target=ask, args=(mock,))
        asking.start()
        mock.wait_for("/delay/{s}", 1)
        mock.process.terminate()
        # Until it listens no more, the first signal has not been taken, and two would be one.
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                mock.ask("/health")
            except OSError:
                break
        mock.process.terminate()
        assert mock.end()[0] == 0
        asking.join(PATIENCE_S)
    assert failed == [True]


# A target for each route of the document that is not one by itself.
TARGETS = {
    "/webhooks/process": ("POST", "/webhooks/process?latency=0"),
    "/delay/{s}": ("GET", "/delay/0"),
    "/redirect-to": ("GET", "/redirect-to?url=/get"),
    "/slow": ("GET", "/slow?rate=1000000"),
    "/stall": ("GET", "/stall?for=0"),
}
VALUES = {"{id}": "7", "{code}": "203", "{n}": "1", "{tag}": "v1"}


def the_document_names_every_route_and_no_other():
    with open(DOCUMENT, encoding="utf-8") as file:
        rows = [line.split("|")[1] for line in file.read().split("## Routes")[1].splitlines()
                if line.startswith("| `")]
    named = [route for row in rows for quoted in re.findall("`([^`]*)`", row)
             for route in [quoted.split()[-1].split("?")[0]]]
    assert len(named) > 40 and len(set(named)) == len(named), named
    with Mock("--latency", "0", "--site-pages", "60000") as mock:
        for route in named:
            if route == "/__reset":
                continue  # it would make the others forgotten
            method, target = TARGETS.get(route, ("GET", route))
            for name, value in VALUES.items():
                target = target.replace(name, value)
            try:
                status = mock.ask(target, method)[0]
            except (OSError, http.client.HTTPException):
                status = 0  # as it should be, of some
            missing = route in ("/site/missing/{n}",)
            assert status == (404 if missing else status) and status != 405, (route, status)
            assert missing or status != 404, (route, status)
        stats = mock.stats()
        assert stats["unrouted"] == 0, stats
        assert mock.ask("/__reset", "POST")[0] == 204
        counted = {re.sub(r"\{.*\}", "{}", route) for route in stats["routes"]}
    shown = {re.sub(r"\{.*\}", "{}", route) for route in named if not route.startswith("/__")}
    assert shown == counted, shown ^ counted


TESTS = [
    it_says_where_it_listens_and_ends_with_0,
    the_counters_at_the_end_are_what_was_asked,
    flags_count_before_the_environment_and_that_before_the_file,
    what_cannot_be_is_refused_in_one_sentence,
    any_address_will_do_if_that_is_said,
    settings_do_what_they_say,
    what_is_under_way_is_answered_before_it_ends,
    a_second_signal_ends_it_at_once,
    the_document_names_every_route_and_no_other,
]

work = tempfile.mkdtemp()
failures = 0
for number, test in enumerate(TESTS, 1):
    name = test.__name__.replace("_", " ")
    try:
        test()
        print(f"ok {number} - {name}")
    except Exception:
        failures += 1
        print("# " + traceback.format_exc().replace("\n", "\n# "))
        print(f"not ok {number} - {name}")
print(f"1..{len(TESTS)}")
shutil.rmtree(work)
raise SystemExit(failures > 0)
