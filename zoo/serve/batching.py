"""Micro-batching: queries that wait together are answered together, in the order of arrival."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zoo import records
from zoo.serve import limits as limits_, metrics as metrics_, versions
from zoo.serve.limits import Refused

MOST = versions.SIZES[-1]  # queries of a batch


@dataclasses.dataclass(frozen=True)
class Asked:
    """One query of a request, checked."""

    version: versions.Version
    query: Any  # a text, or i32[E] rows of a history
    k: int
    depth: int  # k that is computed
    beam: int
    allowed: np.ndarray | None = None  # rows
    excluded: np.ndarray | None = None  # rows

    @property
    def key(self) -> tuple:
        """Queries of equal keys can be answered together."""
        kind = versions.PLAIN if self.excluded is None else versions.EXCLUDED
        kind = kind if self.allowed is None else versions.ALLOWED
        return self.version.name, self.version.version, self.beam, self.depth, kind


@dataclasses.dataclass(frozen=True, eq=False)
class _Job:
    """Something that waits for the worker: a query, or a function."""

    key: tuple
    asked: Asked | None
    call: Callable[[], Any] | None
    done: asyncio.Future
    deadline: float


_Work = tuple[tuple, Asked | None, Callable[[], Any] | None]  # key, query, function


class Batcher:
    """One queue and one thread that computes; nobody waits for a batch to fill.

    While a batch is computed, queries arrive; those of the first one's key, up to MOST, are the
    next batch. So a single client waits for nothing, and many clients share batches.
    """

    def __init__(self, limits: limits_.Limits, metrics: metrics_.Metrics):
        self.limits, self.metrics = limits, metrics
        self._jobs: collections.deque[_Job] = collections.deque()
        self._pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="zoo-answers")
        self._arrived: asyncio.Event = asyncio.Event()
        self._worker: asyncio.Task | None = None

    def __len__(self) -> int:
        return len(self._jobs)

    def start(self) -> None:
        """Starts the worker in the running event loop."""
        self._worker = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Answers what waits, then stops."""
        while self._jobs:
            await asyncio.sleep(0.01)
        if self._worker is not None:
            self._worker.cancel()
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)

    async def ask(self, asked: Sequence[Asked]) -> list[list[records.Answer]]:
        """The answers to each query. Raises Refused if the queue is full or time runs out."""
        return await self._wait([(each.key, each, None) for each in asked])

    async def call(self, function: Callable[[], Any]) -> Any:
        """What a function returns that computes between two batches. Raises Refused as `ask`."""
        return (await self._wait([(("call", id(function)), None, function)]))[0]

    async def _wait(self, work: list[_Work]) -> list[Any]:
        if len(self._jobs) + len(work) > self.limits.queue:
            raise Refused(
                429, "queue_full", f"{len(self._jobs)} queries wait already; try again later"
            )
        loop, deadline = asyncio.get_running_loop(), time.monotonic() + self.limits.seconds
        jobs = [_Job(key, asked, call, loop.create_future(), deadline) for key, asked, call in work]
        self._jobs.extend(jobs)
        self._arrived.set()
        try:
            async with asyncio.timeout(self.limits.seconds):
                return list(await asyncio.gather(*(job.done for job in jobs)))
        except TimeoutError:
            seconds = f"{self.limits.seconds:g}"
            raise Refused(504, "timed_out", f"not answered within {seconds} s") from None

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            batch = self._take()
            if not batch:
                continue
            try:
                found = await loop.run_in_executor(self._pool, self._compute, batch)
            except Exception as error:  # of one batch, reported to each of its requests
                for job in batch:
                    if not job.done.done():
                        job.done.set_exception(error)
                continue
            for job, answers in zip(batch, found, strict=True):
                if not job.done.done():
                    job.done.set_result(answers)

    def _take(self) -> list[_Job]:
        """The next batch; jobs whose client has gone or that are too late are dropped."""
        batch: list[_Job] = []
        others: list[_Job] = []
        now = time.monotonic()
        while self._jobs and len(batch) < MOST:
            job = self._jobs.popleft()
            if job.done.done() or job.deadline < now:
                continue
            (others if batch and job.key != batch[0].key else batch).append(job)
        self._jobs.extendleft(reversed(others))
        if not self._jobs:
            self._arrived.clear()
        return batch

    def _compute(self, batch: list[_Job]) -> list[Any]:
        if batch[0].call is not None:
            return [batch[0].call()]
        started = time.perf_counter()
        asked = [job.asked for job in batch if job.asked is not None]
        ranking = answer(asked)
        found = [ranking[row][: each.k] for row, each in enumerate(asked)]
        total = len(asked[0].version.rows)
        short = sum(len(got) < min(each.k, total) for got, each in zip(found, asked))
        spent = time.perf_counter() - started
        self.metrics.batch(len(asked), short, float(ranking.invalid_share), spent)
        return found


def answer(asked: Sequence[Asked]) -> records.Ranking:
    """The ranking of queries of one key."""
    first, names = asked[0], tuple(map(str, range(len(asked))))
    version = first.version
    if version.asks == "text":
        queries: Any = records.Queries(names, tuple(each.query for each in asked))
    else:
        starts = np.cumsum([0, *(len(each.query) for each in asked)], dtype=np.int64)
        items = np.concatenate([each.query for each in asked]).astype(np.int32)
        queries = records.Histories(names, items, starts)
    allowed = excluded = None
    if first.allowed is not None:
        allowed = np.zeros((len(asked), len(version.rows)), bool)
        for row, each in enumerate(asked):
            allowed[row, each.allowed] = True
            if each.excluded is not None:
                allowed[row, each.excluded] = False
    elif first.excluded is not None:
        excluded = np.stack([each.excluded for each in asked if each.excluded is not None])
    found = version.ask(queries, first.depth, beam=first.beam, allowed=allowed, excluded=excluded)
    return dataclasses.replace(found, titles=version.fitted.documents.titles)
