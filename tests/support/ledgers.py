"""A coupon database with something in every table, for tests of the commands that look at it."""

import json
from typing import Any

import pytest

from engine import calendar
from engine.pool import open_store
from engine.pool.store import LineNews, StoreOptions
from engine.units import MB, NS_PER_DAY, NS_PER_S
from tests.support import command

NOVEMBER = calendar.parse_month("2013-11")
MONTH_NS = calendar.month_start_ns(NOVEMBER)
NOW_NS = MONTH_NS + 4 * NS_PER_DAY + 9 * 3600 * NS_PER_S
"""5 November 2013, 9:00 in Japan"""
TODAY = calendar.day_of(NOW_NS)
CONTRACT, EMPTY = "hdd00000001", "hdd00000002"
FIRST, SECOND, OTHER = "hdo00000001", "hdo00000002", "hdo00000003"
BUNDLE, OLD = 1024 * MB, 30 * MB

HOSTILE = (
    "'; DROP TABLE line--",
    '" OR 1=1',
    "x" * 10_000,
    "nul\0nul",
    "\u202edlo",
    "שלום",
    "e\u0301" * 20,
    "[bold]not bold[/]",
    "line\nbreak",
    "\udcff",
    "",
    " ",
    "../../etc/passwd",
)
"""names that are attacks, or meant to confuse (B77)"""


def filled(url: str) -> None:
    """Contract CONTRACT with two lines of which one has used something, and EMPTY with one line.

    FIRST: was granted 10 MB, used 4 MB, shown as 6 MB; SECOND: off, suspended, brought 7 bytes along.
    """
    store = open_store(url, StoreOptions(gateway="gw"))
    store.begin()
    store.credit("old", CONTRACT, "bundle", OLD, 0, MONTH_NS)
    expires_ns = calendar.bundle_expires_ns(NOVEMBER)
    store.credit("bundle:now", CONTRACT, "bundle", BUNDLE, MONTH_NS, expires_ns)
    next_ns = calendar.month_start_ns(NOVEMBER + 1)
    store.credit("bundle:next", CONTRACT, "bundle", BUNDLE, next_ns, expires_ns)
    store.expire(MONTH_NS)
    store.open_lines([(CONTRACT, FIRST, 0), (CONTRACT, SECOND, 7), (EMPTY, OTHER, 0)])
    store.grant("r1", CONTRACT, FIRST, NOW_NS - NS_PER_S)
    store.settle_all([(FIRST, 4 * MB), (SECOND, 0), (OTHER, 0)], True)
    store.note(FIRST, LineNews(NOW_NS, True, True, False, 6 * MB))
    store.note(SECOND, LineNews(NOW_NS, False, False, True))
    used = [(FIRST, TODAY - back, 100 + back, back, 1, back) for back in range(5)]
    store.report_usage(used, NOW_NS)
    store.commit()
    store.close()


def broken_off(url: str) -> None:
    """FIRST opened by a gateway that then broke off with 1 MB of use announced and not reported."""
    options = StoreOptions(gateway="gw")
    store = open_store(url, options)
    store.open_line(CONTRACT, FIRST, 0)
    store.mark([(FIRST, 0, MB)])
    store.close(clean=False)
    open_store(url, options).close()


def document(capfd: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The JSON document that a command prints; it must end well and say nothing else."""
    done = command.call(capfd, *arguments, "--format", "json")
    assert (done.status, done.err) == (0, "")
    read: dict[str, Any] = json.loads(done.out)
    return read
