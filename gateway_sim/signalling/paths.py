"""GTP-U at the node, but for user packets: is the path alive, who does not know which tunnel."""

from gateway_sim.codec import path as codec_path
from gateway_sim.codec.path import (
    ECHO_REQUEST,
    ECHO_RESPONSE,
    END_MARKER,
    ERROR_INDICATION,
    PathMessage,
)
from gateway_sim.signalling.control import Kind
from gateway_sim.signalling.exchange import Peer, Pending
from gateway_sim.signalling.heard import Heard
from gateway_sim.signalling.node import USER_PATH, Event, EventKind, Step
from gateway_sim.signalling.sessions import Sessions
from gateway_sim.signalling.transitions import Signal


class Paths(Sessions):
    """Datagrams of these methods go out of the GTP-U port, where those for `path` came in."""

    def path(self, data: bytes, peer: Peer, now_ns: int) -> Step:
        """Take a datagram from the GTP-U port that is no G-PDU (TS 29.281 7)."""
        step, message = Step(), codec_path.read(data)
        if message.fault:
            self.fault(step, now_ns, f"unreadable on GTP-U: {message.fault}")
        elif message.message_type == ECHO_REQUEST and message.sequence is not None:
            step.datagrams.append((codec_path.echo_response(message.sequence), peer))
            self.counters["user echoes answered"] += 1
        elif message.message_type == ECHO_RESPONSE:
            self._echoed(message, peer, now_ns, step)
        elif message.message_type == ERROR_INDICATION:
            self._unknown_there(message, peer, now_ns, step)
        elif message.message_type == END_MARKER:
            terminal = self.by_user.get(message.teid)
            self.counters["end markers"] += 1
            step.events.append(Event(EventKind.END_MARKER, now_ns, terminal))
        else:
            self.fault(step, now_ns, f"unexpected on GTP-U: message type {message.message_type}")
        return step

    def echo_user(self, peer: Peer, now_ns: int) -> Step:
        """Ask whether the path of user packets to `peer` is alive."""
        requests = self.requests[USER_PATH]
        if requests.full:
            return self.busy(now_ns)
        sequence = requests.number()
        octets = codec_path.echo_request(sequence)
        requests.add(Pending(sequence, octets, peer, Kind.ECHO_REQUEST, None), now_ns)
        return Step([(octets, peer)])

    def tick_user(self, now_ns: int) -> Step:
        """As `tick`, for echo requests of GTP-U."""
        step = Step()
        again, over = self.requests[USER_PATH].due(now_ns)
        step.datagrams += [(pending.octets, pending.peer) for pending in again]
        self.counters["sent again"] += len(again)
        for pending in over:
            self.counters["timeouts"] += 1
            text = f"GTP-U to {pending.peer[0]}"
            step.events.append(Event(EventKind.PATH_LOST, now_ns, text=text))
        return step

    def unknown_here(self, teid: int, peer: Peer) -> Step:
        """A G-PDU came down with a TEID of nobody; TEID 0 is not spoken of (7.3.1)."""
        if not teid or teid in self.by_user:
            return Step()
        self.counters["error indications sent"] += 1
        return Step([(codec_path.error_indication(teid, self.user_address), peer)])

    def _echoed(self, message: PathMessage, peer: Peer, now_ns: int, step: Step) -> None:
        requests = self.requests[USER_PATH]
        pending = requests.pending.get(-1 if message.sequence is None else message.sequence)
        if pending is None or pending.peer[0] != peer[0]:
            self.counters["late answers"] += 1
            return
        requests.finish(pending)
        step.events.append(Event(EventKind.ECHOED, now_ns, text="GTP-U"))

    def _unknown_there(self, message: PathMessage, peer: Peer, now_ns: int, step: Step) -> None:
        """Only the gateway of a session may say that it does not know the session's tunnel (B21)."""
        terminal = self.by_gateway.get((peer[0], message.teid))
        if terminal is None or message.address != peer[0]:
            self.fault(step, now_ns, f"error indication of a foreign tunnel from {peer[0]}")
            return
        self.counters["error indications"] += 1
        self.signal(terminal, Signal.ERROR_INDICATION, Heard(), now_ns, step)
