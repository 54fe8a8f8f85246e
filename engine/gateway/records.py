"""Usage records of sessions, one when each has ended, after the PGW-CDR of TS 32.298 5.1.2.2."""

from collections import deque
from typing import Any

from engine.gateway.session import Session
from engine.signalling.messages import RAT_NAMES

RECORDS_MAX = 65_536
"""records that wait to be fetched; beyond that the oldest is given up and counted"""
WAYS = ("up", "down")
LATEST = ("max_delay_ns",)
"""figures of a line that are no sums: a session's part of them is not known"""

Record = dict[str, Any]


def figures(report: Record) -> Record:
    """Of a line's report (`Engine.line_report`), what a session's record is made of."""
    return {
        way: {name: value for name, value in report[way].items() if name not in LATEST}
        for way in WAYS
    }


def record_of(session: Session, report: Record, closed_ns: int, closing: str, why: str) -> Record:
    """The record of a session that ends: what its line used since it was opened."""
    closing_figures = figures(report)
    return {
        "imsi": session.imsi,
        "msisdn": session.msisdn,
        "line": session.line,
        "contract": session.contract,
        "apn": session.apn,
        "rat_type": None if session.rat is None else RAT_NAMES.get(session.rat),
        "version": session.version,
        "ipv4": session.ipv4,
        "ipv6": session.ipv6,
        "sgw": session.peer_user,
        "network": session.network or None,
        "charging_id": session.charging_id,
        "opened_ns": session.opened_ns,
        "closed_ns": closed_ns,
        "duration_ns": closed_ns - session.opened_ns,
        "cause_for_closing": closing,
        "reason": why,
        **{
            way: {
                name: value - session.opening[way][name]
                for name, value in closing_figures[way].items()
            }
            for way in WAYS
        },
    }


class Records:
    """Records that wait to be written; the oldest are given up where nobody fetches them."""

    def __init__(self, records_max: int = RECORDS_MAX) -> None:
        self._waiting: deque[Record] = deque()
        self._max = records_max
        self.lost = 0

    def add(self, record: Record) -> None:
        """A session has ended."""
        if len(self._waiting) >= self._max:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(record)

    def take(self) -> list[Record]:
        """All that wait, in the order in which the sessions ended."""
        taken = list(self._waiting)
        self._waiting.clear()
        return taken
