"""Documents of a coupon database as tables for people. Only here are figures made easier to read."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from engine import calendar, units
from engine.cli.console import Output
from engine.cli.pool_views import EXPIRED, GOOD, day_text
from engine.cli.table import size

SHOWN = 50
"""contracts or SIMs that a table shows; JSON has them all"""
UNCERTAIN_SHOWN = 20
KINDS = {"bundle": "bundle", "topup": "additional"}


def jst(ns: int | None) -> str:
    """An instant as a date and time of day in Japan, to the second; "-" where there is none."""
    if ns is None:
        return "-"
    second = (ns + units.JST_OFFSET_NS) % units.NS_PER_DAY // units.NS_PER_S
    hour, minute = second // 3600, second // 60 % 60
    return f"{day_text(calendar.day_of(ns))} {hour:02}:{minute:02}:{second % 60:02}"


def table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table; the columns named in `right` hold figures and are never cut."""
    made = Table(title=escape(title), box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        figures = name in right
        made.add_column(
            name, justify="right" if figures else "left", no_wrap=figures, overflow="fold"
        )
    return made


def show(*parts: Table | str) -> None:
    """Print tables and plain lines; colours where the terminal has them (NO_COLOR is respected)."""
    console = Output()
    for part in parts:
        if isinstance(part, Table):
            # Above the table: a title of its own would be wrapped to the width of the columns.
            console.print(f"[bold]{part.title}[/]", highlight=False, soft_wrap=True)
            part.title = None
        console.print(part, highlight=False, soft_wrap=isinstance(part, str))


def more(count: int, what: str) -> list[str]:
    """A remark where a table leaves out `count` of something."""
    return [f"and {count:,} more {what}: --format json shows all"] if count > 0 else []


def name_of(sim: dict[str, Any]) -> str:
    """The telephone number, or what else the SIM is known by, and its code."""
    other = next((sim[key] for key in ("msisdn", "imsi", "iccid") if sim[key]), None)
    code = str(sim["line"])
    return escape(f"{code} ({other})" if other else code)


def sizes(count_bytes: int | None) -> str:
    """Bytes for people; "-" where nobody said."""
    return "-" if count_bytes is None else size(count_bytes)


def state_of(sim: dict[str, Any]) -> str:
    """Switch, restriction and service of a SIM, as far as the database was told (Q4)."""
    words = []
    if sim["in_service"] is False:
        words.append("[red]suspended[/]")
    if sim["coupon"] is not None:
        words.append("[green]coupon on[/]" if sim["coupon"] else "[yellow]coupon off[/]")
    if sim["regulated"]:
        words.append("[red]restricted[/]")
    if sim["in_service"] and not sim["regulated"]:
        words.append("in service")
    return ", ".join(words) or "not told yet"


def show_balance(document: dict[str, Any]) -> None:
    """Per contract its coupons, and per SIM both balances and the state (Q2, Q4, L5)."""
    contracts = document["contracts"]
    parts: list[Table | str] = []
    for contract in contracts[:SHOWN]:
        parts.append(_coupons(contract))
        if contract["sims"]:
            parts.append(_sims(contract))
    if not contracts:
        parts.append("no contract has a coupon yet")
    parts += more(len(contracts) - SHOWN, "contracts")
    parts.append(
        "shown: as of the session's end, the switch to OFF, or 0 MB; exact: as of the last report."
    )
    show(*parts)


def _coupons(contract: dict[str, Any]) -> Table:
    title = f"contract {contract['code']}: {size(contract['good_bytes'])} in the database"
    made = table(
        title, "coupon", "good to the end of", "left", "credited", right=("left", "credited")
    )
    over = 0
    for coupon in contract["coupons"]:
        if coupon["state"] == EXPIRED:
            over += 1
            continue
        kind = KINDS[coupon["kind"]]
        if coupon["state"] != GOOD:
            kind += f" (from {jst(coupon['credited_ns'])})"
        credited = size(coupon["credited_bytes"])
        made.add_row(kind, coupon["last_good_day"], size(coupon["left_bytes"]), credited)
    if over:
        made.caption = f"{over} expired not shown: --format json shows all"
    return made


def _sims(contract: dict[str, Any]) -> Table:
    columns = ("SIM", "state", "shown", "as of", "exact")
    made = table(f"SIMs of {contract['code']}", *columns, right=("shown", "exact"))
    for sim in contract["sims"]:
        exact = size(sim["exact_balance_bytes"])
        if sim["uncertain_bytes"]:
            exact += f" (uncertain: {size(sim['uncertain_bytes'])})"
        shown = sizes(sim["shown_balance_bytes"])
        made.add_row(name_of(sim), state_of(sim), shown, jst(sim["shown_ns"]), exact)
    return made


def show_history(document: dict[str, Any]) -> None:
    """Purchases, newest first, and which months they are of (Q1)."""
    figures = ("coupons", "volume")
    made = table(
        f"contract {document['contract']}: additional coupons",
        "bought (JST)",
        "coupons",
        "volume",
        "good to the end of",
        "request",
        right=figures,
    )
    for each in document["purchases"]:
        made.add_row(
            jst(each["bought_ns"]),
            str(each["coupons"]),
            size(each["bytes"]),
            each["last_good_day"],
            escape(each["request_id"]),
        )
    months = ", ".join(document["months"])
    nothing = "" if document["purchases"] else "none bought; "
    show(made, f"{nothing}additional coupons of {months} only; no bundle coupons.")


def show_usage(document: dict[str, Any]) -> None:
    """Days of each SIM, oldest first (Q3)."""
    figures = ("with coupon", "without", "exempt", "restricting")
    parts: list[Table | str] = []
    for sim in document["sims"][:SHOWN]:
        made = table(f"SIM {sim['line']}", "day (JST)", *figures, "updated (JST)", right=figures)
        for day in sim["days"]:
            made.add_row(
                day["day"] if day["complete"] else f"{day['day']} (so far)",
                size(day["with_coupon_bytes"]),
                size(day["without_coupon_bytes"]),
                size(day["exempt_bytes"]),
                size(day["restricting_bytes"]),
                jst(day["updated_ns"]),
            )
        parts.append(made)
    if not document["sims"]:
        parts.append("no SIM is known yet")
    parts += more(len(document["sims"]) - SHOWN, "SIMs")
    updated = f"last updated {jst(document['updated_ns'])} JST" if document["updated_ns"] else ""
    parts.append("restricting: what of it counts towards the 3-day restriction.")
    parts.append(f"brought up to date periodically, not at every packet; {updated or 'not yet'}.")
    show(*parts)


def show_charge(document: dict[str, Any]) -> None:
    """A purchase in two lines (C3, C4)."""
    done = "bought" if document["new"] else "was bought already"
    show(
        f"contract {escape(document['contract'])}: {document['coupons']} additional coupons, "
        f"{size(document['bytes'])}, {done} at {jst(document['bought_ns'])} JST; "
        f"good to the end of {document['last_good_day']}",
        f"{document['month_coupons_left']} more may be bought in {document['month']}; "
        f"request {escape(document['request_id'])}",
    )


def show_audit(document: dict[str, Any]) -> None:
    """What was checked, and the sums; the findings are for standard error (G6)."""
    sums = document["sums"]
    if sums is None:
        show("the database is too damaged to add anything up")
        return
    coupons, sims = sums["coupons"], sums["sims"]
    lines = [
        "checked: every coupon, slice, line, purchase and account against the journal; the journal's "
        "numbers and check sums; the schema; the database's own pages",
        f"contracts {sums['contracts']:,}, SIMs {sums['lines']:,}, slices {sums['slices']:,}",
        f"credited {coupons['credited_bytes']:,} = in database {coupons['in_database_bytes']:,} "
        f"+ granted {coupons['granted_bytes']:,} + expired {coupons['expired_bytes']:,} bytes",
        f"granted {sims['granted_bytes']:,} + brought along {sims['opening_bytes']:,} "
        f"= on SIMs {sims['on_sim_bytes']:,} + used {sims['used_bytes']:,} "
        f"+ uncertain {sims['uncertain_bytes']:,} bytes",
    ]
    if sums["granted_to_removed_sims_bytes"]:
        bytes_ = sums["granted_to_removed_sims_bytes"]
        lines.append(f"granted to SIMs that were removed since: {bytes_:,} bytes")
    if not sums["steady"]:
        lines.append("gateways were at work meanwhile: the sums are not of one instant")
    uncertain = sums["uncertain"]
    for each in uncertain[:UNCERTAIN_SHOWN]:
        place = f"slice {each['slice_id']} ({escape(each['request_id']) or 'brought along'})"
        lines.append(
            f"uncertain: line {escape(each['line'])}, {place}: {each['uncertain_bytes']:,}"
        )
    lines += more(len(uncertain) - UNCERTAIN_SHOWN, "slices with uncertain bytes")
    if document["adds_up"]:
        lines.append("[green]the ledger adds up[/]")
    show(*lines)
