"""Control messages of a capture: how its SIMs attach, are handed over and leave, and Echoes between.

Every line with something to send has one session. It attaches shortly before its first packet and
leaves when the last one is through; GTPv2-C on S5/S8 for LTE, GTPv1-C on Gn for 3G.
"""

import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from engine.units import NS_PER_MS, NS_PER_S, NS_PER_US
from gateway_sim.codec import answers as codec_answers
from gateway_sim.codec.answers import Answer, Given
from gateway_sim.scenario import EUTRAN, Line, Scenario
from gateway_sim.signalling import stamped
from gateway_sim.signalling.control import SEQUENCE_BITS, Fill, Kind, Shape
from gateway_sim.signalling.terminal import IPV4, IPV4V6, IPV6, Credentials
from gateway_sim.traffic.draw import Ints
from gateway_sim.traffic.flows import Flows
from gateway_sim.traffic.headers import Bytes, control_header, packed_address
from gateway_sim.traffic.stamp import Frames

APN = "iijmio.jp"
ATTACH_AHEAD_NS = 200 * NS_PER_MS
ANSWER_NS = 20 * NS_PER_MS
LEAVE_AFTER_NS = NS_PER_S
APART_NS = 20 * NS_PER_US
"""from one line to the next where many would attach or leave at once: a node has as many requests without
an answer as it has sequence numbers"""
ECHO_EVERY_NS = 60 * NS_PER_S
SGW_CONTROL, PGW_CONTROL = 0x4000_0000, 0x6000_0000
"""added to a line's number: TEIDs of its control tunnel"""
STEPS = (
    Kind.CREATE_REQUEST,
    Kind.CREATE_RESPONSE,
    Kind.MODIFY_REQUEST,
    Kind.MODIFY_RESPONSE,
    Kind.DELETE_REQUEST,
    Kind.DELETE_RESPONSE,
)
ECHOES = (Kind.ECHO_REQUEST, Kind.ECHO_RESPONSE)


class Sessions:
    """When each line's session begins, moves and ends, in ns; columns by line, 0 where it never does."""

    def __init__(self, scenario: Scenario, flows: Flows) -> None:
        lines = list(scenario.lines())
        owner = np.repeat(np.arange(len(lines)), [len(line.activities) for line in lines])
        first = np.full(len(lines), np.iinfo(np.int64).max)
        last = np.zeros(len(lines), np.int64)
        np.minimum.at(first, owner, flows.begin_ns)
        np.maximum.at(last, owner, flows.done_ns())
        last = np.maximum(last, max((attack.end_ns for attack in scenario.attacks), default=0))
        self.owner = owner
        self.there = last > 0
        self.there &= first < np.iinfo(np.int64).max
        apart_ns = np.arange(len(lines)) * APART_NS
        self.attach_ns = np.where(self.there, first - ATTACH_AHEAD_NS - apart_ns, 0)
        self.leave_ns = np.where(self.there, last + LEAVE_AFTER_NS + apart_ns, 0)
        moves_ns = np.array([line.moves_ns for line in lines], np.int64)
        within = (moves_ns > first) & (moves_ns < last)
        self.moves_ns = np.where(within & self.there, moves_ns, 0)

    def moved_ns(self) -> Ints:
        """For each flow, when its downlink TEID changes; never: the largest integer."""
        moved = np.where(self.moves_ns > 0, self.moves_ns + ANSWER_NS, np.iinfo(np.int64).max)
        return moved[self.owner]


class Due(NamedTuple):
    """Messages in order of time: `line` is below 0 for an Echo, -1 of version 1 and -2 of version 2.

    `pair` numbers requests, each with its answer, in no order.
    """

    time_ns: Ints
    line: Ints
    step: Ints
    version: Ints
    pair: Ints

    def sequences(self) -> Ints:
        """Sequence numbers, in each version as the S-GW asks one by one; an answer has its request's."""
        numbers = np.zeros(self.pair.size, np.int64)  # by pair
        for version, bits in SEQUENCE_BITS.items():
            asks = self.pair[(self.step % 2 == 0) & (self.version == version)]
            numbers[asks] = np.arange(asks.size) % (1 << bits)
        return numbers[self.pair]


class Signalling:
    """All control messages as a source of frames; they are built when they are due."""

    def __init__(self, scenario: Scenario, sessions: Sessions) -> None:
        self.scenario = scenario
        self.lines = list(scenario.lines())
        self.due = _due(self.lines, sessions)
        self.sequences = self.due.sequences()
        self.count = self.due.time_ns.size
        ends = [ipaddress.IPv4Address(text).packed for text in (scenario.sgw, scenario.pgw)]
        self._heads = [control_header(*ends), control_header(*ends[::-1])]

    def next_ns(self, number: int) -> int:
        """When message `number` is due."""
        return int(self.due.time_ns[number])

    def past(self, time_ns: int) -> int:
        """How many are due up to and including `time_ns`."""
        return int(np.searchsorted(self.due.time_ns, time_ns, side="right"))

    def frames(self, first: int, past: int) -> Iterator[Frames]:
        """Messages `first` to `past - 1`, in groups of one length each."""
        groups: dict[int, tuple[list[int], list[bytes]]] = {}
        for number in range(first, past):
            line, step = int(self.due.line[number]), int(self.due.step[number])
            made = self._echo(number, -line) if line < 0 else self._message(number, line, step)
            numbers, octets = groups.setdefault(len(made), ([], []))
            numbers.append(number)
            octets.append(made)
        for size, (numbers, octets) in sorted(groups.items()):
            data = np.frombuffer(b"".join(octets), np.uint8).reshape(-1, size)
            rows = self._framed(data, self.due.step[numbers] % 2)
            yield Frames(self.due.time_ns[numbers], rows)

    def _framed(self, messages: Bytes, answers: Ints) -> Bytes:
        """Behind Ethernet, IPv4 and UDP, an answer the other way."""
        heads = np.stack([head(messages.shape[1]) for head in self._heads])
        return np.concatenate([heads[answers], messages], axis=1)

    def _echo(self, number: int, version: int) -> bytes:
        sequence = int(self.sequences[number])
        if self.due.step[number]:
            answer = Answer(version, Kind.ECHO_RESPONSE, self.scenario.pgw)
            return codec_answers.stamp(answer, Given(sequence))
        return stamped.stamp(Shape(version, Kind.ECHO_REQUEST), Fill(sequence))

    def _message(self, number: int, index: int, step: int) -> bytes:
        line = self.lines[index]
        version, sequence = int(self.due.version[number]), int(self.sequences[number])
        if step % 2:
            return self._answer(line, index, version, step, sequence)
        node = self.scenario.sgw
        shape = Shape(
            version,
            STEPS[step],
            node,
            node,
            apn=APN,
            rat=line.rat,
            pdn_type=_pdn_type(line),
            credentials=Credentials(),
        )
        fill = Fill(
            sequence,
            teid=0 if step == 0 else PGW_CONTROL + index,
            teid_control=SGW_CONTROL + index,
            teid_user=line.teid_moved if STEPS[step] == Kind.MODIFY_REQUEST else line.teid_down,
            imsi=line.imsi,
            msisdn=line.msisdn,
        )
        return stamped.stamp(shape, fill)

    def _answer(self, line: Line, index: int, version: int, step: int, sequence: int) -> bytes:
        answer = Answer(version, STEPS[step], self.scenario.pgw, pdn_type=_pdn_type(line))
        given = Given(
            sequence,
            teid=SGW_CONTROL + index,
            teid_control=PGW_CONTROL + index,
            teid_user=line.teid_up,
            charging_id=index + 1,
            ipv4=_address(line, 4) if STEPS[step] == Kind.CREATE_RESPONSE else b"",
            ipv6=_address(line, 6)[:8] if STEPS[step] == Kind.CREATE_RESPONSE else b"",
        )
        return codec_answers.stamp(answer, given)


def _due(lines: list[Line], sessions: Sessions) -> Due:
    """Requests and answers of every session, and Echoes of each version that is in use."""
    every = np.arange(len(lines))
    newer = np.array([line.rat == EUTRAN for line in lines], np.bool_)
    starts = [sessions.attach_ns, sessions.moves_ns, sessions.leave_ns]
    parts: list[Due] = []
    for turn, start_ns in enumerate(starts):
        chosen = every[sessions.there & (start_ns > 0)]
        parts += _pairs(start_ns[chosen], chosen, 2 * turn, np.where(newer[chosen], 2, 1))
    for version, of in ((2, newer), (1, ~newer)):
        speaks = every[sessions.there & of]
        if speaks.size:
            first = int(sessions.attach_ns[speaks].min()) - ATTACH_AHEAD_NS
            times = np.arange(first, int(sessions.leave_ns[speaks].max()), ECHO_EVERY_NS)
            spoken = np.full(times.size, version)
            parts += _pairs(times, -spoken, 0, spoken)
    sizes = [part.pair.size for part in parts[::2]]
    offsets = np.repeat(np.cumsum([0, *sizes[:-1]]), 2)
    parts = [part._replace(pair=part.pair + at) for part, at in zip(parts, offsets, strict=True)]
    whole = Due(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    order = np.argsort(whole.time_ns, kind="stable")
    return Due(*(column[order] for column in whole))


def _pairs(times: Ints, line: Ints, step: int, version: Ints) -> list[Due]:
    """Requests of one step, and the answers to them."""
    pair = np.arange(times.size)
    return [
        Due(times + answer * ANSWER_NS, line, np.full(times.size, step + answer), version, pair)
        for answer in (0, 1)
    ]


def _pdn_type(line: Line) -> int:
    versions = {6 if ":" in address else 4 for address in line.addresses}
    return IPV4V6 if len(versions) == 2 else IPV6 if 6 in versions else IPV4


def _address(line: Line, version: int) -> bytes:
    """The line's first address or prefix of this version, in octets; of none, zeros."""
    for text in line.addresses:
        if (":" in text) == (version == 6):
            return packed_address(text)
    return bytes(16)
