"""Packets out of a replay: those that left, at their departure; those dropped, with the reason."""

import os
import stat
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from engine.errors import OutputError, UsageError
from engine.layout import FRAME, VERDICT, WORK
from engine.pool import database_files
from engine.replay import legs
from engine.replay.dropped import Dropped
from engine.replay.options import Options
from engine.replay.shaped import Shaped, several_links
from engine.replay.targets import STDOUT, Target
from engine.runtime import Engine
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from engine.wire.kept import Kept

Rows = npt.NDArray[Any]

PEEK_BYTES = 1 << 16
"""byte; how much of a capture is looked at for its link types beforehand"""


class Outputs:
    """What a replay writes beside its report: give it every batch, then watch the engine with it.

    A file that cannot be written is told in `faults`, and the bill goes on without it. Leave it with an
    exception, or without `finish`, and no file is made.
    """

    def __init__(self, options: Options) -> None:
        """Open the files; OutputError where that fails."""
        self.shaped: Shaped | None = None
        self.dropped: Dropped | None = None
        self._targets: list[Target] = []
        self._engine: Engine | None = None
        self._batch = Kept(*(np.zeros(0, dtype=kind) for kind in (WORK, FRAME, np.uint8)))
        self._words = np.zeros(legs.WORDS, dtype=np.int64)
        self._words[legs.STRIP] = options.gtp == "strip"
        self._left: Rows = np.zeros(0, dtype=FRAME)
        self._lost: Rows = np.zeros(0, dtype=FRAME)
        self._reasons: Rows = np.zeros(0, dtype=np.int64)
        try:
            if options.shaped is not None:
                strip = options.gtp == "strip"
                self.shaped = Shaped(self._target(options.shaped, options), strip=strip)
            if options.dropped is not None:
                self.dropped = Dropped(self._target(options.dropped, options), self._line_of)
        except BaseException:
            self.close()
            raise

    def _target(self, path: str, options: Options) -> Target:
        target = Target(path, options.stop)
        self._targets.append(target)
        return target

    def _line_of(self, row: int) -> str:
        assert self._engine is not None
        return self._engine.book.lines[row].code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what is not finished."""
        for target in self._targets:
            target.close()

    # --- batches ---

    def attach(self, engine: Engine) -> None:
        """Hear from this engine what becomes of packets."""
        self._engine = engine
        engine.watch = self._watch

    def begin(self, batch: Kept) -> Rows:
        """The packets that the engine is to be given; their frames are those of this batch."""
        self._batch = batch
        words = self._words
        words[legs.NEXT_FRAME] = words[legs.FIRST_PACKET] = words[legs.LEFT] = words[
            legs.DROPPED
        ] = 0
        room = 2 * len(batch.frames)  # a packet between two SIMs has two legs
        if len(self._reasons) < room:
            self._left = np.zeros(room if self.shaped else 0, dtype=FRAME)
            self._lost = np.zeros(room if self.dropped else 0, dtype=FRAME)
            self._reasons = np.zeros(room, dtype=np.int64)
        return batch.packets

    def pass_over(self, packets: Rows) -> None:
        """Rows of the batch that the engine is not given: they neither leave nor are they dropped."""
        self._watch(packets, np.zeros(0, dtype=WORK), np.zeros(len(packets), dtype=VERDICT))

    def _watch(self, packets: Rows, work: Rows, lost: Rows) -> None:
        """Take in what became of the next packets of the batch."""
        frames, data = self._batch.frames, self._batch.data
        kinds = self._left, self._lost, self._reasons
        legs.sort_legs(work, lost[: len(packets)], frames, data, *kinds, self._words)
        self._words[legs.FIRST_PACKET] += len(packets)

    def end(self) -> None:
        """Write what became of the batch; of packets that wait, those whose time has come."""
        assert self._engine is not None
        nothing: tuple[Rows, Rows] = np.zeros(0, dtype=WORK), np.zeros(0, dtype=VERDICT)
        self._watch(self._batch.packets[:0], *nothing)  # malformed frames behind the last packet
        if any(target.streams for target in self._targets):
            self._engine.flush()  # what is let out has been paid for (D9)
        frames, data, words = self._batch.frames, self._batch.data, self._words
        if self.shaped is not None:
            left = self._left[: int(words[legs.LEFT])]
            self.shaped.let_out(left, data, int(frames["time_ns"][-1]))
        if self.dropped is not None:
            count = int(words[legs.DROPPED])
            self.dropped.drop(self._lost[:count], self._reasons[:count], data)

    def finish(self, captures: list[Capture]) -> None:
        """Write what still waits, and give the files their names."""
        if self.shaped is not None:
            self.shaped.finish(tuple(sorted({t for c in captures for t in c.link_types})))
        if self.dropped is not None:
            self.dropped.finish()

    # --- what to tell ---

    @property
    def faults(self) -> list[OutputError]:
        """Why files are missing."""
        return [target.fault for target in self._targets if target.fault is not None]

    @property
    def notices(self) -> list[str]:
        """What was written."""
        written = ((self.shaped, "packet{} that left"), (self.dropped, "dropped packet{}"))
        return [
            f"{output.target.path}: {output.packets} {words.format('s' * (output.packets != 1))}"
            for output, words in written
            if output is not None and output.target.fault is None
        ]

    @property
    def warnings(self) -> list[str]:
        """What was written otherwise than it was."""
        spans = ((self.shaped, "1970 to 2106"), (self.dropped, "1970 on"))
        return [
            f"{output.target.path}: {output.moved} packets have times that the format cannot hold; they "
            f"are stamped with the nearest that it can ({span})"
            for output, span in spans
            if output is not None and output.moved
        ]


def _check(options: Options) -> None:
    """Refuse names that would do harm."""
    if options.shaped == options.dropped == STDOUT:
        raise UsageError("standard output ('-') can take --shaped or --dropped, not both")
    if "" in (options.shaped, options.dropped):
        raise UsageError("--shaped and --dropped need the name of a file")
    taken = [*options.captures, options.config, options.subscribers, options.events]
    taken += database_files(options.pool)
    for path in (options.shaped, options.dropped):
        for other in taken:
            if STDOUT not in (path, other) and path and other and _same(path, other):
                raise UsageError(
                    f"{path}: packets cannot be written over {other}; name another file"
                )
        taken.append(path)


def _same(path: str, other: str) -> bool:
    """Whether two names mean one file; a device (/dev/null) is none."""
    try:
        return os.path.samefile(path, other) and not stat.S_ISCHR(os.stat(path).st_mode)
    except OSError:
        return os.path.realpath(path) == os.path.realpath(other)


def open_outputs(options: Options, captures: list[Capture]) -> Outputs:
    """Open the files of a replay of these captures; OutputError or UsageError where that makes no sense."""
    _check(options)
    _check_links(options, captures)
    return Outputs(options)


def _check_links(options: Options, captures: list[Capture]) -> None:
    """UsageError if captures that can be opened again show that their frames cannot be in one pcap file."""
    if options.shaped is None or options.gtp == "strip":
        return
    links: set[int] = set()
    for capture in captures:
        if capture.size_bytes is not None:
            peeked = Capture(
                capture.path,
                Endpoints(),
                capture.mode,
                keep=True,
                block_bytes=PEEK_BYTES,
                look_ahead_bytes=PEEK_BYTES,
            )
            for _ in peeked:
                links.update(map(int, peeked.kept["link"][peeked.kept["packet"] >= 0]))
    if len(links) > 1:
        raise UsageError(several_links(options.shaped, links))
