"""The contract book's documents: found by any name, changed one version at a time; on every store."""

import pytest

from engine.errors import PoolError
from engine.pool import Account, BookEntry, CouponStore
from tests.support.stores import Opener, Pool

NAMES = [("contract", "hdd00000001"), ("line", "hdo00000001"), ("iccid", "8981100000000000001")]


def save(
    store: CouponStore,
    version: int,
    document: str = "{}",
    names: list[tuple[str, str]] = NAMES,
    mio_id: str = "MA000001",
) -> None:
    entry = BookEntry(mio_id, version, 100 + version, "change", f"to {document}")
    store.save_account(Account(mio_id, version, document), names, entry)


def test_an_account_is_found_by_any_of_its_names(store: CouponStore) -> None:
    """A1, N6: mioID, contract, line, card; a name of one kind is none of another."""
    save(store, 1, '{"name": "花子"}')
    wanted = Account("MA000001", 1, '{"name": "花子"}')
    for kind, name in [("mio", "MA000001"), *NAMES]:
        assert store.find_account(kind, name) == wanted
    assert store.find_account("imsi", "hdo00000001") is None
    assert store.find_account("mio", "MA000002") is None
    assert store.audit() == []


def test_names_that_an_account_no_longer_bears_are_free(store: CouponStore) -> None:
    """L2, A8: the names are those of the newest version."""
    save(store, 1)
    save(store, 2, names=[("line", "hdo00000002")])
    assert store.find_account("line", "hdo00000001") is None
    assert store.find_account("mio", "MA000001") == Account("MA000001", 2, "{}")
    save(store, 1, mio_id="MA000002")
    assert store.find_account("line", "hdo00000001") == Account("MA000002", 1, "{}")
    assert store.audit() == []


def test_a_name_of_another_account_is_refused_and_nothing_changes(store: CouponStore) -> None:
    """A1: neither the document nor the names."""
    save(store, 1)
    with pytest.raises(PoolError, match="account MA000002: line hdo00000001 is account MA000001's"):
        save(store, 1, names=[("imsi", "44010"), NAMES[1]], mio_id="MA000002")
    with pytest.raises(PoolError, match="account MA000002: mio MA000001 is account MA000001's"):
        save(store, 1, names=[("mio", "MA000001")], mio_id="MA000002")
    assert [account.mio_id for account in store.accounts()] == ["MA000001"]
    assert store.find_account("imsi", "44010") is None
    assert store.book_entries("MA000002") == []
    assert store.audit() == []


@pytest.mark.parametrize("version", [0, 1, 3, -1])
def test_an_account_that_was_changed_by_another_process_is_not_overwritten(
    store: CouponStore, version: int
) -> None:
    """A8: read, change, save; the version tells that somebody was faster."""
    save(store, 1)
    with pytest.raises(PoolError, match="account MA000001: version 1 is stored"):
        save(store, version, "changed")
    assert store.find_account("mio", "MA000001") == Account("MA000001", 1, "{}")
    assert len(store.book_entries("MA000001")) == 1
    with pytest.raises(PoolError, match="account MA000003: version 0 is stored"):
        save(store, 2, mio_id="MA000003")


def test_every_change_is_in_the_books_journal(reopen: Opener) -> None:
    """A4: who wants to know finds all changes, oldest first, after a restart as well."""
    first = reopen()
    for version in (1, 2, 3):
        save(first, version, str(version))
    save(first, 1, mio_id="MA000000", names=[])
    first.close()
    second = reopen()
    assert second.book_entries("MA000001") == [
        BookEntry("MA000001", v, 100 + v, "change", f"to {v}") for v in (1, 2, 3)
    ]
    assert list(second.accounts()) == [Account("MA000000", 1, "{}"), Account("MA000001", 3, "3")]
    assert second.audit() == []
    second.close()


def test_many_accounts_are_listed_in_order(store: CouponStore) -> None:
    """A1: more than are read at a time."""
    store.begin()
    for number in reversed(range(250)):
        save(store, 1, names=[], mio_id=f"MA{number:06}")
    store.commit()
    assert [a.mio_id for a in store.accounts()] == [f"MA{number:06}" for number in range(250)]


def test_book_and_ledger_change_together_or_not_at_all(pool: Pool) -> None:
    """A4, D9: the end of a contract is one group."""
    store = pool.open(None)
    store.credit("c1", "hdd1", "bundle", 50, 0, 100)
    store.begin()
    store.close_contract("hdd1", 5)
    save(store, 1)
    store.rollback()
    assert store.find_account("mio", "MA000001") is None
    assert store.contracts()[0].in_database_bytes == 50
    store.begin()
    store.close_contract("hdd1", 5)
    save(store, 1)
    store.commit()
    assert pool.open("a").contracts()[0].in_database_bytes == 0
    assert store.find_account("mio", "MA000001") is not None


def test_what_no_book_can_hold_is_refused(store: CouponStore) -> None:
    """B77: kinds that are none, names that cannot be printed, an entry of another account or version."""
    good = BookEntry("MA000001", 1, 5, "change", "")
    account = Account("MA000001", 1, "{}")
    with pytest.raises(PoolError, match="'shoe': must be one of"):
        store.find_account("shoe", "42")
    with pytest.raises(PoolError, match="'shoe'"):
        store.save_account(account, [("shoe", "42")], good)
    with pytest.raises(PoolError, match="printable"):
        store.save_account(account, [("line", "a\nb")], good)
    with pytest.raises(PoolError, match="printable"):
        store.book_entries("")
    for entry in (good._replace(mio_id="MA000002"), good._replace(version=2)):
        with pytest.raises(PoolError, match="account MA000001: the entry is of version"):
            store.save_account(account, [], entry)
    for entry in (good._replace(detail="\0"), good._replace(detail="\ud800")):
        with pytest.raises(
            PoolError, match="account MA000001: text with a NUL or half a character"
        ):
            store.save_account(account, [], entry)
    with pytest.raises(PoolError, match="text with a NUL"):
        store.save_account(account._replace(document="a\0"), [], good)
    with pytest.raises(PoolError, match="64 bits"):
        store.save_account(account, [], good._replace(at_ns=1 << 63))
    with pytest.raises(PoolError, match="action"):
        store.save_account(account, [], good._replace(action=""))
    assert list(store.accounts()) == []
