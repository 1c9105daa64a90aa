# SPDX-License-Identifier: MIT
"""Celery's driver for bench/jobs."""
import os

import redis
from celery.signals import worker_ready
from tasks import ACKS_LATE, PREFETCH, app, driver, noop


class Celery:
    def __init__(self, _producers):
        self.redis = redis.Redis.from_url(os.environ["JOBS_BROKER"])
        self.settings = ("prefork, %d processes; worker_prefetch_multiplier %d; task_acks_late %s; "
                         "task_ignore_result; JSON; no result backend; broker_pool_limit 10"
                         % (os.cpu_count(), PREFETCH, ACKS_LATE))

    def produce(self, share):
        def put(numbers):  # there is no call for many at once; a group does the same
            with app.producer_pool.acquire(block=True) as producer:
                for number in numbers:
                    noop.apply_async((number,), producer=producer)

        return driver.with_threads(share, put)

    def pending(self):
        return self.redis.llen("celery") + self.redis.hlen("unacked")

    def clear(self):
        self.redis.flushall()

    def work(self, ready):
        worker_ready.connect(lambda **_: ready(), weak=False)
        app.worker_main(["worker", "--pool=prefork", "--loglevel=ERROR", "--without-mingle",
                         "--without-gossip"])


if __name__ == "__main__":
    driver.main(__doc__, Celery)
