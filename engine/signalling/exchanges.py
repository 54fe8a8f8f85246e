"""Requests and their answers as seen from outside: paired by ends, version and sequence number."""

from collections import OrderedDict
from typing import NamedTuple

from engine.signalling.messages import Kind, Message

Endpoint = tuple[str, int]
"""address and UDP port"""

REQUESTS_MAX = 1 << 16
"""requests whose answer is waited for; the oldest goes when there are more"""
NODES_MAX = 1 << 16
"""pairs of addresses, and restart counters, that are remembered"""
ANSWER_NS = 15_000_000_000
"""ns; an answer that is not there by then does not come: of T3-RESPONSE and N3-REQUESTS (TS 29.274 7.6) 3 s
and 5 are the figures in use"""

ANSWERS = {
    Kind(f"{kind.removesuffix('-request')}-response"): kind
    for kind in Kind
    if kind.endswith("-request")
}
"""by kind of answer, the kind of request"""

_Key = tuple[Endpoint, Endpoint, int, Kind, int]


class Request(NamedTuple):
    """A request on its way: from whom to whom, and when it was first seen."""

    message: Message
    sender: Endpoint
    receiver: Endpoint
    at_ns: int


class Exchanges:
    """Which request an answer belongs to. Bounded: what is never answered is forgotten."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[_Key, Request] = OrderedDict()
        self._heard: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.evicted = 0

    def ask(self, request: Request) -> None:
        """A request; one that is there already is a retransmission."""
        message = request.message
        key = request.sender, request.receiver, message.version, message.kind, message.sequence
        self._waiting.setdefault(key, request)
        if len(self._waiting) > REQUESTS_MAX:
            self._waiting.popitem(last=False)
            self.evicted += 1

    def answer(self, message: Message, sender: Endpoint, receiver: Endpoint) -> Request | None:
        """The request that this answers; None for a second answer, or where the request was not seen."""
        kind = ANSWERS[message.kind]
        key = receiver, sender, message.version, kind, message.sequence
        return self._waiting.pop(key, None)

    def hear(self, sender: str, receiver: str) -> None:
        """A message of one node to another; so that direction is in the capture."""
        self._heard[sender, receiver] = None
        self._heard.move_to_end((sender, receiver))
        if len(self._heard) > NODES_MAX:
            self._heard.popitem(last=False)

    def heard(self, sender: str, receiver: str) -> bool:
        return (sender, receiver) in self._heard

    def overdue(self, now_ns: int) -> list[Request]:
        """Take out the requests whose time is up, in the order in which they came."""
        found = []
        while self._waiting:
            key, request = next(iter(self._waiting.items()))
            if now_ns - request.at_ns < ANSWER_NS:
                break
            del self._waiting[key]
            found.append(request)
        return found


class Restarts:
    """Restart counters of nodes (Recovery IE, TS 23.007 18)."""

    def __init__(self) -> None:
        self._counters: OrderedDict[tuple[str, int], int] = OrderedDict()

    def restarted(self, node: str, version: int, counter: int | None) -> bool:
        """Whether this counter says that the node lost its sessions since it was heard last.

        A smaller one, wrapping at 256, is that of an older message and changes nothing.
        """
        if counter is None:
            return False
        known = self._counters.setdefault((node, version), counter)
        if len(self._counters) > NODES_MAX:
            self._counters.popitem(last=False)
        if not 0 < (counter - known) % 256 < 128:
            return False
        self._counters[node, version] = counter
        return True
