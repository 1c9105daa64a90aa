# SPDX-License-Identifier: MIT
"""tasks - the Celery application. What is not set is Celery's default: JSON, prefork with a process
per processor, no events."""
import os
import sys
from pathlib import Path

from celery import Celery

sys.path.append(str(Path(__file__).resolve().parent.parent))
import driver  # noqa: E402

ACKS_LATE = os.environ.get("JOBS_ACKS_LATE") == "1"
PREFETCH = 128

marks = driver.Marks(os.environ["JOBS_MARKS"])
app = Celery("jobs", broker=os.environ["JOBS_BROKER"])
app.conf.update(task_ignore_result=True, task_acks_late=ACKS_LATE,
                worker_prefetch_multiplier=PREFETCH, broker_connection_retry_on_startup=True)


@app.task(name="noop")
def noop(number):
    marks.start(number)
