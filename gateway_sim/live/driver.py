"""The loop of a run: does what the script says when it says so, sends what is due, hears what comes."""

import select
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.errors import PktollError
from engine.layout import DOWNLINK, UPLINK
from engine.units import NS_PER_MS, NS_PER_S
from gateway_sim.live import clock, kernel
from gateway_sim.live.crowd import Crowd
from gateway_sim.live.datagrams import SLOTS, Datagrams, Ints
from gateway_sim.live.exchange import Exchange
from gateway_sim.live.flows import FAR_NS, Flow
from gateway_sim.live.pace import Pace
from gateway_sim.live.script import (
    CHARGE,
    OF_TERMINALS,
    REPLACE,
    SETTLE,
    SUSPEND,
    SWITCH,
    Script,
    Step,
)
from gateway_sim.live.verbs import Answered, Asked, Verbs
from gateway_sim.scenario import Scenario

BATCH = 256
"""packets of a stream that go at once"""
WAITING_BYTES_MAX = 1 << 20
"""byte; of kernel memory before the gateway's sockets, above which nothing more is sent for now"""
ASKED_MAX = 512
"""terminals that wait for an answer at once"""
NAP_MS = 1
BATCHES_A_TURN = 8
TURNS_A_LOOK = 64
HANG_NS, HANG_TIMES = 300 * NS_PER_S, 4
"""a run that takes so many times its script's length, and this, is broken off"""


@dataclass
class Pacing:
    """How well this side kept to its own times."""

    turns: int = 0
    late_ns_max: int = 0
    slipped_ns: int = 0
    """by how much the script took longer, because the gateway was waited for"""
    held_back: int = 0
    """times that packets waited because the gateway had not read those before"""


@dataclass
class Progress:
    """A step of terminals or of the operator, under way."""

    step: Step
    done: int = 0
    left: Ints = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.step.sims

    def due(self, now_ns: int) -> int:
        """How many of the step's SIMs should have been begun by now."""
        passed_ns = now_ns - self.step.at_ns
        if passed_ns < 0:
            return 0
        if self.step.per_s == 0:
            return int(self.left.size)
        return min(int(self.left.size), passed_ns * self.step.per_s // NS_PER_S + 1)


class Driver:
    """Runs a script against a gateway.

    `gateway_ports`: its sockets, where they are on this machine; `alive`: whether it still runs.
    """

    def __init__(
        self,
        scenario: Scenario,
        script: Script,
        crowd: Crowd,
        exchange: Exchange,
        verbs: Verbs,
        gateway_ports: tuple[tuple[str, int], ...],
        alive: Callable[[], bool],
    ) -> None:
        self.script, self.crowd, self.exchange, self.verbs = script, crowd, exchange, verbs
        self.pacing = Pacing()
        self.answers: list[Answered] = []
        self.lost_by_gateway = 0
        self._ports = gateway_ports
        self._alive = alive
        self._lines = [(line, c.code) for c in scenario.contracts for line in c.lines]
        self._flows = [
            Flow(number, stream, script.sims_of[stream.step])
            for number, stream in enumerate(script.streams)
        ]
        self._steps = [Progress(step) for step in script.steps]
        self._cards = 0
        sides = exchange.sides
        self._poll = select.poll()
        for number in (crowd.socket.fileno(), sides.gtp.fileno(), sides.sgi.fileno()):
            self._poll.register(number, select.POLLIN)

    def run(self) -> None:
        """Until the script is at its end, everything is answered, and nothing comes any more."""
        self._lost_before = self._queues()[1]
        begins = [step.at_ns for step in self.script.steps]
        begins += [stream.begin_ns for stream in self.script.streams]
        begin_ns = heard_ns = clock.running_ns()
        self.pace = Pace(begins, begin_ns)
        limit_ns = begin_ns + self.script.length_ns * HANG_TIMES + HANG_NS
        quiet_ns = self.script.settings.settle_ms * NS_PER_MS
        while True:
            running_ns = clock.running_ns()
            now_ns = self.pace.at(running_ns, self._waiting())
            if self._turn(now_ns):
                heard_ns = running_ns
            over = now_ns >= self.script.length_ns and not self._unfinished()
            if over and running_ns - heard_ns >= quiet_ns:
                break
            if self.pacing.turns % TURNS_A_LOOK == 0 and not self._alive():
                raise PktollError("sim: the gateway has ended in mid-run")
            if running_ns > limit_ns:
                raise PktollError("sim: the gateway does not keep up: the script was broken off")
        self.pacing.slipped_ns = self.pace.slipped_ns
        self.lost_by_gateway = self._queues()[1] - self._lost_before

    def _waiting(self) -> bool:
        """A step has begun and is not done, or an answer to one is still out."""
        begun = any(
            step.done < step.left.size and step.step.at_ns <= self.pace.now_ns
            for step in self._steps
        )
        return begun or bool(self.crowd.pending or self.verbs.pending)

    def _unfinished(self) -> bool:
        return self._waiting() or any(flow.first_ns < FAR_NS for flow in self._flows)

    def _turn(self, now_ns: int) -> bool:
        """One round; True where user packets arrived."""
        self.pacing.turns += 1
        self.crowd.turn()
        for answer in self.verbs.answered():
            self._answered(answer)
        for progress in self._steps:
            if progress.done < progress.left.size:
                self._begin(progress, now_ns)
        sent = self._offer(now_ns)
        heard = self._hear()
        if not sent and not heard:
            self._poll.poll(NAP_MS)
        return heard

    # --- what the script says ---------------------------------------------------------------------

    def _begin(self, progress: Progress, now_ns: int) -> None:
        step = progress.step
        while progress.done < progress.due(now_ns) and self.crowd.pending < ASKED_MAX:
            sim = int(progress.left[progress.done])
            progress.done += 1
            if step.do in OF_TERMINALS:
                self.crowd.do(step.index, step.do, sim, step.asked)
            else:
                self._ask(step, sim)

    def _ask(self, step: Step, sim: int) -> None:
        line, contract = self._lines[sim]
        args: dict[str, object] = {"line": line.code}
        if step.do == SWITCH:
            args["on"] = step.on
        elif step.do == CHARGE:
            args = {"contract": contract, "coupons": step.coupons}
        elif step.do == SETTLE:
            args = {}
        elif step.do == REPLACE:
            self._cards += 1
            args["iccid"] = f"8981199{self._cards:012d}"
        if step.do in (SUSPEND, REPLACE):
            self.crowd.cutting(sim, clock.stamp_ns())
        self.verbs.ask(Asked(step.index, step.do, args, (sim,)))

    def _answered(self, answer: Answered) -> None:
        self.answers.append(answer)
        if answer.asked.verb in (SUSPEND, REPLACE):
            for sim in answer.asked.sims:
                self.crowd.cut(sim, answer.refusal is None)

    # --- user packets -----------------------------------------------------------------------------

    def _offer(self, now_ns: int) -> bool:
        """Send what is due, as long as the gateway keeps up."""
        sent = False
        for flow in self._flows:
            if flow.first_ns > now_ns:
                continue
            if self._queues()[0] > WAITING_BYTES_MAX:
                self.pacing.held_back += 1
                break
            sims, late_ns = flow.take(now_ns, BATCH)
            self.exchange.send(flow.number, sims)
            self.pacing.late_ns_max = max(self.pacing.late_ns_max, late_ns)
            self.pace.late(late_ns)
            sent = True
        return sent

    def _queues(self) -> tuple[int, int]:
        """Kernel memory that waits before the gateway's sockets, the fullest; and what they lost in all."""
        if not self._ports:
            return 0, 0
        found = kernel.queues()
        mine = [found[port] for port in self._ports if port in found]
        waiting = max((queue.waiting_bytes for queue in mine), default=0)
        return waiting, sum(queue.lost for queue in mine)

    def _hear(self) -> bool:
        sides = self.exchange.sides
        heard = False
        for udp, direction in ((sides.gtp, DOWNLINK), (sides.sgi, UPLINK)):
            for _ in range(BATCHES_A_TURN):
                batch = udp.receive()
                if batch is None:
                    break
                heard = True
                for data, source in self.exchange.hear(batch, direction):
                    self._path(udp, data, int(source[0]))
                if batch.length.size < SLOTS:
                    break
        return heard

    def _path(self, udp: Datagrams, data: bytes, source: int) -> None:
        octets = (source >> 16).to_bytes(4, "big")
        peer = (".".join(map(str, octets)), source & 0xFFFF)
        for answer, to in self.crowd.path(data, peer):
            udp.socket.sendto(answer, to)
