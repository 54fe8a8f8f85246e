"""`pktoll pool` and `pktoll subscribers` on one database, one after the other, for tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Ended, call

NOON = "2013-11-05T12:00:00+09:00"
MIO, CONTRACT, LINE = "MA00000001", "hdd00000001", "hdo00000001"
IMSI, ICCID, MSISDN = "440100000000001", "8981100000000000001", "819000000001"
SECOND, THIRD = "hdo00000002", "hdo00000003"
MINIMUM, FOURTH = "hdd00000002", "hdo00000004"
"""what configs/subscribers/family.toml names: a family of three SIMs, and a Minimum Start contract"""

Run = Callable[..., Ended]
Shown = Callable[..., dict[str, Any]]


def commands(url: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`pktoll …` on the database, at noon of 5 November 2013, on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("PKTOLL_POOL", url)

    def run(*arguments: str) -> Ended:
        timeless = "--at" in arguments or arguments[0] == "replay"
        timeless = timeless or arguments[:2] == ("pool", "audit")
        return call(capfd, *arguments, *(() if timeless else ("--at", NOON)))

    return run


def documents(run: Run) -> Shown:
    """The JSON document of a command that ends well."""

    def shown(*arguments: str) -> dict[str, Any]:
        done = run(*arguments, "--format", "json")
        assert (done.status, done.err) == (0, "")
        read: dict[str, Any] = json.loads(done.out)
        return read

    return shown


def import_family(run: Run, project: Path) -> None:
    """Make the database and import the family."""
    book = project / "configs" / "subscribers" / "family.toml"
    assert run("pool", "init").status == 0
    assert run("subscribers", "import", str(book)).status == 0


def everything(run: Run) -> list[str]:
    """All that can be seen of the database: coupons, SIMs, the book, and how it came about."""
    shown = documents(run)
    accounts = shown("subscribers", "list")["accounts"]
    seen = [
        *(shown("subscribers", "show", account["mio_id"]) for account in accounts),
        *(shown("pool", name) for name in ("balance", "usage", "audit")),
        *(shown("pool", "history", each["code"]) for each in shown("pool", "balance")["contracts"]),
    ]
    return [json.dumps(document) for document in seen]


def contract_of(shown: Shown, code: str, at: str = NOON) -> dict[str, Any]:
    """A contract in the list."""
    accounts = shown("subscribers", "list", "--at", at)["accounts"]
    (found,) = (
        each for account in accounts for each in account["contracts"] if each["code"] == code
    )
    assert isinstance(found, dict)
    return found


def states(shown: Shown, code: str = CONTRACT, at: str = NOON) -> dict[str, str]:
    """The states of a contract's lines."""
    return {line["code"]: line["state"] for line in contract_of(shown, code, at)["lines"]}


def sims(shown: Shown, name: str = CONTRACT, at: str = NOON) -> dict[str, dict[str, Any]]:
    """The SIMs that the coupon database has."""
    contracts = shown("pool", "balance", name, "--at", at)["contracts"]
    return {sim["line"]: sim for contract in contracts for sim in contract["sims"]}
