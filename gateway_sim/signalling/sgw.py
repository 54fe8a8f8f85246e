"""An S-GW (GTPv2-C on S5/S8) or SGSN (GTPv1-C on Gn) with its terminals: no sockets, no clock.

Each call takes the time and gives a `Step`: datagrams to send, and what happened. What may follow what
is the table of `gateway_sim.signalling.transitions`; all else is a fault, counted and reported.
"""

from gateway_sim.signalling import heard
from gateway_sim.signalling.control import ACCEPTED, NOT_FOUND, SEQUENCE_BITS, Fill, Kind, Shape
from gateway_sim.signalling.exchange import Peer, Pending
from gateway_sim.signalling.heard import Heard
from gateway_sim.signalling.node import Event, EventKind, Step
from gateway_sim.signalling.paths import Paths
from gateway_sim.signalling.sessions import lacking
from gateway_sim.signalling.stamped import stamp
from gateway_sim.signalling.terminal import BEARER_ID, Terminal
from gateway_sim.signalling.transitions import TABLE, Signal

__all__ = ["Event", "EventKind", "Sgw", "Step"]

_ANSWER_OF = {
    Kind.ECHO_RESPONSE: Kind.ECHO_REQUEST,
    Kind.CREATE_RESPONSE: Kind.CREATE_REQUEST,
    Kind.MODIFY_RESPONSE: Kind.MODIFY_REQUEST,
    Kind.DELETE_RESPONSE: Kind.DELETE_REQUEST,
}
_SIGNALS = {
    Kind.CREATE_REQUEST: (Signal.CREATED, Signal.CREATE_REFUSED),
    Kind.MODIFY_REQUEST: (Signal.MODIFIED, Signal.MODIFY_REFUSED),
    Kind.DELETE_REQUEST: (Signal.DELETED, Signal.DELETE_REFUSED),
}
"""of a request: the signal of its acceptance, and of its refusal"""
NOT_SUPPORTED_TYPE = 3


class Sgw(Paths):
    """The machine; `gateway_sim.signalling.node.Node` says what it is made with."""

    # --- what terminals want ----------------------------------------------------------------------

    def attach(self, terminal: Terminal, now_ns: int) -> Step:
        """Ask the gateway for a session (Create Session or PDP Context Request)."""
        self.check_version(terminal.version)
        return self._order(terminal, Signal.ATTACH, now_ns)

    def detach(self, terminal: Terminal, now_ns: int) -> Step:
        """End it (Delete Session or PDP Context Request)."""
        return self._order(terminal, Signal.DETACH, now_ns)

    def move(
        self, terminal: Terminal, now_ns: int, rat: int | None = None, origin: "Sgw | None" = None
    ) -> Step:
        """Move the tunnel to new TEIDs of this node (Modify Bearer or Update PDP Context Request).

        `rat` is the new RAT type, None as before; `origin` the node that had the terminal so far,
        None where it is this one.
        """
        self.check_version(terminal.version)
        if (terminal.state, Signal.MOVE) in TABLE:
            terminal.next_rat = rat
            if origin is not None and origin is not self:
                origin.drop(terminal)
                self.enter(terminal)
        return self._order(terminal, Signal.MOVE, now_ns)

    def echo(self, now_ns: int, version: int = 2) -> Step:
        """Ask whether the path to the gateway is alive."""
        self.check_version(version)
        requests = self.requests[version]
        if requests.full:
            return self.busy(now_ns)
        sequence = requests.number()
        octets = stamp(Shape(version, Kind.ECHO_REQUEST, restarts=self.restarts), Fill(sequence))
        pending = Pending(sequence, octets, self.gateway, Kind.ECHO_REQUEST, None)
        requests.add(pending, now_ns)
        return Step([(octets, self.gateway)])

    def _order(self, terminal: Terminal, signal: Signal, now_ns: int) -> Step:
        if self.requests[terminal.version].full:
            return self.busy(now_ns, terminal)
        step = Step()
        self.signal(terminal, signal, Heard(), now_ns, step)
        return step

    # --- time -------------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> Step:
        """Send again what has no answer; give up what was sent N3-REQUESTS times."""
        step = Step()
        for version in self.versions:
            again, over = self.requests[version].due(now_ns)
            step.datagrams += [(pending.octets, pending.peer) for pending in again]
            self.counters["sent again"] += len(again)
            for pending in over:
                self.counters["timeouts"] += 1
                if pending.terminal is None:
                    text = f"GTPv{version}-C to {pending.peer[0]}"
                    step.events.append(Event(EventKind.PATH_LOST, now_ns, text=text))
                else:
                    self.signal(pending.terminal, Signal.TIMEOUT, Heard(), now_ns, step)
        return step

    # --- what the gateway says --------------------------------------------------------------------

    def receive(self, data: bytes, peer: Peer, now_ns: int) -> Step:
        """Take one datagram from the GTP-C port."""
        step, message = Step(), heard.read(data)
        if message.fault == "version" or message.version not in self.versions:
            self._not_supported(data, message, peer, now_ns, step)
        elif message.fault:
            self.fault(step, now_ns, f"unreadable: {message.fault}")
        elif message.kind is Kind.NOT_SUPPORTED:
            self._unsupported(message, peer, now_ns, step)
        elif message.kind in _ANSWER_OF:
            self._answered(message, peer, now_ns, step)
        elif message.kind is Kind.ECHO_REQUEST:
            self._restart_counter(message, peer, now_ns, step)
            shape = Shape(message.version, Kind.ECHO_RESPONSE, restarts=self.restarts)
            step.datagrams.append((stamp(shape, Fill(message.sequence)), peer))
            self.counters["echoes answered"] += 1
        elif message.kind in (Kind.DELETE_BEARER_REQUEST, Kind.DELETE_REQUEST):
            self._asked(message, peer, now_ns, step)
        else:
            self.fault(step, now_ns, f"unexpected message type {message.message_type}")
        return step

    def _not_supported(
        self, data: bytes, message: Heard, peer: Peer, now_ns: int, step: Step
    ) -> None:
        """Newer than this node: say which version it speaks (TS 29.274 7.7.2); older: no answer."""
        self.fault(step, now_ns, f"version {message.version} of GTP")
        newest = max(self.versions)
        if message.version > newest and message.message_type != NOT_SUPPORTED_TYPE:
            at = 8 if data[0] & 0x08 else 4  # as version 2 has it; of later ones nobody knows
            sequence = int.from_bytes(data[at : at + 3], "big") % (1 << SEQUENCE_BITS[newest])
            octets = stamp(Shape(newest, Kind.NOT_SUPPORTED), Fill(sequence))
            step.datagrams.append((octets, peer))

    def _unsupported(self, message: Heard, peer: Peer, now_ns: int, step: Step) -> None:
        """The peer speaks the version of this message: what it was asked in the other is in vain.

        The sequence number says nothing: of the other version's it could have but a part.
        """
        self.counters["version not supported"] += 1
        for version in self.versions:
            asked = list(self.requests[version].pending.values())
            for pending in asked if version != message.version else ():
                if pending.peer[0] == peer[0] and pending.terminal is not None:
                    self.signal(pending.terminal, Signal.UNSUPPORTED, message, now_ns, step)

    def _answered(self, message: Heard, peer: Peer, now_ns: int, step: Step) -> None:
        """An answer: to the request of its number, from whom that went to, with our TEID."""
        requests = self.requests[message.version]
        pending = requests.pending.get(message.sequence)
        if pending is None:
            self.counters["late answers"] += 1
            return
        if message.kind is None or pending.kind != _ANSWER_OF[message.kind]:
            self.fault(step, now_ns, f"{message.kind} to a {pending.kind}", pending.terminal)
            return
        if peer[0] != pending.peer[0]:
            self.fault(step, now_ns, f"{message.kind} from {peer[0]}", pending.terminal)
            return
        self._restart_counter(message, peer, now_ns, step)
        if pending.terminal is None:
            requests.finish(pending)
            step.events.append(Event(EventKind.ECHOED, now_ns, text=f"GTPv{message.version}-C"))
        else:
            self._judge(pending, pending.terminal, message, now_ns, step)

    def _judge(
        self, pending: Pending, terminal: Terminal, message: Heard, now_ns: int, step: Step
    ) -> None:
        """An answer about a terminal: accepted, refused, or unknown to the gateway."""
        good, bad = _SIGNALS[pending.kind]
        accepted = message.cause in ACCEPTED[message.version]
        mine = [end.teid for end in (terminal.control, terminal.next_control) if end]
        if message.teid not in (mine if accepted else (*mine, 0)):
            self.fault(step, now_ns, f"{message.kind} with a foreign TEID", terminal)
            return
        self.requests[message.version].finish(pending)
        self.waiting.pop(terminal, None)
        signal = good if accepted else bad
        if message.cause in NOT_FOUND[message.version]:
            signal = Signal.CONTEXT_GONE
        missing = lacking(terminal, message) if signal is Signal.CREATED else ""
        if message.cause is None or missing:
            signal = bad
            self.fault(step, now_ns, f"{message.kind} without {missing or 'a cause'}", terminal)
        self.signal(terminal, signal, message, now_ns, step)

    def _asked(self, message: Heard, peer: Peer, now_ns: int, step: Step) -> None:
        """The gateway ends a session; asked again, it gets the same answer again."""
        key = (peer, message.version, message.message_type, message.sequence)
        kept = self.answers.find(key, now_ns)
        if kept is not None:
            self.counters["asked again"] += 1
            step.datagrams.append((kept, peer))
            return
        terminal = self.by_control.get(message.teid or 0)
        end = terminal.gateway_control if terminal else None
        if peer[0] != (end.address if end else self.gateway[0]):
            self.fault(step, now_ns, f"{message.kind} from {peer[0]}", terminal)
            return
        known = _may_end(terminal) and (not message.bearers or BEARER_ID in message.bearers)
        cause = (ACCEPTED if known else NOT_FOUND)[message.version][0]
        kind = Kind.DELETE_BEARER_RESPONSE if message.version == 2 else Kind.DELETE_RESPONSE
        shape = Shape(message.version, kind, restarts=self.restarts, cause=cause)
        octets = stamp(shape, Fill(message.sequence, end.teid if end and known else 0))
        self.answers.keep(key, octets, now_ns)
        step.datagrams.append((octets, peer))
        if terminal is not None and known:
            self.signal(terminal, Signal.GATEWAY_DELETES, message, now_ns, step)
        else:
            self.fault(step, now_ns, f"{message.kind} for an unknown session", terminal)

    def _restart_counter(self, message: Heard, peer: Peer, now_ns: int, step: Step) -> None:
        """A higher one: the peer has lost all sessions (TS 23.007 18); a lower one came late."""
        if message.recovery is None:
            return
        known = self.restart_counters.setdefault(peer[0], message.recovery)
        ahead = (message.recovery - known) % 256
        if ahead >= 128:
            self.counters["late restart counters"] += 1
        elif ahead:
            self.restart_counters[peer[0]] = message.recovery
            step.events.append(Event(EventKind.RESTARTED, now_ns, text=peer[0]))
            for terminal in dict.fromkeys(self.by_control.values()):
                end = terminal.gateway_control
                if end is not None and end.address == peer[0]:
                    self.signal(terminal, Signal.GATEWAY_RESTARTED, Heard(), now_ns, step)


def _may_end(terminal: Terminal | None) -> bool:
    return terminal is not None and (terminal.state, Signal.GATEWAY_DELETES) in TABLE
