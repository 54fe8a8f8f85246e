"""`pktoll pool`: the coupon database: make it, buy, switch, look, and prove that it adds up."""

from typing import TYPE_CHECKING, Any

import click

from engine.cli.pool_database import (
    DatabaseGroup,
    at_time,
    file_of,
    in_format,
    on_database,
    opened,
    quietly,
    shown_url,
    write,
)
from engine.errors import LedgerError, PoolUnavailable, RefusedError

if TYPE_CHECKING:
    from engine.pool import CouponStore

INIT = "pktoll.pool-init/1"
SWITCH = "pktoll.pool-switch/1"
USAGE_DAYS = 3
"""JST days before today that `usage` shows by default (Q3)"""
USAGE_DAYS_MAX = 30


@click.group(
    name="pool",
    cls=DatabaseGroup,
    epilog="""
    \b
    Examples:
      pktoll pool init sqlite:///coupons.db --subscribers family.toml
      pktoll pool charge hdd00000001 --coupons 3 --pool sqlite:///coupons.db
      export PKTOLL_POOL=sqlite:///coupons.db; pktoll pool balance; pktoll pool audit
    """,
)
def command() -> None:
    """The coupon database: make it, buy, switch, look, and prove that it adds up.

    It is named by --pool URL, by an argument that has "://" in it, or by PKTOLL_POOL. Gateways may be
    at work on it meanwhile.
    """


@command.command(
    epilog="""
    \b
    Example:
      pktoll pool init sqlite:///coupons.db --subscribers family.toml
    """
)
@on_database
@click.option("--config", metavar="FILE", help="Configuration (TOML); default: the packaged one.")
@click.option(
    "--subscribers", metavar="FILE", help="Import a subscriber file (TOML or CSV) as well."
)
@at_time
@in_format
@quietly
def init(
    url: str, config: str | None, subscribers: str | None, at_ns: int, form: str, quiet: bool
) -> None:
    """Make a coupon database, or bring one to the newest schema.

    Harmless where there is one already: nothing that it holds is changed.
    """
    from engine.cli.pool_tables import show

    given = None
    if subscribers is not None:
        # Read before anything is made: a file that is wrong leaves no database behind.
        from engine.cli import subscribers_files as files

        given = files.read(config, subscribers)
    path = file_of(url)
    existed = path.exists() if path is not None else None
    with opened(url, create=True) as store:
        settings = store.settings()
    done = "made" if existed is False else "is there, with the newest schema"
    details = ", ".join(f"{key} {text}" for key, text in settings.items())
    words = [f"{shown_url(url)}: {done} ({details})"]
    document: dict[str, Any] = {
        "schema": INIT,
        "database": shown_url(url),
        "existed": existed,
        "settings": settings,
        "imported": None,
    }
    if given is not None:
        document["imported"] = files.import_book(url, given, at_ns)
        words.append(files.imported_words(document["imported"]))
    write(document, form, lambda _: show(*words), quiet)


@command.command(
    epilog="""
    \b
    Example:
      pktoll pool charge hdd00000001 --coupons 3 --request 2013-11-05/1 sqlite:///coupons.db
    """
)
@click.argument("contract")
@on_database
@click.option(
    "--coupons",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Additional coupons of 100 MB; at most 30 in a calendar month.",
)
@click.option(
    "--request",
    metavar="ID",
    help="Name of this purchase: however often it is repeated, it is bought once.",
)
@at_time
@in_format
@quietly
def charge(
    contract: str, url: str, coupons: int, request: str | None, at_ns: int, form: str, quiet: bool
) -> None:
    """Buy additional coupons for CONTRACT.

    The 31st of a calendar month is refused. They are good to the end of the third month after.
    """
    from uuid import uuid4

    from engine.cli import pool_views
    from engine.cli.pool_names import Names
    from engine.cli.pool_tables import show_charge

    request_id = request if request is not None else f"charge:{uuid4().hex[:16]}"
    with opened(url) as store:
        names = Names(store)
        code = names.contract(contract)
        ends_ns = names.ends_ns(code)
        if ends_ns is not None and ends_ns <= at_ns and not _bought(store, code, request_id):
            # Its end may not be entered yet: `subscribers advance` does that.
            raise RefusedError(f"contract {code}: has ended, and buys no coupons any more (A4)")
        new = buy(store, request_id, code, coupons, at_ns)
        document = pool_views.charge(store, code, request_id, new)
    write(document, form, show_charge, quiet)


def _bought(store: "CouponStore", contract: str, request_id: str) -> bool:
    return any(each.request_id == request_id for each in store.purchases(contract, 0))


def buy(store: "CouponStore", request_id: str, contract: str, coupons: int, at_ns: int) -> bool:
    """`CouponStore.buy`; PoolUnavailable says how to find out whether it was bought."""
    try:
        return store.buy(request_id, contract, coupons, at_ns)
    except PoolUnavailable as error:
        raise PoolUnavailable(
            f"{error}; whether it was bought is not known: repeat it with --request {request_id}"
        ) from error


@command.command(
    epilog="""
    \b
    Example:
      pktoll pool switch 09000000001 off --pool sqlite:///coupons.db
    """
)
@click.argument("line")
@click.argument("state", metavar="on|off", type=click.Choice(["on", "off"]))
@on_database
@at_time
@in_format
@quietly
def switch(line: str, state: str, url: str, at_ns: int, form: str, quiet: bool) -> None:
    """Turn the coupon of LINE on or off.

    LINE is the line's code, or its IMSI, ICCID or telephone number where the contract book has it.
    """
    from engine.cli.pool_names import Names
    from engine.cli.pool_tables import show
    from engine.pool.store import LineNews

    on = state == "on"
    with opened(url) as store:
        before = Names(store).line(line)
        news = LineNews(at_ns, coupon_on=on)
        if not on and before.coupon_on is not False and before.gateway is None:
            # Nobody has a session open that would say so: the balance is exact, and shown from now on (L5).
            news = news._replace(shown_bytes=before.balance_bytes)
        changed = before.coupon_on is not on
        if changed:
            store.note(before.code, news)
    document = {
        "schema": SWITCH,
        "line": before.code,
        "contract": before.contract,
        "at_ns": at_ns,
        "coupon": on,
        "changed": changed,
    }
    words = f"line {before.code}: coupon {state}" + ("" if changed else ", as it was")
    write(document, form, lambda _: show(words), quiet)


@command.command(
    epilog="""
    \b
    Examples:
      pktoll pool balance sqlite:///coupons.db
      pktoll pool balance hdd00000001 --format json --pool sqlite:///coupons.db
    """
)
@click.argument("name", metavar="[CONTRACT|LINE]", required=False)
@on_database
@at_time
@in_format
def balance(name: str | None, url: str, at_ns: int, form: str) -> None:
    """What is left: per coupon of a contract, and on each SIM.

    LINE is a line's code, or its IMSI, ICCID or telephone number where the contract book has it. "shown"
    is what the customer sees, "exact" what the gateway last reported.
    """
    from engine.cli import pool_views
    from engine.cli.pool_names import Names
    from engine.cli.pool_tables import show_balance

    with opened(url) as store:
        names = Names(store)
        target = None if name is None else names.find(name)
        document = pool_views.balance(store, names, target, at_ns)
    write(document, form, show_balance)


@command.command(
    epilog="""
    \b
    Example:
      pktoll pool history hdd00000001 --pool sqlite:///coupons.db
    """
)
@click.argument("contract")
@on_database
@at_time
@in_format
def history(contract: str, url: str, at_ns: int, form: str) -> None:
    """Additional coupons that CONTRACT bought: this calendar month and the two before (JST).

    Bundle coupons are not listed.
    """
    from engine.cli import pool_views
    from engine.cli.pool_names import Names
    from engine.cli.pool_tables import show_history

    with opened(url) as store:
        code = Names(store).contract(contract)
        document = pool_views.history(store, code, at_ns)
    write(document, form, show_history)


@command.command(
    epilog="""
    \b
    Example:
      pktoll pool usage hdo00000001 --days 7 --pool sqlite:///coupons.db
    """
)
@click.argument("name", metavar="[LINE]", required=False)
@on_database
@click.option(
    "--days",
    type=click.IntRange(1, USAGE_DAYS_MAX),
    default=USAGE_DAYS,
    show_default=True,
    help="Days before today to show.",
)
@at_time
@in_format
def usage(name: str | None, url: str, days: int, at_ns: int, form: str) -> None:
    """Bytes per SIM and day in Japan, with and without coupon; today's so far.

    LINE may be a contract as well: all of its SIMs. The figures are brought up to date periodically.
    """
    from engine.cli import pool_views
    from engine.cli.pool_names import Names
    from engine.cli.pool_tables import show_usage

    with opened(url) as store:
        names = Names(store)
        target = None if name is None else names.find(name)
        document = pool_views.usage(store, names, target, days, at_ns)
    write(document, form, show_usage)


@command.command(
    epilog="""
    \b
    Example:
      pktoll pool audit sqlite:///coupons.db
    """
)
@on_database
@in_format
@quietly
def audit(url: str, form: str, quiet: bool) -> None:
    """Prove that the ledger adds up.

    Exit status 6, and a line on standard error for each finding, if it does not.
    """
    from engine.cli import pool_views
    from engine.cli.pool_tables import show_audit

    with opened(url) as store:
        document = pool_views.audit(store)
    write(document, form, show_audit, quiet)
    if document["findings"]:
        raise LedgerError("\n".join(document["findings"]))
