"""`zoo serve` under many clients: lost requests, wrong answers, latencies, programs compiled.

    python benchmarks/serve_load.py runs/dsi --clients 200 --seconds 60

Each client keeps one connection and asks again as soon as it is answered; the load is bounded by
their number. Every answer is compared with the ids that the system gives in this process, where the
same queries are also timed in batches. After a third of the time the system is loaded anew, later
rolled back; the load goes on until that is done.
"""

import argparse
import asyncio
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np

import zoo

ROOT = pathlib.Path(__file__).parents[1]
DISTINCT, BATCH = 512, 64  # queries asked in turn, queries of a batch in this process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--reload", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    fitted = zoo.load(options.folder)
    texts = [text for text in dict.fromkeys(fitted.documents.titles) if text.strip()][:DISTINCT]
    ask = zoo.open(fitted)
    expected = [[each.document for each in answers] for answers in ask(texts, options.k)]
    rate = in_process(ask, texts, options.k)
    with serving(options.folder) as port:
        asyncio.run(wait_until_ready(port))
        found = asyncio.run(load(port, texts, expected, options))
        metrics = asyncio.run(request(port, "GET", "/metrics"))[1].decode()
    report(found, metrics, rate, options)


def in_process(ask, texts: list[str], k: int) -> float:
    """Queries a second of batches in this process, after one of each shape."""
    batch = [texts[place % len(texts)] for place in range(BATCH)]
    ask(batch, k)
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < 5:
        ask(batch, k)
        done += BATCH
    return done / (time.perf_counter() - started)


class serving:
    """`zoo serve FOLDER` in a process of its own; its port."""

    def __init__(self, folder: str):
        self.folder = folder

    def __enter__(self) -> int:
        command = [sys.executable, "-m", "zoo", "serve", self.folder, "--port", "0"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for line in self.process.stdout or ():
            if line.startswith("serving at "):
                return int(line.split()[2].rsplit(":", 1)[1])
        raise SystemExit("the server did not start")

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        code = self.process.wait(60)
        print(f"exit code after SIGTERM: {code}")


async def request(port: int, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    """Status and body of one request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await exchange(reader, writer, method, path, body)
    finally:
        writer.close()


async def exchange(reader, writer, method: str, path: str, body: object) -> tuple[int, bytes]:
    """Status and body of one request on a kept connection."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    status = int((await reader.readline()).split()[1])
    length = 0
    while (line := await reader.readline()) != b"\r\n":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return status, await reader.readexactly(length)


async def wait_until_ready(port: int) -> None:
    started = time.perf_counter()
    while (await request(port, "GET", "/health"))[0] != 200:
        await asyncio.sleep(0.2)
    print(f"ready after {time.perf_counter() - started:.1f} s of warm-up")


async def load(port: int, texts: list[str], expected: list[list[str]], options) -> dict:
    """What all clients saw."""
    found = {"latency": [], "status": {}, "wrong": 0, "lost": 0, "versions": {}}
    found["changing"] = options.reload
    until = time.perf_counter() + options.seconds

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        place = number
        while time.perf_counter() < until or found["changing"]:
            which = place % len(texts)
            body = {"query": texts[which], "k": options.k}
            started = time.perf_counter()
            try:
                status, answer = await exchange(reader, writer, "POST", "/search", body)
            except (OSError, asyncio.IncompleteReadError, IndexError):
                found["lost"] += 1
                return
            found["latency"].append(time.perf_counter() - started)
            found["status"][status] = found["status"].get(status, 0) + 1
            if status == 200:
                answered = json.loads(answer)
                version = answered["version"]
                found["versions"][version] = found["versions"].get(version, 0) + 1
                ids = [each["id"] for each in answered["answers"]]
                found["wrong"] += ids != expected[which]
            place += options.clients
        writer.close()

    async def change() -> None:
        for path in ("/reload", "/rollback"):
            await asyncio.sleep(options.seconds / 3)
            status, body = await request(port, "POST", path, {})
            print(f"{path}: {status} {json.loads(body).get('version')}")
        found["changing"] = False

    started = time.perf_counter()
    changes = [change()] if options.reload else []
    await asyncio.gather(*(client(number) for number in range(options.clients)), *changes)
    return found | {"seconds": time.perf_counter() - started}


def report(found: dict, metrics: str, rate: float, options) -> None:
    latency = 1000 * np.array(found["latency"])
    count, served = len(latency), len(latency) / found["seconds"]
    print(f"{options.clients} clients, {found['seconds']:.0f} s: {count:,} answers")
    print(f"status: {found['status']}, lost: {found['lost']}, other ids: {found['wrong']}")
    print(f"answers by version: {dict(sorted(found['versions'].items()))}")
    p50, p90, p99 = np.quantile(latency, (0.5, 0.9, 0.99))
    print(f"p50 {p50:.0f} ms, p90 {p90:.0f} ms, p99 {p99:.0f} ms, max {latency.max():.0f} ms")
    print(
        f"{served:.0f} queries/s; in-process batches of {BATCH}: {rate:.0f} ({served / rate:.2f})"
    )
    for name in ("compilations_after_warm_up", "invalid_share", "short_lists_total"):
        print(next(line for line in metrics.splitlines() if line.startswith(f"zoo_{name}")))
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
