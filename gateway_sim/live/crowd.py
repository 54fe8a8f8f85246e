"""The terminals of a run: they attach, move and detach through an S-GW or SGSN, as the script says."""

import contextlib
import socket
from dataclasses import dataclass

from engine.errors import PktollError
from gateway_sim.live import clock
from gateway_sim.live.fleet import CLOSED, OPEN, SHUT, UNSURE, Fleet
from gateway_sim.live.script import ATTACH, DETACH, MOVE, Asked
from gateway_sim.scenario import Scenario
from gateway_sim.signalling.sgw import Event, EventKind, Sgw
from gateway_sim.signalling.sgw import Step as Reaction
from gateway_sim.signalling.terminal import Credentials, Terminal
from gateway_sim.signalling.transitions import State

DATAGRAMS_A_TURN = 256
_LTE = 6
_SUCCESS = (EventKind.ATTACHED, EventKind.MODIFIED, EventKind.DETACHED)
_SETTLED = (State.ATTACHED, State.IDLE, State.REFUSED, State.LOST)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attach, a move or a detach; times as `clock.stamp_ns`."""

    step: int
    do: str
    sim: int
    accepted: bool
    cause: int | None
    begin_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    step: int
    do: str
    begin_ns: int


class Crowd:
    """One S-GW with the terminals behind it, on UDP. Needs `close`.

    closings: (SIM, time) of every end of a session, from when on nothing is known for sure.
    """

    def __init__(
        self, scenario: Scenario, fleet: Fleet, address: str, port: int, gateway: tuple[str, int]
    ) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.socket.bind((address, port))
        except OSError as error:
            self.socket.close()
            raise PktollError(f"sim: cannot listen on UDP {address}:{port}: {error}") from None
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sgw = Sgw(address, address, gateway=gateway, seed=scenario.seed)
        self.fleet = fleet
        self.outcomes: list[Outcome] = []
        self.closings: list[tuple[int, int]] = []
        self.faults: list[str] = []
        self.path_faults = 0
        """messages of GTP-U that fit no session, such as Error Indications"""
        self._lines = list(scenario.lines())
        self._terminals: dict[int, Terminal] = {}
        self._numbers: dict[Terminal, int] = {}
        self._waiting: dict[int, _Waiting] = {}

    @property
    def pending(self) -> int:
        """Requests without an answer yet."""
        return len(self._waiting)

    def busy(self, sim: int) -> bool:
        """An answer to this terminal is still out."""
        return sim in self._waiting

    def do(self, step: int, do: str, sim: int, asked: Asked) -> None:
        """Begin an attach, a move or a detach."""
        now_ns = clock.running_ns()
        begin_ns = clock.stamp_ns()
        if do == ATTACH:
            terminal = self._terminal(sim, asked)
            self._end(sim, begin_ns)
            reaction = self.sgw.attach(terminal, now_ns)
        else:
            terminal = self._terminals.get(sim) or self._terminal(sim, asked)
            if do == DETACH:
                self._end(sim, begin_ns)
                reaction = self.sgw.detach(terminal, now_ns)
            else:
                reaction = self.sgw.move(terminal, now_ns, rat=asked.rat)
                self.fleet.teid_next[sim] = terminal.next_user.teid if terminal.next_user else 0
        self._waiting[sim] = _Waiting(step, do, begin_ns)
        self._take(reaction)

    def _end(self, sim: int, at_ns: int) -> None:
        """The session, if there is one, may be over from now on."""
        if self.fleet.state[sim] == OPEN:
            self.closings.append((sim, at_ns))
        self.fleet.state[sim] = UNSURE

    def cutting(self, sim: int, at_ns: int) -> None:
        """The operator asks for the end of this SIM's session."""
        if self.fleet.state[sim] == OPEN:
            self._end(sim, at_ns)

    def cut(self, sim: int, done: bool) -> None:
        """The operator has its answer: `done`, nothing may pass from now on."""
        if self.fleet.state[sim] == UNSURE:
            self.fleet.state[sim] = SHUT if done else OPEN

    def _terminal(self, sim: int, asked: Asked) -> Terminal:
        """The SIM's terminal as this step wants it; a new one where it is to be another."""
        line = self._lines[sim]
        version = 2 if asked.rat == _LTE else 1
        old = self._terminals.get(sim)
        if old is not None and old.version == version:
            old.credentials = Credentials(asked.auth, asked.user, asked.password)
            old.apn, old.rat, old.network = asked.apn, asked.rat, asked.network
            old.pdn_type = asked.pdn_type
            return old
        made = Terminal(
            imsi=line.imsi,
            msisdn=line.msisdn,
            imei=f"35824005{sim % 1_000_000:06d}0"[:15],
            apn=asked.apn,
            version=version,
            rat=asked.rat,
            pdn_type=asked.pdn_type,
            credentials=Credentials(asked.auth, asked.user, asked.password),
            network=asked.network,
        )
        self._terminals[sim] = made
        self._numbers[made] = sim
        return made

    def turn(self) -> None:
        """Take in what came on GTP-C, and repeat what was not answered."""
        for _ in range(DATAGRAMS_A_TURN):
            try:
                data, peer = self.socket.recvfrom(65_535)
            except BlockingIOError:
                break
            self._take(self.sgw.receive(data, peer, clock.running_ns()))
        self._take(self.sgw.tick(clock.running_ns()))

    def path(self, data: bytes, peer: tuple[str, int]) -> list[tuple[bytes, tuple[str, int]]]:
        """A message of the user plane's own: what is to be answered to it from there."""
        reaction = self.sgw.path(data, peer, clock.running_ns())
        faults = [event for event in reaction.events if event.kind is EventKind.FAULT]
        self.path_faults += len(faults)
        reaction.events = [event for event in reaction.events if event not in faults]
        self._note(reaction)
        return list(reaction.datagrams)

    def _take(self, reaction: Reaction) -> None:
        for data, peer in reaction.datagrams:
            self._send(data, peer)
        self._note(reaction)

    def _send(self, data: bytes, peer: tuple[str, int]) -> None:
        with contextlib.suppress(BlockingIOError):  # as good as lost on the way: T3 sends it again
            self.socket.sendto(data, peer)

    def _note(self, reaction: Reaction) -> None:
        for event in reaction.events:
            if event.kind is EventKind.FAULT:
                self.faults.append(event.text)
            if event.terminal is None:
                continue
            sim = self._numbers[event.terminal]
            current = self._terminals[sim] is event.terminal
            if current and event.terminal.state in _SETTLED:
                self._settle(sim, event.terminal, event)

    def _settle(self, sim: int, terminal: Terminal, event: Event) -> None:
        """A terminal has come to rest in a state."""
        now_ns = clock.stamp_ns()
        waiting = self._waiting.pop(sim, None)
        attached = terminal.state == State.ATTACHED
        ended = waiting is None and not attached
        if ended and self.fleet.state[sim] == OPEN:  # this side hears of it only now
            self.closings.append((sim, now_ns))
        if not attached:
            self.fleet.state[sim] = CLOSED
        elif waiting is not None and waiting.do == MOVE:
            self.fleet.move(sim, terminal.teid_up, terminal.teid_down)
        elif waiting is not None:
            up, down = terminal.teid_up, terminal.teid_down
            self.fleet.open(sim, terminal.ipv4, terminal.ipv6, up, down)
        if waiting is not None:
            fine = event.kind in _SUCCESS
            self.outcomes.append(
                Outcome(waiting.step, waiting.do, sim, fine, event.cause, waiting.begin_ns, now_ns)
            )

    def close(self) -> None:
        """Give the socket back."""
        self.socket.close()
