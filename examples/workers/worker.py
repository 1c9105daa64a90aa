#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A weft worker in Python, standard library only: worker.py [SERVER [QUEUE [FILE]]], by default
http://127.0.0.1:8001 and "python"; FILE is Python with more TASKS. SIGTERM or Ctrl-C lets the jobs
under way end. WEFT_TOKEN may hold a token with the scope "work", WEFT_LEASE the seconds after which
jobs run elsewhere if this worker dies (30). Leases are renewed by a thread of its own, so a task may
take as long as it likes; one whose lease was lost, or that was cancelled, finds `stop` set."""
import json, os, runpy, signal, sys, threading, urllib.error, urllib.request
from concurrent.futures import ThreadPoolExecutor

SERVER = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8001"
QUEUE = sys.argv[2] if len(sys.argv) > 2 else "python"
PLACES, LEASE_S = 8, float(os.environ.get("WEFT_LEASE", 30))
TASKS = {"word_count": lambda job, stop: {"words": len(job["payload"]["text"].split())}}
if len(sys.argv) > 3:
    TASKS.update(runpy.run_path(sys.argv[3])["TASKS"])
held = {}  # id -> (token, stop) of the jobs under way
places, ending = threading.Semaphore(PLACES), threading.Event()

def call(path, body):
    headers = {"Content-Type": "application/json"}
    if os.environ.get("WEFT_TOKEN"):
        headers["Authorization"] = "Bearer " + os.environ["WEFT_TOKEN"]
    request = urllib.request.Request(SERVER + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)["jobs"]

def until_heard(path, body):
    """The server may be away for a while; what was done is told when it is back."""
    for _ in range(60):
        try:
            return call(path, body)
        except Exception as error:
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            print(path, error, error.read().decode() if refused else "", file=sys.stderr)
            threading.Event().wait(1)
            if refused:  # and it will be again
                break
    return []

def run(job):
    token, stop = held[job["id"]]
    lease = {"id": job["id"], "token": token}
    try:
        outcome = {"outcome": "complete", "result": TASKS[job["task"]](job, stop)}
        json.dumps(outcome, allow_nan=False)  # what is no JSON is a failure as well
    except BaseException as error:  # the server decides whether there is another attempt
        outcome = {"outcome": "fail", "error": f"{type(error).__name__}: {error}"}
    until_heard("/v1/settle", {"jobs": [lease | outcome]})
    del held[job["id"]]
    places.release()

def heartbeat():
    while True:
        threading.Event().wait(LEASE_S / 3)
        leases = [{"id": id, "token": token, "lease": LEASE_S} for id, (token, _) in list(held.items())]
        for reply in until_heard("/v1/extend", {"jobs": leases}) if leases else []:
            _, stop = held.get(reply["id"], (None, None))  # it may have ended meanwhile
            if stop and (reply.get("cancel") or "error" in reply):
                stop.set()

for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: ending.set())
threading.Thread(target=heartbeat, daemon=True).start()
with ThreadPoolExecutor(PLACES) as pool:
    while not ending.is_set():
        if not places.acquire(timeout=0.5):
            continue
        jobs = until_heard("/v1/lease", {"queues": [QUEUE], "max": 1, "lease": LEASE_S, "wait": 2})
        for job in jobs:
            held[job["id"]] = (job["token"], threading.Event())
            pool.submit(run, job)
        if not jobs:
            places.release()
