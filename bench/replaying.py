"""Sections `replay` and `programs`: a GTP-U capture in the page cache, read and billed, and read by
others."""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from bench import capture, draw, ours_replay, places, programs, rounds
from bench.programs import Captures, Program
from bench.rounds import OURS, Peer, Round, Row, Runner
from engine.errors import PktollError

CAPTURES = places.captures_folder()
PEERS = ("file_read", "pcap_read", "pcap_gtp")
DURABLE = f"{OURS}, file"
LARGEST_BYTES = 1_200_000_000
"""byte    of a capture, unless its packets were said"""


def packets_for(sizes: str) -> int:
    """Packets of a capture of these sizes: as many as a mixed one has, or as fill LARGEST_BYTES."""
    lengths = draw.sizes_of(sizes)
    frame = sum(lengths) // len(lengths) + capture.OUTER + capture.RECORD
    return min(capture.PACKETS, LARGEST_BYTES // frame)


def written(packets: int, sims: int, sizes: str) -> Path:
    """The capture, kept for the next time."""
    places.make(CAPTURES)
    path = CAPTURES / f"gtp-{packets}-{sims}-{sizes}.pcap"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}")
        try:
            capture.write(part, packets, sims, np.array(draw.sizes_of(sizes), dtype=np.int64))
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)
    return path


def replay(
    path: Path,
    packets: int,
    sizes: str,
    counts: tuple[int, int],
    cores: list[int],
    ask: Sequence[int],
) -> list[Row]:
    """`pktoll replay` with one worker held on one core, with two on two, and with its coupons in a
    file; beside the programs in C, which have one core. `counts`: rounds that are kept, and not kept.

    Raises PktollError where they saw other packets or bytes than we did.
    """
    runners: dict[str, Runner] = {}
    for workers in ask:
        runners[f"{OURS} {workers}"] = _ours(path, cores[:workers], workers)
    runners[f"{DURABLE} 1"] = lambda: ours_replay.replay(path, cores[:1], durable=True)
    with ExitStack() as stack:
        with places.on_cores(cores[:1]):
            for name in PEERS:
                if Peer.built(name):
                    words = (path, packets, 0) if name == "file_read" else (path, 0)
                    runners[f"{name} 1"] = stack.enter_context(Peer(name, *words))
        found = _rows("replay", packets, sizes, rounds.turns(runners, *counts))
    _agree(found)
    return found


def _ours(path: Path, cores: list[int], workers: int) -> Runner:
    return lambda: ours_replay.replay(path, cores, workers)


def _rows(section: str, packets: int, sizes: str, kept: dict[str, list[Round]]) -> list[Row]:
    found = []
    for label, of_label in kept.items():
        name, _, workers = label.rpartition(" ")
        found.append(Row(section, packets, name, of_label, int(workers), "", sizes))
    return found


def _agree(found: Sequence[Row]) -> None:
    """Whoever looks into GTP-U must have seen the same packets and bytes."""
    lookers = (OURS, DURABLE, "pcap_gtp")
    seen = {
        (row.name, row.cores): one[1:3]
        for row in found
        if row.name in lookers
        for one in row.rounds
    }
    if len(set(seen.values())) > 1:
        raise PktollError(f"bench: packets and inner bytes differ: {seen}")


def captures(packets: int, sims: int, sizes: str) -> Captures:
    """The capture, and its first packets for slow programs and for starts."""
    slow = min(packets, programs.SLOW_PACKETS)
    return Captures(
        written(packets, sims, sizes),
        packets,
        written(slow, sims, sizes),
        slow,
        written(programs.START_PACKETS, sims, sizes),
    )


def beside_programs(
    found: Captures,
    sizes: str,
    counts: tuple[int, int],
    cores: list[int],
    ask: Sequence[int],
    others: Sequence[Program] = programs.PROGRAMS,
) -> list[Row]:
    """`pktoll replay` and every one of these programs that is here, all seen from outside."""
    ours_replay.warm(found.start)
    runners: dict[str, Runner] = {}
    for workers in ask:
        runners[f"{OURS} {workers}"] = _whole(found, cores[:workers], workers)
    for one in others:
        if one.missing() is None:
            runners[f"{one.name} 1"] = _theirs(one, found, cores)
    return _rows("programs", found.packets, sizes, rounds.turns(runners, *counts))


def _whole(found: Captures, cores: list[int], workers: int) -> Runner:
    return lambda: ours_replay.whole(found, cores, workers)


def _theirs(one: Program, found: Captures, cores: list[int]) -> Callable[[], Round]:
    return lambda: programs.once(one, found, cores)
