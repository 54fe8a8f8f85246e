"""Addresses whose first packet has come: a SIM and a contract each, made together once they are wanted."""

from collections.abc import Callable
from socket import inet_ntoa
from typing import Any

import numpy.typing as npt

from engine.calendar import month_of
from engine.layout import V4_MAPPED
from engine.runtime.lines import Binding, ContractState, LineState
from engine.wire.addresses import format_address

Rows = npt.NDArray[Any]

_V4_BITS = 32


class Newcomers:
    """Those who wait to be made, in the order of the SIM rows that they were promised: column by column.

    Of each: its address, the time of its first packet, the coupon calendar's then (ns since 1970 both), and
    whether that packet opens a session.
    """

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.now_ns: list[int] = []
        self.coupon_ns: list[int] = []
        self.opens: list[bool] = []

    def add(self, address: str, now_ns: int, coupon_ns: int, opens: bool) -> None:
        """One more."""
        self.addresses.append(address)
        self.now_ns.append(now_ns)
        self.coupon_ns.append(coupon_ns)
        self.opens.append(opens)

    def add_all(self, found: Rows, coupon_time: Callable[[int], int]) -> None:
        """Those that a kernel found, NEWCOMER[n]."""
        times = found["time_ns"].tolist()
        self.addresses += _texts(found)
        self.now_ns += times
        self.coupon_ns += map(coupon_time, times)
        self.opens += (found["opens"] != 0).tolist()

    def contracts(
        self, shards: list[int], plan: str, profile: int, bundle_bytes: int
    ) -> list[ContractState]:
        """A contract of this plan for each, in the shard that is given for it."""
        columns = self.addresses, shards, _months(self.now_ns), _months(self.coupon_ns)
        return [
            ContractState(code, shard, started, month, plan, profile, bundle_bytes)
            for code, shard, started, month in zip(*columns, strict=True)
        ]

    def lines(self, contracts: list[ContractState], first_row: int) -> list[LineState]:
        """A line in each of the contracts, SIM rows from `first_row` on."""
        return [
            LineState(row, address, contract, address, Binding((address,)))
            for row, (address, contract) in enumerate(
                zip(self.addresses, contracts, strict=True), first_row
            )
        ]


def _months(times_ns: list[int]) -> list[int]:
    """The month of each."""
    first, last = month_of(min(times_ns)), month_of(max(times_ns))
    return [first] * len(times_ns) if first == last else [month_of(ns) for ns in times_ns]


def _texts(found: Rows) -> list[str]:
    """The addresses of NEWCOMER[n] as `format_address` writes them."""
    if found["hi"].any() or (found["lo"] >> _V4_BITS != V4_MAPPED >> _V4_BITS).any():
        return [format_address(hi, lo) for hi, lo, *_ in found.tolist()]
    octets = found["lo"].astype(">u4").tobytes()
    return [inet_ntoa(octets[at : at + 4]) for at in range(0, len(octets), 4)]
