"""The contract book for people."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from engine.cli.pool_tables import SHOWN, jst, more, show, table
from engine.cli.pool_views import last_day


def show_listing(document: dict[str, Any]) -> None:
    """A row a contract, a row a line."""
    accounts = document["accounts"]
    made = table("Contract book", "mioID", "contract", "plan, state", "line, number", "state")
    for account in accounts[:SHOWN]:
        mio_id = account["mio_id"] + (" (lapsed)" if account["lapsed_ns"] is not None else "")
        for contract in account["contracts"] or [None]:
            for row in _rows(contract):
                made.add_row(mio_id, *row)
                mio_id = ""
    show(made, *more(len(accounts) - SHOWN, "accounts"))


def _rows(contract: dict[str, Any] | None) -> list[tuple[str, ...]]:
    """A row a line; the contract stands beside the first."""
    if contract is None:
        return [("-",) * 4]
    state = str(contract["state"])
    if state == "cancelled":
        state = f"to the end of {last_day(contract['ends_ns'])}"
    first = (contract["code"], f"{escape(contract['plan'] or contract['service'])}\n{state}")
    lines = [(_line(line), line["state"]) for line in contract["lines"]] or [("-", "-")]
    return [(*first, *lines[0]), *(("", "", *line) for line in lines[1:])]


def _line(line: dict[str, Any]) -> str:
    number = next((line[key] for key in ("msisdn", "imsi", "iccid") if line[key]), None)
    return f"{line['code']}\n{number}" if number else str(line["code"])


def show_account(document: dict[str, Any]) -> None:
    """One account: contracts, options, lines and whether each may attach, and the changes."""
    account = document["account"]
    parts: list[Table | str] = [f"mioID {account['mio_id']}, version {document['version']}"]
    # What is not there is left out of an account's document.
    for contract in account.get("contracts", ()):
        what = contract.get("plan") or contract["service"]
        state = document["states"][contract["code"]]
        started = contract.get("started_ns")
        since = "not started" if started is None else f"since {jst(started)}"
        options = ", ".join(option["name"] for option in contract.get("options", ()))
        title = f"contract {contract['code']}: {what}, {state}, {since}"
        made = table(
            title + (f"; options: {options}" if options else ""), "line", "names", "attach"
        )
        for line in contract.get("lines", ()):
            names = [line[key] for key in ("msisdn", "imsi", "iccid") if key in line]
            admission = document["admissions"][line["code"]]
            may = (
                "[green]may[/]" if admission["may_attach"] else f"no: {escape(admission['reason'])}"
            )
            made.add_row(line["code"], "\n".join(names) or "-", may)
        parts.append(made)
    changes = table("Changes", "version", "at (JST)", "what")
    for entry in document["entries"]:
        words = f"{entry['action']} {entry['detail']}".strip()
        changes.add_row(str(entry["version"]), jst(entry["at_ns"]), escape(words))
    show(*parts, changes)


def show_change(document: dict[str, Any]) -> None:
    """What followed, a line each."""
    lines = [escape(effect["words"]) for effect in document["effects"]]
    lines += [escape(remark) for remark in document["remarks"]]
    show(*(lines or [f"{document['mio_id']}: nothing else changed"]))


def show_changes(document: dict[str, Any]) -> None:
    """Every change, by account."""
    if not document["changes"]:
        show("nothing was due")
    for change in document["changes"]:
        show(f"{change['mio_id']}:")
        show_change(change)
