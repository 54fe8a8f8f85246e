"""Section `meter`: the metering kernel with the whole policy on, beside programs in C that do less.

`count` adds to two counters of a row and nothing else; `srTCM` and `trTCM` are DPDK's markers (RFC
2697, 2698) with counters and a quota in one 64-byte row. The number after the stroke is how many
packets ahead a row is asked for: 16 is a usual choice, 64 the best that was found. All draw the
same packets, in each round others.
"""

from collections.abc import Sequence
from contextlib import ExitStack

from bench import draw, ours_meter, rounds
from bench.ours_meter import Case, Meter
from bench.rounds import BUILD, OURS, Peer, Round, Row, Runner
from engine.errors import PktollError

PEERS = {"count": "meter_count", "srTCM": "meter_srtcm", "trTCM": "meter_trtcm"}
AHEAD = (16, 64)
PACKETS = 1 << 20
"""in a round, on each core"""


def measure(
    case: Case, packets: int, count: int, cores: list[int], ask: Sequence[int]
) -> list[Row]:
    """Ours and every peer that is built, on as many cores as `ask` says (1, 2), all in turns.

    Raises PktollError where two of them did not meter the same packets.
    """
    ours = Meter(case, packets, cores)
    with ExitStack() as stack:
        peers = {
            name: stack.enter_context(Peer(program, *arguments(case, packets, cores)))
            for name, program in PEERS.items()
            if Peer.built(program)
        }
        runners: dict[str, Runner] = {}
        for workers in ask:
            runners[f"{OURS} {workers}"] = _ours(ours, workers)
            for name, peer in peers.items():
                for ahead in AHEAD:
                    runners[f"{name}/{ahead} {workers}"] = _theirs(peer, ahead, workers)
        kept = rounds.turns(runners, count)
    found = []
    for label, of_label in kept.items():
        name, _, workers_text = label.rpartition(" ")
        row = Row("meter", case.sims, name, of_label, int(workers_text), case.choice, case.sizes)
        found.append(row)
    _agree(found)
    return found


def arguments(case: Case, packets: int, cores: Sequence[int]) -> tuple[object, ...]:
    """Of a program in C: see bench/peers/meter_frame.h."""
    sizes = draw.sizes_of(case.sizes)
    ranked = case.choice == "zipf"
    return (
        case.sims,
        packets,
        draw.step_ns(case.choice, sizes),
        ",".join(map(str, cores[: ours_meter.WORKERS])) or "-1",
        ",".join(map(str, sizes)),
        draw.write_ranks(BUILD, case.sims) if ranked else case.choice,
    )


def words(ahead: int, number: int, workers: int) -> str:
    """A round of a program in C."""
    return " ".join(map(str, (ahead, *(draw.seed(number, n) for n in range(workers)))))


def _ours(meter: Meter, workers: int) -> Runner:
    number = 0

    def run() -> Round:
        nonlocal number
        number += 1
        return meter.round(number, workers)

    return run


def _theirs(peer: Peer, ahead: int, workers: int) -> Runner:
    number = 0

    def run() -> Round:
        nonlocal number
        number += 1
        return peer(words(ahead, number, workers))

    return run


def _agree(found: Sequence[Row]) -> None:
    """All on so many cores must have let out the same packets and bytes, round by round."""
    for row in found:
        first = next(one for one in found if one.cores == row.cores)
        for mine, theirs in zip(first.rounds, row.rounds, strict=True):
            if (mine.packets, mine.bytes) != (theirs.packets, theirs.bytes):
                raise PktollError(f"bench: {row.name} metered other packets than {first.name}")
