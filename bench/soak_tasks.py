# SPDX-License-Identifier: MIT
"""The task of bench/soak-jobs for examples/workers/worker.py: soak_tasks.c in Python."""
import itertools
import os
import time

RECORD_BYTES = 128
LEDGER = os.open(os.environ["SOAK_LEDGER"], os.O_WRONLY | os.O_APPEND)
EXECUTIONS = itertools.count()


def soak(job, stop):
    asked = job["payload"]
    name = "%d-%d-%d" % (os.getpid(), time.monotonic_ns(), next(EXECUTIONS))

    def note(what):
        record = "%s %d %s %d %d %d %s" % (what, asked["n"], name, job["attempt"],
                                           time.monotonic_ns(), os.getpid(), job["id"])
        os.write(LEDGER, record.ljust(RECORD_BYTES - 1).encode() + b"\n")

    note("S")
    if stop.wait(asked["ms"] / 1000):
        note("C")
        raise InterruptedError("told to stop")
    if job["attempt"] <= asked["fails"]:
        note("F")
        raise ValueError("as it was told to")
    note("E")
    return {"execution": name}


TASKS = {"soak": soak}
