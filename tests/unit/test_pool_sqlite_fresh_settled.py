"""What a transaction keeps back is settled, told and asked for again without being put down."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import PoolError
from engine.pool import StoreOptions
from engine.pool.sqlite_store import SqliteStore
from engine.pool.store import Request
from engine.units import MB
from tests.support.newcomers import contents, coupon, newcomers
from tests.support.stores import SLICE


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    opened = SqliteStore(None)
    yield opened
    opened.close()


def test_a_database_in_memory_keeps_its_transaction_open(store: SqliteStore) -> None:
    """D9, G2: a flush makes nothing durable there; what is new stays unwritten until it is looked for"""
    store.defer()
    newcomers(store, 1, 2)
    store.flush()
    store.defer()
    newcomers(store, 3, 1)
    store.settle_all([("hdo1", 5), ("hdo3", 6)], True)
    store.flush()
    assert len(store.fresh.lines) == 3
    assert [line.used_bytes for line in store.lines()] == [5, 0, 6]
    assert not store.fresh.lines
    assert store.audit() == []


def test_a_file_holds_what_was_flushed(tmp_path: Path) -> None:
    """D9, G2: for whoever opens it beside"""
    store = SqliteStore(str(tmp_path / "coupons.db"))
    store.defer()
    newcomers(store, 1, 2)
    store.flush()
    beside = SqliteStore(str(tmp_path / "coupons.db"), StoreOptions(gateway=None))
    assert [line.balance_bytes for line in beside.lines()] == [SLICE, SLICE]
    beside.close()
    store.close()


def settled(store: SqliteStore, look: Callable[[], object]) -> list[str]:
    """Lines with one slice, with three, with none; settled in parts and for good. What was refused.

    `look` is called before each settlement.
    """
    store.begin()
    newcomers(store, 1, 3)
    store.open_line("hdd9", "hdo9", 0)
    more = [Request(f"more{number}", "hdd2", "hdo2", 9) for number in range(2)]
    assert store.grant_all(more)[1].granted_bytes == 5 * MB
    refused = []
    for used, final in (
        ([("hdo2", SLICE - 1), ("hdo1", 3), ("hdo9", 0)], False),
        ([("hdo2", 2 * SLICE + 1)], False),
        ([("hdo3", 1), ("hdo2", 25 * MB + 1)], True),
        ([("hdo3", 0), ("hdo2", 2 * SLICE + 1), ("hdo9", 0), ("hdo1", 4)], True),
        ([("hdo3", 0), ("hdo1", 4)], True),
        ([("hdo3", 1)], True),
        ([("hdo3", 2)], False),
    ):
        look()
        if used == [("hdo3", 2)]:
            store.credit_all([coupon("late", "hdd3")])
            look()
            store.grant_all([Request("again", "hdd3", "hdo3", 9)])
        try:
            store.settle_all(used, final)
        except PoolError as error:
            refused.append(str(error))
    store.commit()
    return refused


def test_lines_kept_back_are_settled_as_stored_ones_are(store: SqliteStore) -> None:
    """I1, I2, I5: the same figures, the same journal in the same order, the same refusals"""
    other = SqliteStore(None)
    refused = settled(store, lambda: None)
    assert refused == settled(other, other.lines)
    assert [text.split(":")[1].split(",")[0] for text in refused] == [
        f" {25 * MB - 2 * SLICE} bytes more are reported",
        " settled finally at 0 bytes",
    ]
    assert contents(store) == contents(other)
    assert store.audit() == other.audit() == []
    other.close()


def test_contracts_kept_back_are_told_as_stored_ones_are(store: SqliteStore) -> None:
    """I1: in the order of the codes, those without a coupon, too; nothing is put down for it"""
    store.begin()
    newcomers(store, 8, 4)
    store.open_line("hdd0", "hdo0", 0)
    store.credit_all([coupon("one", "hdd12", 3), coupon("other", "hdd12", 4)])
    told = store.contracts()
    assert len(store.fresh.lines) == 5
    store.lines()
    assert told == store.contracts()
    assert [contract.code for contract in told] == [
        "hdd0",
        "hdd10",
        "hdd11",
        "hdd12",
        "hdd8",
        "hdd9",
    ]
    store.commit()
    store.begin()
    newcomers(store, 1, 1)
    assert len(store.contracts()) == 7
    store.commit()


def test_a_request_kept_back_is_known_when_it_is_repeated(store: SqliteStore) -> None:
    """I3, F9: the same slice; refused for another line"""
    store.begin()
    given = newcomers(store, 1, 2)
    asked = [Request(f"r{number}", f"hdd{number}", f"hdo{number}", 9) for number in (1, 2)]
    assert store.grant_all(asked) == given
    newcomers(store, 3, 1)
    with pytest.raises(PoolError, match="request r3"):
        store.grant_all([Request("r3", "hdd1", "hdo1", 9)])
    store.commit()
    assert store.audit() == []
