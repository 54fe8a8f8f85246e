"""Addresses for sessions: IPv4 addresses and IPv6 /64s out of the pools of the settings (N2, O1).

Addresses are given in order, each after the one given last. One that was given back rests first, so that
what is still on its way to the terminal that had it does not reach another; a pool with nothing else left
gives the one that has rested longest. Memory is bounded by what was given within the rest.
"""

import ipaddress
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from engine.units import NS_PER_S

REST_NS = 600 * NS_PER_S
PREFIX6_BITS = 64
_FIRST, _LAST = 2, 1
"""kept of every IPv4 pool: network address and gateway at its start, broadcast address at its end"""


class _Range(NamedTuple):
    first: int
    after: int


def _range4(prefix: str) -> _Range:
    net = ipaddress.IPv4Network(prefix)
    first = int(net.network_address)
    return _Range(first + _FIRST, first + net.num_addresses - _LAST)


def _range6(prefix: str) -> _Range:
    """In /64s; the first is the gateway's own."""
    net = ipaddress.IPv6Network(prefix)
    first = int(net.network_address) >> PREFIX6_BITS
    return _Range(first + 1, first + (1 << PREFIX6_BITS - net.prefixlen))


class Pool:
    """The pools of one IP version; `version` 4: of addresses, 6: of /64s ("2001:db8:0:1::/64").

    `is_fixed` says of an address whether a line that sleeps has it for good.
    """

    def __init__(
        self,
        version: int,
        prefixes: tuple[str, ...],
        is_fixed: Callable[[str], bool] = lambda text: False,
    ) -> None:
        self.version = version
        self._is_fixed = is_fixed
        self._ranges = [(_range4 if version == 4 else _range6)(prefix) for prefix in prefixes]
        self._at = 0
        self._next = self._ranges[0].first if self._ranges else 0
        self._held: set[int] = set()
        self._kept: set[int] = set()
        self._given_back: deque[tuple[int, int]] = deque()

    @property
    def size(self) -> int:
        """How many there are, those kept for good included."""
        return sum(after - first for first, after in self._ranges)

    @property
    def held(self) -> int:
        """How many are given out."""
        return len(self._held)

    def take(self, now_ns: int) -> str | None:
        """The next address or /64; None where all are given out."""
        number = self._rested(now_ns - REST_NS)
        if number is None:
            number = self._fresh()
        if number is None:
            number = self._rested(now_ns)
        if number is None:
            return None
        self._held.add(number)
        return self._text(number)

    def give_back(self, text: str, now_ns: int) -> None:
        """The session that had it has ended; what no pool gave is passed over."""
        number = self._number(text)
        if number in self._held:
            self._held.remove(number)
            if number not in self._kept:
                self._given_back.append((now_ns, number))

    def keep(self, text: str) -> None:
        """A line has it for good: it is given to no other from now on."""
        number = self._number(text)
        if any(first <= number < after for first, after in self._ranges):
            self._kept.add(number)

    def _rested(self, until_ns: int) -> int | None:
        """The one that was given back first, if that was not after `until_ns`."""
        while self._given_back and self._given_back[0][0] <= until_ns:
            number = self._given_back.popleft()[1]
            if number not in self._kept:
                return number
        return None

    def _fresh(self) -> int | None:
        """The next that was never given."""
        while self._at < len(self._ranges):
            number = self._next
            if number < self._ranges[self._at].after:
                self._next += 1
                if number not in self._kept and not self._is_fixed(self._text(number)):
                    return number
            else:
                self._at += 1
                self._next = self._ranges[self._at].first if self._at < len(self._ranges) else 0
        return None

    def _text(self, number: int) -> str:
        if self.version == 4:
            return str(ipaddress.IPv4Address(number))
        return f"{ipaddress.IPv6Address(number << PREFIX6_BITS)}/{PREFIX6_BITS}"

    def _number(self, text: str) -> int:
        if self.version == 4:
            return int(ipaddress.IPv4Address(text))
        return int(ipaddress.IPv6Address(text.partition("/")[0])) >> PREFIX6_BITS
