# SPDX-License-Identifier: MIT
"""AsyncTasQ's driver for bench/jobs."""
import multiprocessing
import os
import signal

import asynctasq
import redis
from tasks import Noop, driver

CONCURRENCY = 10
QUEUE = "queue:default"


class AsyncTasQ:
    def __init__(self, producers):
        self.redis = redis.Redis.from_url(os.environ["JOBS_BROKER"])
        self.settings = ("%d worker processes with --concurrency %d; uvloop; no events; "
                         "a connection per producer" % (os.cpu_count(), CONCURRENCY))
        self.config = {"driver": "redis",
                       "redis": asynctasq.RedisConfig(url=os.environ["JOBS_BROKER"],
                                                      max_connections=producers or 100)}

    def produce(self, share):
        async def put(numbers):  # there is no call for many at once
            for number in numbers:
                await Noop(number=number).dispatch()

        asynctasq.init(self.config)
        return asynctasq.run(driver.with_coroutines(share, put))

    def pending(self):
        return self.redis.llen(QUEUE) + self.redis.llen(QUEUE + ":processing")

    def clear(self):
        self.redis.flushall()

    def worker(self):
        """What `asynctasq worker` does."""
        asynctasq.init(self.config)
        driver_ = asynctasq.DriverFactory.create("redis", asynctasq.Config.get())
        asynctasq.run(asynctasq.Worker(driver_, concurrency=CONCURRENCY).start())

    def work(self, ready):
        context = multiprocessing.get_context("fork")
        workers = [context.Process(target=self.worker) for _ in range(os.cpu_count())]
        for worker in workers:
            worker.start()
        signal.signal(signal.SIGTERM, lambda *_: [worker.terminate() for worker in workers])
        ready()
        for worker in workers:
            worker.join()


if __name__ == "__main__":
    driver.main(__doc__, AsyncTasQ)
