"""Sessions of terminals: what a signal does to one, by the table of `transitions`."""

from typing import Any

from gateway_sim.signalling.control import Kind
from gateway_sim.signalling.heard import Heard
from gateway_sim.signalling.node import Event, EventKind, Node, Step
from gateway_sim.signalling.terminal import IPV4, IPV6, Terminal
from gateway_sim.signalling.transitions import TABLE, Action, Signal, State

_REPORTS = {
    (State.ATTACHED, Signal.CREATED): EventKind.ATTACHED,
    (State.ATTACHED, Signal.MODIFIED): EventKind.MODIFIED,
    (State.ATTACHED, Signal.MODIFY_REFUSED): EventKind.MODIFY_REFUSED,
    (State.IDLE, Signal.DELETED): EventKind.DETACHED,
    (State.IDLE, Signal.CONTEXT_GONE): EventKind.DETACHED,
    (State.IDLE, Signal.GATEWAY_DELETES): EventKind.CUT,
}
_OUTCOMES = {State.LOST: EventKind.LOST, State.REFUSED: EventKind.REFUSED}
"""what is reported of a state however it was reached"""


def lacking(terminal: Terminal, message: Heard) -> str:
    """What an accepted session cannot do without and the answer does not have; empty: nothing.

    Of a session for both kinds of addresses, one may be given alone (TS 23.401 5.3.1.1).
    """
    if message.control is None:
        return "a control TEID and address"
    if message.user is None:
        return "a user TEID and address"
    if terminal.pdn_type == IPV4 and message.ipv4 is None:
        return "an IPv4 address"
    if terminal.pdn_type == IPV6 and message.ipv6 is None:
        return "an IPv6 prefix"
    return "" if message.ipv4 or message.ipv6 else "an address"


class Sessions(Node):
    """A node that follows the table."""

    def signal(
        self, terminal: Terminal, signal: Signal, message: Heard, now_ns: int, step: Step
    ) -> None:
        """One signal; a pair that is not in the table is a fault and changes nothing."""
        entry = TABLE.get((terminal.state, signal))
        if entry is None:
            self.fault(step, now_ns, f"{signal} while {terminal.state}", terminal)
            return
        terminal.state, action = entry
        terminal.cause = message.cause if message.kind else terminal.cause
        _ACTIONS[action](self, terminal, message, now_ns, step)
        kind = _OUTCOMES.get(terminal.state) or _REPORTS.get((terminal.state, signal))
        if kind is not None:
            self.counters[kind] += 1
            step.events.append(Event(kind, now_ns, terminal, message.cause, str(signal)))

    def fault(self, step: Step, now_ns: int, text: str, terminal: Terminal | None = None) -> None:
        """Count and report what the protocol does not allow."""
        self.counters["faults"] += 1
        step.events.append(Event(EventKind.FAULT, now_ns, terminal, text=text))

    def busy(self, now_ns: int, terminal: Terminal | None = None) -> Step:
        """Nothing is sent: too many sequence numbers are taken."""
        step = Step()
        self.fault(step, now_ns, "too many requests under way", terminal)
        return step

    def enter(self, terminal: Terminal) -> None:
        """Take over a terminal with its session from another node."""
        if terminal.control is not None and terminal.user is not None:
            self.by_control.setdefault(terminal.control.teid, terminal)
            self.by_user.setdefault(terminal.user.teid, terminal)
        if terminal.gateway_user is not None:
            end = terminal.gateway_user
            self.by_gateway[end.address, end.teid] = terminal

    # --- actions ----------------------------------------------------------------------------------

    def _nothing(self, terminal: Terminal, message: Heard, now_ns: int, step: Step) -> None:
        return

    def _send_create(self, terminal: Terminal, message: Heard, now_ns: int, step: Step) -> None:
        self.drop(terminal)
        terminal.forget()
        terminal.cause = None
        terminal.control, terminal.user = self.new_ends(terminal)
        fill: dict[str, Any] = {
            "teid_control": terminal.control.teid,
            "teid_user": terminal.user.teid,
            "imsi": terminal.imsi,
            "msisdn": terminal.msisdn,
            "imei": terminal.imei,
            **self.chap(terminal),
        }
        self._send(terminal, Kind.CREATE_REQUEST, fill, now_ns, step)

    def _send_modify(self, terminal: Terminal, message: Heard, now_ns: int, step: Step) -> None:
        terminal.next_control, terminal.next_user = self.new_ends(terminal)
        fill = {
            "teid_control": terminal.next_control.teid,
            "teid_user": terminal.next_user.teid,
        }
        self._send(terminal, Kind.MODIFY_REQUEST, fill, now_ns, step)

    def _send_delete(self, terminal: Terminal, message: Heard, now_ns: int, step: Step) -> None:
        self._send(terminal, Kind.DELETE_REQUEST, {}, now_ns, step)

    def _send(
        self, terminal: Terminal, kind: Kind, fill: dict[str, Any], now_ns: int, step: Step
    ) -> None:
        pending = self.request(terminal, kind, fill, now_ns)
        step.datagrams.append((pending.octets, pending.peer))

    def _open(self, terminal: Terminal, message: Heard, now_ns: int, step: Step) -> None:
        terminal.gateway_control, terminal.gateway_user = message.control, message.user
        terminal.ipv4, terminal.ipv6, terminal.dns = message.ipv4, message.ipv6, message.dns
        terminal.authenticated = message.authenticated
        terminal.charging_id = message.charging_id
        terminal.attached_ns = now_ns
        self.enter(terminal)

    def _take_path(self, terminal: Terminal, message: Heard, now_ns: int, step: Step) -> None:
        self.drop_ends((terminal.control, terminal.user))
        terminal.control, terminal.user = terminal.next_control, terminal.next_user
        terminal.rat = terminal.next_rat or terminal.rat
        terminal.next_control = terminal.next_user = terminal.next_rat = None
        if terminal.gateway_user is not None and message.user is not None:
            self.by_gateway.pop((terminal.gateway_user.address, terminal.gateway_user.teid), None)
        terminal.gateway_control = message.control or terminal.gateway_control
        terminal.gateway_user = message.user or terminal.gateway_user
        self.enter(terminal)

    def _keep_path(self, terminal: Terminal, message: Heard, now_ns: int, step: Step) -> None:
        self.drop_ends((terminal.next_control, terminal.next_user))
        terminal.next_control = terminal.next_user = terminal.next_rat = None

    def _close(self, terminal: Terminal, message: Heard, now_ns: int, step: Step) -> None:
        self.drop(terminal)
        terminal.forget()


_ACTIONS = {
    Action.NONE: Sessions._nothing,
    Action.SEND_CREATE: Sessions._send_create,
    Action.SEND_MODIFY: Sessions._send_modify,
    Action.SEND_DELETE: Sessions._send_delete,
    Action.OPEN: Sessions._open,
    Action.TAKE_PATH: Sessions._take_path,
    Action.KEEP_PATH: Sessions._keep_path,
    Action.NOTE: Sessions._close,  # of a refused session nothing stays but the cause
    Action.CLOSE: Sessions._close,
    Action.ANSWER_DELETE: Sessions._nothing,  # the answer is sent where the request was heard
    Action.ANSWER_AND_CLOSE: Sessions._close,
}
