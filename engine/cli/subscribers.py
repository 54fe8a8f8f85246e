"""`pktoll subscribers`: the contract book: who may attach, with which plan and options, until when."""

from typing import TYPE_CHECKING

import click

from engine.cli.pool_database import (
    DatabaseGroup,
    at_time,
    in_format,
    on_database,
    opened,
    quietly,
    write,
)
from engine.cli.subscribers_actions import COMMANDS, configured
from engine.cli.subscribers_pack import pack

if TYPE_CHECKING:
    from engine.cli.subscribers_desk import Desk
    from engine.pool import CouponStore


@click.group(
    name="subscribers",
    cls=DatabaseGroup,
    epilog="""
    \b
    Examples:
      pktoll subscribers import family.toml --pool sqlite:///coupons.db
      pktoll subscribers suspend 09000000001 --pool sqlite:///coupons.db
      export PKTOLL_POOL=sqlite:///coupons.db; pktoll subscribers list
    """,
)
def command() -> None:
    """The contract book: who may attach, with which plan and options, until when.

    It is part of the coupon database, which is named by --pool URL, by an argument that has "://" in
    it, or by PKTOLL_POOL. What a rule does not allow is refused in one line, and changes nothing.
    """


for each in (*COMMANDS, pack):
    command.add_command(each)


def _desk(store: "CouponStore", config: str | None, at_ns: int) -> "Desk":
    from engine import config as configuration
    from engine.cli.subscribers_desk import Desk

    return Desk(store, configuration.load(config), at_ns)


@command.command(
    "import",
    epilog="""
    \b
    Example:
      pktoll subscribers import family.toml --pool sqlite:///coupons.db
    """,
)
@click.argument("file")
@on_database
@configured
@at_time
@in_format
@quietly
def import_(file: str, url: str, config: str | None, at_ns: int, form: str, quiet: bool) -> None:
    """Import a subscriber file (TOML or CSV): contracts, coupons and lines that are new.

    Contracts without a mioID get one each. What the book has already is passed over.
    """
    from engine.cli import subscribers_files as files
    from engine.cli.pool_tables import show

    summary = files.import_book(url, files.read(config, file), at_ns)
    write(summary, form, lambda document: show(files.imported_words(document)), quiet)


@command.command(
    "list",
    epilog="""
    \b
    Example:
      pktoll subscribers list sqlite:///coupons.db --format json
    """,
)
@on_database
@configured
@at_time
@in_format
def list_(url: str, config: str | None, at_ns: int, form: str) -> None:
    """List accounts, contracts and lines with their states."""
    from engine.cli import subscribers_tables, subscribers_views
    from engine.subscribers import book

    with opened(url) as store:
        desk = _desk(store, config, at_ns)
        # As of the time that was asked for: what is due by then has happened, stored or not.
        found = (
            book.advance(each.account, at_ns, desk.settings).account for each in desk.accounts()
        )
        document = subscribers_views.listing(found, at_ns)
    write(document, form, subscribers_tables.show_listing)


@command.command(
    epilog="""
    \b
    Example:
      pktoll subscribers show 09000000001 --pool sqlite:///coupons.db
    """
)
@click.argument("name")
@on_database
@configured
@at_time
@in_format
def show(name: str, url: str, config: str | None, at_ns: int, form: str) -> None:
    """Show the account of NAME: its contracts, options, lines, and every change of it.

    NAME is a mioID, a contract's or a line's code, an IMSI, an ICCID or a telephone number.
    """
    from engine.cli import subscribers_tables, subscribers_views
    from engine.cli.subscribers_desk import EVERY_KIND
    from engine.subscribers import book

    with opened(url) as store:
        desk = _desk(store, config, at_ns)
        found = desk.find(name, EVERY_KIND)
        account = book.advance(found.account, at_ns, desk.settings).account
        entries = store.book_entries(account.mio_id)
        document = subscribers_views.showing(account, found.version, entries, at_ns, desk.settings)
    write(document, form, subscribers_tables.show_account)


@command.command(
    epilog="""
    \b
    Example:
      pktoll subscribers migrate iij4u.toml --at 2016-04-01T00:00:00+09:00 sqlite:///coupons.db
    """
)
@click.argument("file")
@on_database
@configured
@at_time
@in_format
@quietly
def migrate(file: str, url: str, config: str | None, at_ns: int, form: str, quiet: bool) -> None:
    """Move the IIJ4U contracts of a file (TOML) into the book.

    A customer without a mioID gets one; every service gets a new service code.
    """
    from engine.cli import subscribers_files as files
    from engine.cli import subscribers_tables, subscribers_views

    with opened(url) as store:
        desk = _desk(store, config, at_ns)
        made = files.migrate(desk, file)
        entered = files.enter(url, store, (change.account for change in made), at_ns)
    document = subscribers_views.changes(made, at_ns, lines_entered=entered)
    write(document, form, subscribers_tables.show_changes, quiet)


@command.command(
    epilog="""
    \b
    Example (once a day, shortly after midnight in Japan):
      pktoll subscribers advance --pool sqlite:///coupons.db
    """
)
@on_database
@configured
@at_time
@in_format
@quietly
def advance(url: str, config: str | None, at_ns: int, form: str, quiet: bool) -> None:
    """Do what falls due by itself: ends, plan changes, lapses, and the month's bundle coupons.

    Harmless to repeat.
    """
    from engine.cli import subscribers_files as files
    from engine.cli import subscribers_tables, subscribers_views

    with opened(url) as store:
        desk = _desk(store, config, at_ns)
        made = desk.advance()
        entered = files.enter(url, store, (each.account for each in desk.accounts()), at_ns)
    document = subscribers_views.changes(made, at_ns, lines_entered=entered)
    write(document, form, subscribers_tables.show_changes, quiet)
