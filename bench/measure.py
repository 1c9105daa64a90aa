# SPDX-License-Identifier: MIT
"""measure - what the comparisons beside this file share: running programs within limits, statistics
that need no assumption, and the facts of the machine."""
import argparse
import ctypes
import math
import os
import re
import resource
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from json import loads
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
PEERS_BUILD = TREE / "build" / "peers"

RUN_SECONDS_MAX = 60
START_SECONDS_MAX = 10
STOP_SECONDS_MAX = 10
BUILD_SECONDS_MAX = 900
DISTURBED_PERCENT = 5
DESCRIPTORS = 4096
PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """A program or a build that did not do what it should; the text says what it said."""


class Missing(Exception):
    """A tool that is not installed."""


def tell(text):
    print("%s: %s" % (Path(sys.argv[0]).name, text), file=sys.stderr, flush=True)


# ---- programs --------------------------------------------------------------------------------


def find_tool(name, *folders):
    path = shutil.which(name)
    for folder in folders:
        path = path or shutil.which(name, path=os.path.expanduser(folder))
    if not path:
        raise Missing("%s is not installed" % name)
    return path


def call(command, cwd=TREE, timeout=RUN_SECONDS_MAX, **environment):
    """Run to its end and return what it printed; a failure shows all it said."""
    try:
        done = subprocess.run([str(part) for part in command], cwd=cwd, timeout=timeout, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env={**os.environ, **environment},
                              check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed("%s: not done after %d s" % (command[0], timeout)) from error
    except OSError as error:
        raise Failed("%s: %s" % (command[0], error)) from error
    if done.returncode:
        raise Failed("%s\n%s%s" % (" ".join(map(str, command)), done.stdout, done.stderr))
    return done.stdout


class Child:
    """A program, and all that it starts, in a session of its own. It outlives neither this script
    nor the with block, at whose end it gets the signal `stop` and, if it must be, SIGKILL.

    processors   where it may run; empty: anywhere
    environment  added to this script's
    cwd, user    where, and as whom, by name; None: as this script
    log          a file to which its standard error is appended; None: one of its own that is gone
                 afterwards"""

    def __init__(self, command, processors=(), environment=None, cwd=None, user=None,
                 stop=signal.SIGKILL, log=None):
        self.command = [str(part) for part in command]
        self.processors = processors
        self.environment = environment or {}
        self.cwd = cwd
        self.user = user
        self.stop = stop
        self.log = log

    def _prepare(self):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if self.processors:
            os.sched_setaffinity(0, self.processors)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

    def __enter__(self):
        # What tunes a peer's runtime stays outside; WEFT_IO is a fact of the run, and is printed.
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("GO", "TOKIO_", "UV_"))}
        environment.update(self.environment)
        as_user = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        self.errors = open(self.log, "a+") if self.log else tempfile.TemporaryFile("w+")
        try:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, text=True,
                                            stdout=subprocess.PIPE, stderr=self.errors,
                                            env=environment, cwd=self.cwd,
                                            preexec_fn=self._prepare,
                                            start_new_session=True, **as_user)
        except (OSError, subprocess.SubprocessError) as error:
            self.errors.close()
            raise Failed("%s: %s" % (self.command[0], error)) from error
        return self

    def __exit__(self, *_):
        try:
            if self.process.poll() is None:
                self.process.send_signal(self.stop)
                self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            pass
        finally:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.process.stdout.close()
            self.errors.close()

    def what_it_said(self):
        self.errors.seek(0)
        return self.errors.read().strip()[-2000:]

    def succeed(self, timeout):
        """What it prints before it ends well."""
        try:
            output, _ = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise Failed("not done after %d s\n%s" % (timeout, self.what_it_said())) from error
        if self.process.returncode:
            raise Failed("exit code %d\n%s" % (self.process.returncode, self.what_it_said()))
        return output

    def results(self, timeout):
        """The lines of JSON that it prints before it ends well."""
        output = self.succeed(timeout)
        try:
            return [loads(line) for line in output.splitlines()]
        except ValueError as error:
            raise Failed("not JSON: %s" % output[:200]) from error

    def first_line(self, timeout=START_SECONDS_MAX):
        """With it a server says that it is ready; empty when it does not."""
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        return self.process.stdout.readline().strip() if ready else ""

    def port(self):
        """The first line of a server."""
        line = self.first_line()
        if not line.isdigit():
            raise Failed("the server told no port: %s\n%s" % (line, self.what_it_said()))
        return int(line)


# ---- statistics ------------------------------------------------------------------------------


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def median_interval(values):
    """Order statistics that enclose the median with 95 % at least, None where too few: the number
    of values below the true median is binomial."""
    count, below, cut = len(values), 0.0, 0
    for i in range(count // 2):
        below += math.comb(count, i) / 2**count
        if 2 * below > 0.05:
            break
        cut = i + 1
    if cut == 0:
        return None
    ordered = sorted(values)
    return ordered[cut - 1], ordered[count - cut]


def number(value):
    return "%.0f" % value if value >= 1000 else "%.3g" % value


# ---- the machine -----------------------------------------------------------------------------


def read(path):
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def first_match(pattern, text, default="not told"):
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1).strip() if found else default


def compiler_of(program):
    """What the compiler left in the program."""
    try:
        return first_match(r"\]\s+(.+)", call(["readelf", "-p", ".comment", program]))
    except Failed:
        return "not told"


def machine(build, program):
    """Facts of the machine, and of weft's `program` in the build directory `build`."""
    memory = first_match(r"MemTotal:\s+(\d+)", read("/proc/meminfo"), "0")
    build_options = loads(call(["meson", "introspect", "--buildoptions", build]))
    return {
        "cpu": first_match(r"model name\s*: (.*)", read("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory) * 1024 / 1e9, 1),
        "kernel": os.uname().release,
        "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "not told",
        "load_at_start": os.getloadavg()[0],
        "compiler": compiler_of(program),
        "buildtype": next((o["value"] for o in build_options if o["name"] == "buildtype"), "?"),
        "weft_io": os.environ.get("WEFT_IO", "default"),
    }


def processor_times():
    return [int(field) for field in read("/proc/stat").splitlines()[0].split()[1:9]]


def our_seconds():
    """Processor time of this script and of all that it ran and has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Disturbance:
    """What share of all processor time others took from its making on, in percent: other programs
    (what was neither idle (3), waiting for a disk (4) nor stolen (7), nor ours), and the host."""

    def __init__(self):
        self.times, self.ours = processor_times(), our_seconds()

    def so_far(self):
        spent = [b - a for a, b in zip(self.times, processor_times())]
        ticks_per_s = os.sysconf("SC_CLK_TCK")
        busy = (sum(spent) - spent[3] - spent[4] - spent[7]) / ticks_per_s
        others = max(0.0, busy - (our_seconds() - self.ours))
        return {"others_percent": round(100.0 * others / max(1.0, sum(spent) / ticks_per_s), 2),
                "stolen_percent": round(100.0 * spent[7] / max(1, sum(spent)), 2)}


# ---- command line ----------------------------------------------------------------------------


def split_names(text, known):
    names = text.split(",")
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError("'%s' is none of: %s" % (name, " ".join(known)))
    return names


def positive(text):
    value = int(text)
    if value < 1:
        raise ValueError
    return value
