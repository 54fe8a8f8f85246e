"""All that is known of a run when it is over, and what every check needs of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.units import NS_PER_MS
from gateway_sim.live.crowd import Outcome
from gateway_sim.live.driver import Pacing
from gateway_sim.live.fleet import OPEN, UNSURE
from gateway_sim.live.logs import UNKNOWN, Arrived, Sent
from gateway_sim.live.script import Script, Stream
from gateway_sim.live.verbs import Answered

Ints = npt.NDArray[np.int64]

PASS, FAIL, INCONCLUSIVE, SKIPPED = "pass", "fail", "inconclusive", "skipped"
FAULTS_SHOWN = 8
MARGIN_NS = 500 * NS_PER_MS
"""a packet sent so shortly before the end of its session may or may not have been counted in it"""


@dataclass
class Found:
    """What a check says. `figures` are for people and for the report."""

    name: str
    rule: str
    status: str = PASS
    faults: list[str] = field(default_factory=list)
    more_faults: int = 0
    figures: dict[str, Any] = field(default_factory=dict)

    def fault(self, text: str) -> None:
        """One thing that is wrong."""
        self.status = FAIL
        if len(self.faults) < FAULTS_SHOWN:
            self.faults.append(text)
        else:
            self.more_faults += 1


@dataclass
class Figures:
    """`before` and `after` are the gateway's snapshots, None where its service was not asked.

    report: the gateway's last one, after it has stopped. initial: byte credited to each contract before.
    codes: the engine's code of each SIM's line; contracts: code of its contract.
    closings: (SIM, time) of ends of sessions. left_shut: SIMs whose session was cut by the operator and
    of which the gateway said nothing to this side. path_faults: messages of GTP-U that fit no session.
    lost: datagrams that sockets of this side, and of the gateway's where those can be seen, threw away.
    stepped_ns: by how much the machine's date was set.
    """

    script: Script
    codes: list[str]
    contracts: list[str]
    sent: Sent
    arrived: Arrived
    outcomes: list[Outcome] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    closings: list[tuple[int, int]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    path_faults: int = 0
    left_shut: frozenset[int] = frozenset()
    unanswered: int = 0
    lost: int = 0
    lost_by_gateway: int | None = 0
    stepped_ns: int = 0
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    report: dict[str, Any] | None = None
    initial: dict[str, int | None] = field(default_factory=dict)
    audit: dict[str, Any] | None = None
    pacing: Pacing = field(default_factory=Pacing)

    def of_streams(self, pick: Callable[[Stream], int]) -> Ints:
        """A column by packet sent, of what its stream says."""
        table = np.array([pick(stream) for stream in self.script.streams], np.int64)
        return table[self.sent["stream"]] if table.size else np.zeros(0, np.int64)

    @cached_property
    def direction(self) -> Ints:
        """By packet sent."""
        return self.of_streams(lambda stream: stream.shape.direction)

    @cached_property
    def length(self) -> Ints:
        """By packet sent: byte, of the inner packet."""
        return self.of_streams(lambda stream: stream.shape.length)

    @cached_property
    def copies(self) -> Ints:
        """By packet sent: how often it arrived, in whatever state."""
        known = self.arrived["flaw"] != UNKNOWN
        return np.bincount(self.arrived["number"][known], minlength=self.sent.size).astype(np.int64)

    @cached_property
    def arrived_ns(self) -> Ints:
        """By packet sent: time of its first arrival, -1 where it did not arrive."""
        times = np.full(self.sent.size, -1, np.int64)
        known = np.flatnonzero(self.arrived["flaw"] != UNKNOWN)[::-1]
        times[self.arrived["number"][known]] = self.arrived["at_ns"][known]
        return times

    @cached_property
    def state(self) -> Ints:
        """By packet sent: state of its session, UNSURE where the session ended shortly after."""
        state = self.sent["state"].copy()
        for sim, at_ns in self._closings_of_interest():
            low = np.searchsorted(self.sent["at_ns"], at_ns - MARGIN_NS)
            high = np.searchsorted(self.sent["at_ns"], at_ns, side="right")
            part = slice(int(low), int(high))
            near = (self.sent["sim"][part] == sim) & (state[part] == OPEN)
            state[part][near] = UNSURE
        return state

    def _closings_of_interest(self) -> list[tuple[int, int]]:
        """Those with any packet shortly before; a fleet that detaches in silence costs nothing."""
        times = np.array([at for _, at in self.closings], np.int64)
        low = np.searchsorted(self.sent["at_ns"], times - MARGIN_NS)
        high = np.searchsorted(self.sent["at_ns"], times, side="right")
        return [self.closings[k] for k in np.flatnonzero(high > low)]

    def settled_ns(self, verb: str) -> Ints:
        """By SIM: when the last such verb about it was answered, 0 without."""
        times = np.zeros(len(self.codes), np.int64)
        for answer in self.answers:
            if answer.asked.verb == verb:
                for sim in answer.asked.sims:
                    times[sim] = max(times[sim], answer.end_ns)
        return times

    @property
    def whole(self) -> bool:
        """Nothing was lost on the way that this side knows of, or could not see."""
        return self.lost == 0 and self.lost_by_gateway == 0
