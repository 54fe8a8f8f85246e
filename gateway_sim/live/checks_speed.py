"""Checks of when packets arrived: the slow state's limit, and that nothing else is slowed (P2-P5, X1)."""

from collections.abc import Iterator

import numpy as np

from engine.units import CREDIT_PER_BYTE, NS_PER_MS
from gateway_sim.live.checks import STEP_NS_MAX
from gateway_sim.live.figures import INCONCLUSIVE, Figures, Found, Ints
from gateway_sim.live.fleet import OPEN
from gateway_sim.live.script import EXEMPT, HIGH, SLOW, SWITCH
from gateway_sim.live.shaped import Limit, earliest_ns, let_in_bytes, window_excess

SLACK_PACKETS = 2
"""packets that may be lost where an ideal queue just had room: times of sending are not those of arrival"""


def groups(figures: Figures, expect: str) -> Iterator[tuple[int, int, Ints]]:
    """(stream, SIM, numbers of packets) of streams of which this is expected.

    Left out is what was sent before the last switch of the SIM was answered, or in no session for sure.
    """
    since = figures.settled_ns(SWITCH)
    sent = figures.sent
    fit = (figures.state == OPEN) & (sent["at_ns"] >= since[sent["sim"]])
    for number, stream in enumerate(figures.script.streams):
        if stream.expect != expect:
            continue
        chosen = np.flatnonzero(fit & (sent["stream"] == number))
        chosen = chosen[np.argsort(sent["sim"][chosen], kind="stable")]
        sims = sent["sim"][chosen]
        for part in np.split(chosen, np.flatnonzero(np.diff(sims)) + 1):
            if part.size:
                yield number, int(sent["sim"][part[0]]), part


def limit_of(figures: Figures) -> Limit:
    """The slow state's limiter, as the scenario has it."""
    settings = figures.script.settings
    return Limit(
        settings.slow_bps,
        settings.slow_burst_bytes,
        settings.slow_queue_bytes,
        settings.slow_queue_ms * NS_PER_MS,
    )


def shaped(figures: Figures) -> Found:
    """In the slow state no packet arrives before an ideal limiter could have let it out.

    `jitter_ms` is allowed for the gateway's reading of its clock, once a batch. From that follows for every
    window of arrivals: bytes <= burst + rate x (window + jitter + lateness), where the lateness is how long
    after the ideal time packets arrived at the most: what the machine takes.
    """
    found = Found("slow state: shaped", "P2, P5")
    limit = limit_of(figures)
    late: list[Ints] = [np.zeros(1, np.int64)]
    jitter_ns = figures.script.settings.jitter_ms * NS_PER_MS
    excess, packets, earliest = 0, 0, 0
    for stream, sim, numbers in groups(figures, SLOW):
        there = numbers[figures.copies[numbers] > 0]
        if not there.size:
            continue
        at_ns, length = figures.arrived_ns[there], figures.length[there]
        ideal_ns = earliest_ns(figures.sent["at_ns"][there], length, limit)
        earliest = max(earliest, int((ideal_ns - at_ns).max()))
        early = np.flatnonzero(at_ns < ideal_ns - jitter_ns)
        if early.size:
            found.fault(
                f"{figures.codes[sim]}, stream {stream + 1}: {early.size} packets arrived earlier than "
                f"{limit.rate_bps} bit/s allow, by up to {int((ideal_ns - at_ns).max())} ns"
            )
        late.append(at_ns - ideal_ns)
        excess = max(excess, window_excess(at_ns, length, limit))
        packets += int(there.size)
    lateness = np.concatenate(late)
    found.figures = {
        "packets": packets,
        "early_ns_max": earliest,
        "late_ns_p50": int(np.percentile(lateness, 50, method="lower")),
        "late_ns_p99": int(np.percentile(lateness, 99, method="lower")),
        "late_ns_max": int(lateness.max()),
        "window_excess_bytes": -(-excess // CREDIT_PER_BYTE),
        "window_excess_ns": -(-excess // limit.rate_bps),
    }
    return _timed(found, figures)


def carried(figures: Figures) -> Found:
    """In the slow state nothing is dropped that an ideal queue would have held, and that arrives (P4)."""
    found = Found("slow state: carried", "P4")
    limit = limit_of(figures)
    missing_bytes = 0
    for stream, sim, numbers in groups(figures, SLOW):
        length = figures.length[numbers]
        there_bytes = int(length[figures.copies[numbers] > 0].sum())
        ideal_bytes = let_in_bytes(figures.sent["at_ns"][numbers], length, limit)
        missing = ideal_bytes - there_bytes - SLACK_PACKETS * int(length.max())
        missing_bytes = max(missing_bytes, missing)
        if missing > 0:
            found.fault(
                f"{figures.codes[sim]}, stream {stream + 1}: {there_bytes} bytes arrived, an ideal queue "
                f"would have carried {ideal_bytes}"
            )
    return lossless(_timed(found, figures), figures)


def high(figures: Figures) -> Found:
    """At high speed everything arrives; how long it took is told, not judged."""
    return _whole(figures, Found("high speed: carried", "P1"), HIGH, None)


def exempt(figures: Figures) -> Found:
    """Exempt servers are reached at high speed in any state: everything arrives, and soon (X1)."""
    late_ns = figures.script.settings.exempt_late_ms * NS_PER_MS
    return _whole(figures, Found("exempt: never slowed", "X1, X3"), EXEMPT, late_ns)


def _whole(figures: Figures, found: Found, expect: str, late_ns_max: int | None) -> Found:
    waits: list[Ints] = [np.zeros(0, np.int64)]
    for stream, sim, numbers in groups(figures, expect):
        missing = int((figures.copies[numbers] == 0).sum())
        where = f"{figures.codes[sim]}, stream {stream + 1}"
        if missing:
            found.fault(f"{where}: {missing} of {numbers.size} packets did not arrive")
        there = numbers[figures.copies[numbers] > 0]
        waits.append(figures.arrived_ns[there] - figures.sent["at_ns"][there])
        slowest = int(waits[-1].max(initial=0))
        if late_ns_max is not None and slowest > late_ns_max:
            found.fault(f"{where}: a packet took {slowest} ns, at most {late_ns_max} are allowed")
    wait = np.concatenate(waits)
    found.figures = {"packets": int(wait.size), "wait_ns_max": int(wait.max(initial=0))}
    for percent in (50, 99):
        value = np.percentile(wait, percent, method="lower") if wait.size else 0
        found.figures[f"wait_ns_p{percent}"] = int(value)
    return lossless(found, figures)


def lossless(found: Found, figures: Figures) -> Found:
    """What is missing may have been lost before a socket."""
    if found.faults and not figures.whole:
        found.status = INCONCLUSIVE
    return found


def _timed(found: Found, figures: Figures) -> Found:
    """Where the machine's date was set, times of sending and of arrival cannot be compared."""
    if abs(figures.stepped_ns) > STEP_NS_MAX:
        found.status = INCONCLUSIVE
    return found
