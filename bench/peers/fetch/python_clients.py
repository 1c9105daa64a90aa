# SPDX-License-Identifier: MIT
"""python_clients CLIENT URL REQUESTS CONNECTIONS - aiohttp, httpx or requests, each as its manual
says that it is fast: one session, as many tasks (threads for requests) as connections. Prints a line
of JSON."""
import asyncio
import json
import sys
import threading
import time


async def tasks(get, count, connections):
    left, good = count, 0

    async def work():
        nonlocal left, good
        while left > 0:
            left -= 1
            good += await get()

    await asyncio.gather(*(work() for _ in range(connections)))
    return good


async def by_aiohttp(url, count, connections):
    import aiohttp

    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def get():
            async with session.get(url) as response:
                await response.read()
                return response.status == 200

        return await tasks(get, count, connections), aiohttp.__version__


async def by_httpx(url, count, connections):
    import httpx

    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(limits=limits, timeout=30) as client:

        async def get():
            return (await client.get(url)).status_code == 200

        return await tasks(get, count, connections), httpx.__version__


def by_requests(url, count, connections):
    import requests

    lock, left, good = threading.Lock(), count, 0

    def work():
        nonlocal left, good
        with requests.Session() as session:
            while True:
                with lock:
                    if left == 0:
                        return
                    left -= 1
                fine = session.get(url, timeout=30).status_code == 200
                with lock:
                    good += fine

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return good, requests.__version__


def main(client, url, count, connections):
    begun = time.monotonic()
    how = {"aiohttp": by_aiohttp, "httpx": by_httpx, "requests": by_requests}[client]
    got = how(url, int(count), int(connections))
    good, version = asyncio.run(got) if asyncio.iscoroutine(got) else got
    print(json.dumps({"successful": good, "seconds": time.monotonic() - begun,
                      "version": version}))


if __name__ == "__main__":
    main(*sys.argv[1:])
