"""Many customers at once: subscriber files into the contract book, and IIJ4U contracts (A9)."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from engine import config as configuration
from engine import subscribers
from engine.cli import subscribers_ledger as ledger
from engine.cli.pool_database import opened
from engine.cli.subscribers_desk import Change, Desk
from engine.errors import PoolError
from engine.subscribers import migration, views

if TYPE_CHECKING:
    from engine.config import Settings
    from engine.pool import CouponStore
    from engine.subscribers import Book, Contract
    from engine.subscribers.account import Account

IMPORT = "pktoll.subscribers-import/1"


class Given(NamedTuple):
    """A subscriber file, read and checked."""

    settings: "Settings"
    book: "Book"
    name: str


def read(config: str | None, path: str) -> Given:
    """Read a configuration (None: the packaged one) and a subscriber file; ConfigError for every fault."""
    settings = configuration.load(config)
    return Given(settings, subscribers.load(path, settings), path)


def enter(url: str, store: "CouponStore", accounts: Iterable["Account"], at_ns: int) -> int:
    """Enter lines in the coupon database that it does not have; how many. A remark where it cannot be."""
    missing = ledger.entries(store, accounts, at_ns)
    if not missing:
        return 0
    try:
        with opened(url, options=ledger.DESK) as run:
            ledger.enter(run, missing)
    except PoolError as error:
        # The book is changed for good by now, and a line is entered by its first session as well.
        sys.stderr.write(
            f"pktoll: note: {len(missing)} lines wait for their first session: {error}\n"
        )
        return 0
    return len(missing)


def import_book(url: str, given: Given, at_ns: int) -> dict[str, Any]:
    """Import what is new in a subscriber file: accounts, coupons, lines, all or nothing; then a summary.

    Contracts that the book has are passed over, whatever has become of them. RefusedError where a
    mioID of the book has another contract in the file.
    """
    with opened(url) as store:
        desk = Desk(store, given.settings, at_ns)
        with desk.group():
            fresh = [contract for contract in given.book.contracts if not _known(store, contract)]
            known = [found.account for found in desk.accounts()]
            book = subscribers.Book(contracts=tuple(fresh))
            accounts = views.from_book(book, at_ns, given.settings, known) if fresh else []
            desk.store_new(accounts, "import", "")
            credited = [
                line
                for account in accounts
                for line in ledger.credit(store, account, account, given.settings, at_ns)
            ]
        entered = enter(url, store, accounts, at_ns)
    return {
        "schema": IMPORT,
        "at_ns": at_ns,
        "file": given.name,
        "accounts": len(accounts),
        "contracts": len(fresh),
        "contracts_known": len(given.book.contracts) - len(fresh),
        "coupons": len(credited),
        "lines_entered": entered,
    }


def imported_words(summary: dict[str, Any]) -> str:
    """The summary of an import for people."""
    known = summary["contracts_known"]
    return (
        f"{summary['file']}: {summary['contracts']} contracts in {summary['accounts']} accounts "
        f"imported, {summary['coupons']} coupons credited, {summary['lines_entered']} lines entered"
        + (f"; {known} contracts were there already" if known else "")
    )


def _known(store: "CouponStore", contract: "Contract") -> bool:
    return store.find_account("contract", contract.code) is not None


def migrate(desk: Desk, path: str) -> list[Change]:
    """Move the IIJ4U contracts of a file into the book (A9), all or nothing; the accounts changed."""
    customers = migration.load(path)
    with desk.group():
        found = {each.account.mio_id: each for each in desk.accounts()}
        known = [each.account for each in found.values()]
        changes = []
        for account, effects in migration.migrate(customers, known, desk.at_ns, desk.settings):
            before = found.get(account.mio_id)
            if before is None:
                desk.store_new([account], "migrate", "")
                version = 1
            else:
                version = desk.save(before, account, "migrate", "")
            remarks = ledger.apply(desk.store, account, effects)
            credited = ledger.credit(desk.store, account, account, desk.settings, desk.at_ns)
            said = (*remarks, *credited)
            changes.append(Change(account, version, "migrate", "", effects, said))
    return changes
