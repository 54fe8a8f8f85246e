"""Checks of what arrived: each takes the figures of a run and says what is wrong with it."""

from collections import Counter

import numpy as np

from engine.layout import UPLINK
from gateway_sim.live.crowd import Outcome
from gateway_sim.live.figures import Figures, Found
from gateway_sim.live.fleet import CLOSED, OPEN, SHUT
from gateway_sim.live.logs import FINE, FLAWS
from gateway_sim.live.script import ACCEPTED, EXEMPT, NOTHING, REPLACE, SUSPEND, Step


def arrivals(figures: Figures) -> Found:
    """Every arrival is a packet that was sent, once, octet for octet, on its way and in its tunnel."""
    found = Found("arrivals", "N7, I6")
    flaws = figures.arrived["flaw"]
    for flaw, words in FLAWS.items():
        count = int((flaws == flaw).sum())
        if count:
            found.fault(f"{count} times: what arrived {words}")
    twice = np.flatnonzero(figures.copies > 1)
    for number in twice:
        found.fault(
            f"packet {number} of {_who(figures, int(number))} arrived {figures.copies[number]} times"
        )
    found.figures = {
        "sent_packets": int(figures.sent.size),
        "sent_bytes": int(figures.length.sum()),
        "arrived_packets": int((flaws == FINE).sum()),
        "arrived_bytes": int(figures.length[figures.copies > 0].sum()),
    }
    return found


def order(figures: Figures) -> Found:
    """Packets of a SIM and direction come out in the order in which they went in (P3).

    Exempt ones by themselves: they never wait behind the slow queue.
    """
    found = Found("order", "P3, X1")
    rows = np.flatnonzero(figures.arrived["flaw"] == FINE)
    number = figures.arrived["number"][rows]
    exempt = figures.of_streams(lambda stream: int(stream.expect == EXEMPT))
    key = (figures.sent["sim"] * 4 + figures.direction * 2 + exempt)[number]
    grouped = np.argsort(key, kind="stable")
    key, number = key[grouped], number[grouped]
    back = np.flatnonzero((key[1:] == key[:-1]) & (number[1:] < number[:-1]))
    for at in back:
        who = _who(figures, int(number[at + 1]))
        found.fault(
            f"packet {number[at + 1]} of {who} came after {number[at]}, which was sent later"
        )
    found.figures = {"out_of_order": int(back.size)}
    return found


def silence(figures: Figures) -> Found:
    """Nothing that was sent without a session, or after its end, arrives (L1, L2, N6, N7)."""
    found = Found("silence", "N7, L1, L2")
    state, arrived = figures.sent["state"], figures.copies > 0
    barred = (state == CLOSED) | (state == SHUT)
    nothing = figures.of_streams(lambda stream: int(stream.expect == NOTHING)) == 1
    for number in np.flatnonzero(arrived & barred):
        found.fault(f"packet {number} of {_who(figures, int(number))} arrived without a session")
    for number in np.flatnonzero(arrived & nothing & ~barred):
        found.fault(
            f"packet {number} of {_who(figures, int(number))} arrived, of a stream of which nothing may"
        )
    found.figures = {"sent_without_session": int(barred.sum())}
    return found


def sessions(figures: Figures) -> Found:
    """Every terminal got the answer that the script expects; no fault of the protocol on the way."""
    found = Found("sessions", "N1-N6, L1-L3")
    steps = {step.index: step for step in figures.script.steps}
    for outcome in figures.outcomes:
        if not _as_expected(outcome, steps[outcome.step]):
            found.fault(_words(figures, outcome, steps[outcome.step]))
    if figures.unanswered:
        found.fault(f"{figures.unanswered} requests had no answer")
    for text, count in Counter(figures.faults).items():
        found.fault(f"{count} times: {text}")
    # the gateway may say of each packet without a session that it knows no such tunnel (TS 29.281 7.3.1)
    lost = int(((figures.state != OPEN) & (figures.direction == UPLINK)).sum())
    if figures.path_faults > lost:
        found.fault(
            f"{figures.path_faults} messages on GTP-U fit no session; {lost} packets had none"
        )
    accepted = Counter(outcome.do for outcome in figures.outcomes if outcome.accepted)
    refused = Counter(outcome.do for outcome in figures.outcomes if not outcome.accepted)
    waits = [outcome.end_ns - outcome.begin_ns for outcome in figures.outcomes]
    found.figures = {
        **{f"{do}_accepted": count for do, count in sorted(accepted.items())},
        **{f"{do}_refused": count for do, count in sorted(refused.items())},
        "answer_ns_p50": _percentile(waits, 50),
        "answer_ns_max": max(waits, default=0),
    }
    return found


def _as_expected(outcome: Outcome, step: Step) -> bool:
    if outcome.accepted:
        return step.expect == ACCEPTED
    return step.expect != ACCEPTED and (not step.causes or outcome.cause in step.causes)


def _words(figures: Figures, outcome: Outcome, step: Step) -> str:
    became = "accepted" if outcome.accepted else f"refused with cause {outcome.cause}"
    wanted = step.expect + (f" with cause {step.causes}" if step.causes else "")
    code = figures.codes[outcome.sim]
    return f"step {step.index + 1}: {outcome.do} of {code}: {became}, expected: {wanted}"


def operator(figures: Figures) -> Found:
    """Every verb of the operator was answered as the script expects; what it cuts is cut."""
    found = Found("operator", "L1, L2, C3, P3")
    steps = {step.index: step for step in figures.script.steps}
    for answer in figures.answers:
        expected = steps[answer.asked.step].expect
        if (answer.refusal is None) != (expected == ACCEPTED):
            said = answer.refusal or "accepted"
            found.fault(
                f"step {answer.asked.step + 1}: {answer.asked.verb} {answer.asked.args}: {said}"
            )
        elif answer.asked.verb in (SUSPEND, REPLACE) and answer.refusal is None:
            _check_cut(figures, found, answer.asked.sims)
    done = Counter(answer.asked.verb for answer in figures.answers if answer.refusal is None)
    waits = [answer.end_ns - answer.begin_ns for answer in figures.answers]
    found.figures = {
        **{f"{verb}_done": count for verb, count in sorted(done.items())},
        "answer_ns_p50": _percentile(waits, 50),
        "answer_ns_max": max(waits, default=0),
    }
    return found


def _check_cut(figures: Figures, found: Found, sims: tuple[int, ...]) -> None:
    """The gateway told the S-GW, too, that the session is over."""
    for sim in sims:
        if sim in figures.left_shut:
            found.fault(
                f"{figures.codes[sim]}: its session was cut, and the gateway did not say so"
            )


def losses(figures: Figures) -> Found:
    """Whether sockets lost datagrams: then counts cannot be compared, and nothing is said of them."""
    found = Found("losses", "I6")
    if figures.lost:
        found.faults.append(f"{figures.lost} datagrams were lost before this side's sockets")
    if figures.lost_by_gateway:
        found.faults.append(f"{figures.lost_by_gateway} were lost before the gateway's sockets")
    if figures.lost_by_gateway is None:
        found.faults.append(
            "the gateway's sockets are not on this machine: their losses are not seen"
        )
    if abs(figures.stepped_ns) > STEP_NS_MAX:
        found.faults.append(f"the machine's date was set by {figures.stepped_ns} ns in the run")
    if found.faults:
        found.status = "inconclusive"
    pacing = figures.pacing
    found.figures = {
        "lost": figures.lost,
        "lost_by_gateway": figures.lost_by_gateway,
        "late_ns_max": pacing.late_ns_max,
        "slipped_ns": pacing.slipped_ns,
        "held_back": pacing.held_back,
    }
    return found


STEP_NS_MAX = 1_000_000
"""ns; the two clocks are read one after the other, and the thread may be interrupted in between"""


def _who(figures: Figures, number: int) -> str:
    return figures.codes[int(figures.sent["sim"][number])]


def _percentile(values: list[int], percent: int) -> int:
    """The value below which so many percent of them are; 0 of none."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) * percent // 100] if ordered else 0
