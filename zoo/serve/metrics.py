"""What a server counts, as Prometheus text."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Mapping

import jax.monitoring
import numpy as np

KEPT = 8192  # latencies that quantiles are taken of, the latest
WINDOW = 60.0  # seconds of the rate
COMPILED = "/jax/core/compile/backend_compile_duration"  # JAX's event, once per program


class Metrics:
    """Counters of one server; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._counts: collections.Counter = collections.Counter()
        self._invalid = self._busy = 0.0  # queries whose identifiers name nothing; seconds
        self._latencies: collections.deque = collections.deque(maxlen=KEPT)
        self._seconds: collections.deque = collections.deque()  # [second, queries] of the window
        self.compilations = 0  # of the process, also before the server was ready
        jax.monitoring.register_event_duration_secs_listener(self._on_event)

    def _on_event(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event == COMPILED:
            self.compilations += 1

    def request(self, path: str, status: int, seconds: float) -> None:
        """Counts a request to a path."""
        with self._lock:
            self._counts["requests", path, status] += 1
            if status < 400 and path in ("/search", "/recommend", "/batch"):
                self._latencies.append(seconds)

    def batch(self, queries: int, short: int, invalid: float, seconds: float) -> None:
        """Counts a batch of queries that was answered together.

        short: lists with fewer answers than asked for; invalid: share of generated identifiers that
        name no document.
        """
        now = int(time.monotonic())
        with self._lock:
            self._counts["queries"] += queries
            self._counts["batches"] += 1
            self._counts["short"] += short
            self._invalid += invalid * queries
            self._busy += seconds
            if not self._seconds or self._seconds[-1][0] != now:
                self._seconds.append([now, 0])
            self._seconds[-1][1] += queries

    def rate(self) -> float:
        """Queries a second over the last WINDOW."""
        now = time.monotonic()
        with self._lock:
            while self._seconds and self._seconds[0][0] < now - WINDOW:
                self._seconds.popleft()
            spent = min(WINDOW, max(now - self._started, 1e-3))
            return sum(queries for _, queries in self._seconds) / spent

    def text(self, *, queue: int, versions: Mapping[str, str], warm: int) -> str:
        """The Prometheus text. queue: queries that wait; versions: by system; warm: programs
        compiled before the server was ready.
        """
        with self._lock:
            counts, latencies = dict(self._counts), np.array(self._latencies or [0.0])
        queries = max(counts.get("queries", 0), 1)
        lines = ["# TYPE zoo_requests_total counter"]
        for key, value in sorted(counts.items(), key=str):
            if isinstance(key, tuple):
                lines.append(f'zoo_requests_total{{path="{key[1]}",status="{key[2]}"}} {value}')
        lines += ["# TYPE zoo_request_seconds summary"]
        for quantile in (0.5, 0.9, 0.99):
            seconds = float(np.quantile(latencies, quantile))
            lines.append(f'zoo_request_seconds{{quantile="{quantile}"}} {seconds:.6f}')
        lines += [
            f"zoo_request_seconds_sum {latencies.sum():.6f}",
            f"zoo_request_seconds_count {len(latencies) if len(self._latencies) else 0}",
        ]
        for name, kind, value in (
            ("queries_total", "counter", counts.get("queries", 0)),
            ("batches_total", "counter", counts.get("batches", 0)),
            ("batch_seconds_total", "counter", f"{self._busy:.6f}"),
            ("queries_per_second", "gauge", f"{self.rate():.3f}"),
            ("queue_length", "gauge", queue),
            ("invalid_share", "gauge", f"{self._invalid / queries:.6f}"),
            ("short_lists_total", "counter", counts.get("short", 0)),
            ("compilations_total", "counter", self.compilations),
            ("compilations_after_warm_up", "gauge", max(self.compilations - warm, 0)),
        ):
            lines += [f"# TYPE zoo_{name} {kind}", f"zoo_{name} {value}"]
        lines.append("# TYPE zoo_version gauge")
        lines += [
            f'zoo_version{{system="{name}",version="{version}"}} 1'
            for name, version in sorted(versions.items())
        ]
        return "\n".join(lines) + "\n"
