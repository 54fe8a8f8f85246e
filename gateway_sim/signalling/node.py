"""What an S-GW or SGSN keeps: its tunnels, its requests under way, what it knows of its peers."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from engine.errors import UsageError
from gateway_sim.codec.options import IDENTIFIER
from gateway_sim.signalling.control import SEQUENCE_BITS, Fill, Kind, Shape
from gateway_sim.signalling.exchange import N3, T3_NS, Answers, Numbers, Peer, Pending, Requests
from gateway_sim.signalling.stamped import stamp
from gateway_sim.signalling.terminal import CHAP, Fteid, Terminal, chap_response

USER_PATH = 0
"""stands for GTP-U where requests are kept by version of GTP-C"""
_TEIDS, _CHALLENGES, _NUMBERS = 1, 2, 3


class EventKind(StrEnum):
    """What a node reports."""

    ATTACHED = "attached"
    REFUSED = "refused"
    MODIFIED = "modified"
    MODIFY_REFUSED = "modify refused"
    DETACHED = "detached"
    CUT = "cut"
    """the gateway ended the session"""
    LOST = "lost"
    """the session is over without a word of agreement"""
    RESTARTED = "gateway restarted"
    ECHOED = "echoed"
    PATH_LOST = "path lost"
    END_MARKER = "end marker"
    FAULT = "fault"
    """something that the protocol does not allow here; `text` says what"""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `cause` is that of the message, where there was one."""

    kind: EventKind
    at_ns: int
    terminal: Terminal | None = None
    cause: int | None = None
    text: str = ""


@dataclass(slots=True)
class Step:
    """What follows from one call: datagrams to send, each with its peer, and what happened."""

    datagrams: list[tuple[bytes, Peer]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __add__(self, other: "Step") -> "Step":
        return Step(self.datagrams + other.datagrams, self.events + other.events)


class Node:
    """The state of a node, without a rule of what may follow what; no sockets, no clock."""

    def __init__(
        self,
        address: str,
        user_address: str,
        *,
        gateway: Peer = ("127.0.0.1", 2123),
        restarts: int = 0,
        seed: int = 0,
        version: int = 0,
        t3_ns: int = T3_NS,
        n3: int = N3,
    ) -> None:
        """A node at `address` (control) and `user_address`, facing `gateway` (address, port).

        `restarts` is its restart counter; `seed` decides TEIDs, sequence numbers and challenges;
        `version` is that of GTP-C, or 0 for both: then each terminal has its own.
        """
        self.address, self.user_address = address, user_address
        self.gateway, self.restarts = gateway, restarts % 256
        self.versions = (version,) if version else (1, 2)
        self.counters: Counter[str] = Counter()
        self.by_control: dict[int, Terminal] = {}
        self.by_user: dict[int, Terminal] = {}
        """terminals by the TEIDs of this side"""
        self.by_gateway: dict[tuple[str, int], Terminal] = {}
        """and by the gateway's end of the user tunnel"""
        self.waiting: dict[Terminal, tuple[int, Pending]] = {}
        self.answers = Answers(t3_ns * n3)
        self.restart_counters: dict[str, int] = {}
        self.requests = {
            version: Requests(bits, (seed, _NUMBERS, version), t3_ns, n3)
            for version, bits in ((USER_PATH, 16), *SEQUENCE_BITS.items())
        }
        self._teids = Numbers(1 << 32, seed, _TEIDS)
        self._challenges = Numbers(1 << 32, seed, _CHALLENGES)

    def next_tick_ns(self) -> int | None:
        """When `tick` has something to do; None while nothing waits."""
        times = (requests.next_ns() for requests in self.requests.values())
        return min((time for time in times if time is not None), default=None)

    # --- tunnels ----------------------------------------------------------------------------------

    def new_ends(self, terminal: Terminal) -> tuple[Fteid, Fteid]:
        """Ends of a control and a user tunnel, with TEIDs that nobody has."""
        control = Fteid(self._new_teid(self.by_control), self.address)
        user = Fteid(self._new_teid(self.by_user), self.user_address)
        self.by_control[control.teid] = terminal
        self.by_user[user.teid] = terminal
        return control, user

    def _new_teid(self, taken: dict[int, Terminal]) -> int:
        teid = self._teids.next()
        while not teid or teid in taken:
            teid = self._teids.next()
        return teid

    def drop_ends(self, ends: Iterable[Fteid | None]) -> None:
        """Forget ends of tunnels of this side."""
        for end in ends:
            if end is not None:
                self.by_control.pop(end.teid, None)
                self.by_user.pop(end.teid, None)

    def drop(self, terminal: Terminal) -> None:
        """Forget a terminal's session, and the request about it that is under way."""
        self.cancel(terminal)
        if terminal.gateway_user is not None:
            end = terminal.gateway_user
            self.by_gateway.pop((end.address, end.teid), None)
        ends = (terminal.control, terminal.user, terminal.next_control, terminal.next_user)
        self.drop_ends(ends)

    # --- requests ---------------------------------------------------------------------------------

    def shape(self, terminal: Terminal, kind: Kind, cause: int = 0) -> Shape:
        """A message of this node about this terminal; only what it asks is in its shape."""
        given: dict[str, Any] = {"address": self.address, "user_address": self.user_address}
        given |= {"network": terminal.network, "restarts": self.restarts, "cause": cause}
        given["rat"] = terminal.next_rat or terminal.rat
        if kind is Kind.CREATE_REQUEST:
            given |= {"apn": terminal.apn, "pdn_type": terminal.pdn_type}
            given["credentials"] = terminal.credentials
        return Shape(terminal.version, kind, **given)

    def request(self, terminal: Terminal, kind: Kind, fill: dict[str, Any], now_ns: int) -> Pending:
        """A request about a terminal, under way from now on; the last one about it is forgotten."""
        self.cancel(terminal)
        requests = self.requests[terminal.version]
        sequence, peer, teid = requests.number(), self.gateway, 0
        if kind is not Kind.CREATE_REQUEST and terminal.gateway_control is not None:
            peer = (terminal.gateway_control.address, self.gateway[1])
            teid = terminal.gateway_control.teid
        octets = stamp(self.shape(terminal, kind), Fill(sequence, teid, **fill))
        pending = Pending(sequence, octets, peer, kind, terminal)
        requests.add(pending, now_ns)
        self.waiting[terminal] = (terminal.version, pending)
        self.counters[f"{kind} sent"] += 1
        return pending

    def cancel(self, terminal: Terminal) -> None:
        """An answer to the request about this terminal is not awaited any more."""
        version, pending = self.waiting.pop(terminal, (0, None))
        if pending is not None:
            self.requests[version].finish(pending)

    def chap(self, terminal: Terminal) -> dict[str, bytes]:
        """A challenge of this session and the terminal's response, where it is to be known by CHAP."""
        if terminal.credentials.kind != CHAP:
            return {}
        words = [self._challenges.next() for _ in range(4)]
        challenge = b"".join(word.to_bytes(4, "big") for word in words)
        password = terminal.credentials.password
        return {"challenge": challenge, "response": chap_response(IDENTIFIER, password, challenge)}

    def check_version(self, version: int) -> None:
        """UsageError where this node does not speak it."""
        if version not in self.versions:
            words = " and ".join(map(str, self.versions))
            raise UsageError(f"GTP-C version {version}: this node speaks version {words}")
