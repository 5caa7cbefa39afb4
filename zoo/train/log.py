"""Log of a long job: progress bars, scalars in JSONL and TensorBoard files and in memory."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import sys
import time
from typing import Any, TextIO

from tqdm import tqdm

from zoo import records
from zoo.train import execution as executions

CHECKPOINTS = "training"  # folder within the log's
# between redraws on a terminal, and between lines in a file
TERMINAL_SECONDS, PLAIN_SECONDS = 0.2, 15.0
FLUSH_SECONDS = 10.0  # between flushes of TensorBoard's file


class Log:
    """A log in memory and in `folder`: log.jsonl, events.out.tfevents.*, training checkpoints.

    quiet: no progress bars and no lines on stderr.
    identity: configuration and data of the run; checkpoints of another identity are refused.
    execution: of every training that logs here.
    writes: False in all processes but the first: they write nothing but their part of checkpoints.
    """

    def __init__(
        self,
        folder: str | os.PathLike | None = None,
        *,
        quiet: bool = False,
        identity: str = "",
        execution: executions.Execution = executions.Execution(),
        writes: bool = True,
    ) -> None:
        self.execution = execution
        self._checkpoints = None if folder is None else pathlib.Path(folder) / CHECKPOINTS
        self.identity = identity
        self.history: list[dict[str, Any]] = []  # {"phase": ..., "step": ..., name: value, ...}
        self.warnings: list[str] = []
        # {"stage", "steps", "seconds"} of every finished stage, see zoo.train.stages
        self.stages: list[dict[str, Any]] = []
        self.facts: dict[str, Any] = {}  # what a fit chose, by name, for its record
        # a list: stages add the program that they would run, and train nothing (`zoo compile`)
        self.programs: list[Any] | None = None
        self.quiet = quiet
        self._phase = ""
        self._folder = None if folder is None else pathlib.Path(folder)
        self._logged: set[tuple] = set()  # what an interrupted run logged
        self._file, self._board = None, None
        if self._folder is not None and writes:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / "log.jsonl"
            with self._explained():
                self.history = _rows(path)
                self._logged = {_scalars_of(row) for row in self.history}
                self._file = open(path, "a", encoding="utf-8")
                self._board = _Board(self._folder)

    @property
    def checkpoints(self) -> pathlib.Path | None:
        """Folder of the current phase's checkpoints; None without a folder."""
        return (
            None
            if self._checkpoints is None
            else self._checkpoints / re.sub(r"\W+", "-", self._phase)
        )

    @property
    def reached(self) -> int:
        """The last step of the current phase that has scalars, 0 without any."""
        return max((row["step"] for row in self.history if row["phase"] == self._phase), default=0)

    def phase(self, name: str) -> None:
        """Begins a phase, which has scalars and checkpoints of its own."""
        self._phase = name
        if not self.quiet:
            tqdm.write(f"- {name}", file=sys.stderr)

    def scalars(self, step: int, **values: float) -> None:
        """Numbers at a step of the current phase."""
        row = {"phase": self._phase, "step": int(step)} | {
            name: float(value) for name, value in values.items()
        }
        if _scalars_of(row) in self._logged:
            return  # before the run was interrupted
        self.history.append(row)
        if self._file is not None and self._board is not None:
            with self._explained():
                self._file.write(json.dumps(row) + "\n")
                self._file.flush()
                self._board.add(self._phase, row)

    def evaluated(self, step: int, **values: float) -> None:
        """As `scalars`, and a line on stderr."""
        self.scalars(step, **values)
        if not self.quiet:
            shown = ", ".join(
                f"{name.replace('_', ' ')} {float(value):.4g}" for name, value in values.items()
            )
            tqdm.write(f"  step {step:,}: {shown}", file=sys.stderr)

    def warn(self, text: str) -> None:
        """Records a warning, and prints it on stderr: what is likely wrong, and what to do."""
        self.warnings.append(text)
        if not self.quiet:
            tqdm.write(f"  warning: {text}", file=sys.stderr)

    def rewind(self, step: int) -> None:
        """Drops scalars of the current phase after a step; a resumed run logs them again."""
        kept = [row for row in self.history if row["phase"] != self._phase or row["step"] <= step]
        if len(kept) == len(self.history):
            return
        self.history = kept
        self._logged &= {_scalars_of(row) for row in kept}
        if self._file is not None:
            with self._explained():
                self._file.truncate(0)
                self._file.writelines(json.dumps(row) + "\n" for row in kept)
                self._file.flush()

    def progress(self, total: int, label: str, unit: str, start: int = 0) -> tqdm:
        """A bar with rate and time left; lines now and then if stderr is not a terminal."""
        plain = not sys.stderr.isatty()
        return tqdm(
            total=total,
            initial=start,
            desc=label,
            unit=f" {unit}",
            disable=self.quiet,
            mininterval=PLAIN_SECONDS if plain else TERMINAL_SECONDS,
            maxinterval=PLAIN_SECONDS if plain else 10.0,
            dynamic_ncols=not plain,
            ascii=plain,
            file=_Lines(sys.stderr) if plain else sys.stderr,
        )

    def close(self) -> None:
        """Flushes and closes the files; on a full disk, what is still in memory is dropped."""
        for file in (self._file, self._board):
            if file is not None:
                with contextlib.suppress(OSError):
                    file.close()
        self._file = self._board = None

    def _explained(self) -> contextlib.AbstractContextManager:
        remedy = "free some space and repeat the command"
        return records.full_disk(self._folder or pathlib.Path("."), lambda: remedy)


def has_checkpoints(folder: pathlib.Path) -> bool:
    """Whether a folder of a log holds a checkpoint, of any phase, that was written whole."""
    return any(path.name.isdecimal() for path in (folder / CHECKPOINTS).glob("**/"))


class _Board:
    """TensorBoard's file of scalars, written by the caller's own thread.

    tensorboardX's SummaryWriter writes in a thread of its own; on a full disk that thread dies, its
    queue fills up, and training waits for it forever.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        from tensorboardX import event_file_writer

        self._writer = event_file_writer.EventsWriter(str(folder / "events"))
        self._flushed = time.monotonic()

    def add(self, phase: str, row: dict[str, Any]) -> None:
        """Adds the scalars of a row of the log, under `phase/name`."""
        from tensorboardX import summary
        from tensorboardX.proto import event_pb2

        for name in row.keys() - {"phase", "step"}:
            value = summary.scalar(f"{phase}/{name}", row[name])
            make = event_pb2.Event  # pyright: ignore[reportAttributeAccessIssue]  # protobuf adds it
            self._writer.write_event(make(wall_time=time.time(), step=row["step"], summary=value))
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._writer.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        self._writer.close()


class _Lines:
    """A stream that gets each state of a bar as a line, instead of over the one before."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        if shown := text.strip():
            self._stream.write(f"{shown}\n")

    def flush(self) -> None:
        self._stream.flush()


def _scalars_of(row: dict[str, Any]) -> tuple:
    """Phase, step and names of a row of the log: what no other row of a run has."""
    return row["phase"], row["step"], frozenset(row)


def _rows(path: pathlib.Path) -> list[dict[str, Any]]:
    """Rows of a log that an interrupted run left, without a last line that was cut off."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    if len(whole) < len(lines):
        path.write_text("".join(whole), encoding="utf-8")
    try:
        found = [json.loads(line) for line in whole]
        if not all({"phase", "step"} <= row.keys() for row in found):
            raise ValueError("a row without phase and step")
    except (ValueError, AttributeError, RecursionError) as error:
        raise records.DataError(
            f"{path}: changed since it was written ({error}); remove the folder, or copy it again"
        ) from None
    return found
