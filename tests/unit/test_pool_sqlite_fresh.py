"""Coupons, lines and slices that a transaction keeps back until it ends, or anybody looks."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import PoolError, PoolFenced, PoolUnavailable
from engine.pool import StoreOptions, sqlite_fresh
from engine.pool.sqlite import Database
from engine.pool.sqlite_store import SqliteStore
from engine.pool.store import Credit, LineNews, Request
from engine.units import MB
from tests.support.newcomers import END, contents, coupon, newcomers
from tests.support.stores import SLICE, credit

REFUSE = """
    CREATE TEMP TRIGGER refuse BEFORE INSERT ON {} BEGIN SELECT RAISE(ABORT, 'no'); END
"""


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    opened = SqliteStore(None)
    yield opened
    opened.close()


def unwritten(store: SqliteStore) -> tuple[int, int]:
    """Coupons and lines that are not in their tables yet."""
    tables = [store.db.look(f"SELECT count(*) FROM {name}")[0][0] for name in ("coupon", "line")]
    coupons, lines = len(store.fresh._coupons), len(store.fresh.lines)
    store.audit()
    whole = [store.db.value(f"SELECT count(*) FROM {name}") for name in ("coupon", "line")]
    assert whole == [tables[0] + coupons, tables[1] + lines]
    return coupons, lines


def test_a_transaction_leaves_the_rows_that_single_calls_leave(store: SqliteStore) -> None:
    """D9, I1: the same keys, the same figures, the same journal in the same order."""
    store.begin()
    newcomers(store, 1, 90)
    newcomers(store, 91, 3)
    store.commit()
    other = SqliteStore(None)
    numbers = [*range(1, 91), *range(91, 94)]
    for batch in (numbers[:90], numbers[90:]):
        for number in batch:
            other.credit(*coupon(f"c{number}", f"hdd{number}"))
        for number in batch:
            other.open_line(f"hdd{number}", f"hdo{number}", 0)
        for number in batch:
            other.grant(f"r{number}", f"hdd{number}", f"hdo{number}", number)
    assert contents(store) == contents(other)
    used = [(f"hdo{number}", number * 1000) for number in numbers]
    store.settle_all(used, True)
    for line, amount in used:
        other.settle(line, amount, True)
    assert {**contents(store), "journal": []} == {**contents(other), "journal": []}
    assert store.audit() == other.audit() == []
    other.close()


def test_new_rows_are_kept_back_until_the_transaction_ends(store: SqliteStore) -> None:
    """D1: each is written once, as it is after its first slice and its settlement"""
    store.begin()
    store.credit_all([coupon("c1", "hdd1"), coupon("c2", "hdd2")])
    store.open_lines([("hdd1", "hdo1", 0), ("hdd2", "hdo2", 0)])
    assert unwritten(store) == (2, 2)
    store.credit_all([coupon("c3", "hdd3")])
    store.open_line("hdd3", "hdo3", 0)
    store.grant_all([Request("r3", "hdd3", "hdo3", 5)])
    store.settle_all([("hdo3", 7)], False)
    assert len(store.fresh.lines) == 1
    store.commit()
    assert not store.fresh.lines
    assert store.slices("hdo3") == [(1, "r3", SLICE, 7, 0)]
    assert store.audit() == []


LOOKS: dict[str, Callable[[SqliteStore], object]] = {
    "contracts": lambda store: store.contracts()[0].credited_bytes == 25 * MB,
    "coupons": lambda store: store.coupons("hdd1")[0].in_database_bytes == 25 * MB,
    "lines": lambda store: store.lines()[0].contract == "hdd1",
    "rows": lambda store: next(store.db.rows("SELECT code FROM line")) == ("hdo1",),
    "reported": lambda store: store.reported("hdo1") == 0,
    "note": lambda store: store.note("hdo1", LineNews(5, coupon_on=True)),
    "mark": lambda store: store.mark([("hdo1", 0, 0)]),
    "expire": lambda store: store.expire(END) == 25 * MB,
    "close_contract": lambda store: store.close_contract("hdd1", 9) == 25 * MB,
    "buy": lambda store: store.buy("p1", "hdd1", 2, 5),
    "settle": lambda store: store.settle("hdo1", 0, True),
    "grant": lambda store: store.grant("r1", "hdd1", "hdo1", 5) == (1, SLICE),
    "credit again": lambda store: not store.credit(*coupon("c1", "hdd1")),
    "credit more": lambda store: store.credit(*coupon("c2", "hdd1")),
    "open again": lambda store: store.open_lines([("hdd1", "hdo1", 9)]) == [0],
    "usage": lambda store: store.report_usage([("hdo1", 3, 1, 1, 1, 1)], 5),
}


@pytest.mark.parametrize("look", LOOKS)
def test_whoever_looks_finds_what_was_kept_back(store: SqliteStore, look: str) -> None:
    """D9, Q2: within the transaction everything is there"""
    store.begin()
    store.credit_all([coupon("c1", "hdd1")])
    store.open_line("hdd1", "hdo1", 0)
    assert LOOKS[look](store) is not False
    store.commit()
    assert store.audit() == []


def test_what_was_taken_back_is_never_written(store: SqliteStore) -> None:
    """D9: not by who looks afterwards, not with the next transaction; its keys are given again"""
    store.begin()
    store.credit_all([coupon("c1", "hdd1")])
    store.open_line("hdd1", "hdo1", 0)
    store.rollback()
    assert store.contracts() == []
    assert store.lines() == []
    with pytest.raises(PoolError, match="line hdo1: not opened in this run"):
        store.grant_all([Request("r1", "hdd1", "hdo1", 5)])
    store.begin()
    assert newcomers(store, 7, 1) == [(1, SLICE)]
    store.commit()
    assert [line.code for line in store.lines()] == ["hdo7"]
    assert store.coupons("hdd7")[0].coupon_id == 1
    assert store.audit() == []


def test_a_refused_call_leaves_what_is_kept_back_as_it_was(store: SqliteStore) -> None:
    """D9, B80: the group goes on, and nothing of the refused call is in it"""
    other = SqliteStore(None)
    other.begin()
    newcomers(other, 1, 2)
    other.commit()
    store.begin()
    store.credit_all([coupon("c1", "hdd1"), coupon("c2", "hdd2")])
    with pytest.raises(PoolError, match="would have"):
        store.credit_all([coupon("x", "hdd8", 1 << 62), coupon("y", "hdd8", 1)])
    store.open_lines([("hdd1", "hdo1", 0), ("hdd2", "hdo2", 0)])
    with pytest.raises(PoolError, match="line hdo8: belongs to contract hdd1, not to hdd2"):
        store.open_lines([("hdd1", "hdo8", 0), ("hdd2", "hdo8", 0)])
    asked = [Request("r1", "hdd1", "hdo1", 1), Request("r2", "hdd2", "hdo2", 2)]
    for line, contract, words in (
        ("hdo2", "hdd1", "belongs to contract hdd2, not to hdd1"),
        ("hdo9", "hdd1", "not opened in this run"),
    ):
        with pytest.raises(PoolError, match=words):
            store.grant_all([*asked, Request("r3", contract, line, 3)])
    store.grant_all(asked)
    store.commit()
    assert contents(store) == contents(other)
    other.close()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([coupon("c0", "hdd1"), coupon("c1", "hdd1", 5)], "credit c1: known already with other"),
        ([coupon("c1", "hdd2")], "credit c1: known already with other figures"),
        ([coupon("c3", "hdd1", 1 << 62)], "contract hdd1 would have"),
    ],
)
def test_a_coupon_that_does_not_go_with_one_kept_back_is_refused(
    store: SqliteStore, more: list[Credit], words: str
) -> None:
    """D9, F9, B80: it counts as if it were stored"""
    store.begin()
    store.credit_all([coupon("c1", "hdd1")])
    with pytest.raises(PoolError, match=words):
        store.credit_all(more)
    store.commit()
    assert [contract.code for contract in store.contracts()] == ["hdd1"]
    assert [row.credit_id for row in store.coupons("hdd1")] == ["c1"]


def test_coupons_kept_back_and_stored_ones_are_used_in_one_order(store: SqliteStore) -> None:
    """C5, D3: a new line of a known contract, credited once more; stored lines ask in the same call"""
    credit(store, "late", 4 * MB, END + 2)
    credit(store, "soon", 3 * MB, END)
    store.open_line("hdd1", "hdo1", 0)
    store.begin()
    store.credit_all([coupon("now", "hdd1", 1 * MB, END - 1), coupon("mid", "hdd1", MB, END + 1)])
    store.open_lines([("hdd1", "hdo2", 0), ("hdd2", "hdo3", 0)])
    asked = [
        Request("r1", "hdd1", "hdo2", 5),
        Request("r2", "hdd2", "hdo3", 5),
        Request("r3", "hdd1", "hdo1", 5),
    ]
    assert store.grant_all(asked) == [(1, 9 * MB), (0, 0), (0, 0)]
    store.commit()
    parts = "SELECT coupon_id, bytes FROM slice_part ORDER BY coupon_id"
    assert store.db.run(parts) == [(1, 4 * MB), (2, 3 * MB), (3, MB), (4, MB)]
    assert store.audit() == []


def test_a_line_and_its_contract_may_ask_more_than_once_in_a_call(store: SqliteStore) -> None:
    """D1, I3: stored rows are changed once by the sum, those kept back before they are written"""
    store.begin()
    store.credit_all([coupon("c1", "hdd1")])
    store.open_line("hdd1", "hdo1", 0)
    names = ("r1", "r2", "r1", "r3", "r4")
    asked = [Request(name, "hdd1", "hdo1", 5) for name in names]
    given = [(1, SLICE), (2, SLICE), (1, SLICE), (3, 5 * MB), (0, 0)]
    assert store.grant_all(asked) == given
    store.credit_all([coupon("c2", "hdd1")])
    more = [request._replace(request_id=f"{request.request_id}b") for request in asked]
    assert store.grant_all(more)[0] == (4, SLICE)
    store.commit()
    assert store.lines()[0].balance_bytes == 50 * MB
    assert store.audit() == []


def test_a_line_kept_back_is_settled_granted_and_removed(store: SqliteStore) -> None:
    """I2, I5, L4: within the transaction that opened it"""
    store.begin()
    store.credit_all([coupon("c1", "hdd1")])
    store.open_lines([("hdd1", "hdo1", 0), ("hdd1", "hdo2", 9)])
    with pytest.raises(PoolError, match="hdo1: 1 bytes more are reported, its SIM held 0"):
        store.settle_all([("hdo2", 5), ("hdo1", 1)], True)
    with pytest.raises(PoolError, match="line hdo3: not opened in this run"):
        store.settle_all([("hdo2", 5), ("hdo3", 0), ("hdo1", 1)], True)
    store.settle_all([("hdo1", 0), ("hdo2", 5)], True)
    assert store.grant_all([Request("r1", "hdd1", "hdo1", 5)]) == [(2, SLICE)]
    store.settle_all([("hdo1", 7)], True)
    assert store.remove_line("hdo1", 9) == SLICE - 7
    with pytest.raises(PoolError, match="was removed for good"):
        store.grant_all([Request("r2", "hdd1", "hdo1", 5)])
    with pytest.raises(PoolError, match="was removed for good"):
        store.open_lines([("hdd1", "hdo1", 0)])
    store.commit()
    assert [line.balance_bytes for line in store.lines()] == [4]
    assert store.audit() == []


def test_no_more_than_so_much_is_kept_back(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is unwritten takes memory"""
    monkeypatch.setattr(sqlite_fresh, "_ROWS_KEPT", 3)
    store.begin()
    store.credit_all([coupon(f"c{number}", f"hdd{number}") for number in range(3)])
    store.credit_all([coupon("c3", "hdd3")])
    assert len(store.fresh._coupons) == 1
    store.open_lines([(f"hdd{number}", f"hdo{number}", 0) for number in range(3)])
    store.open_lines([("hdd3", "hdo3", 0)])
    assert len(store.fresh.lines) == 1
    asked = [Request(f"r{number}", f"hdd{number}", f"hdo{number}", 5) for number in range(4)]
    assert [grant.slice_id for grant in store.grant_all(asked)] == [1, 2, 3, 4]
    more = [request._replace(request_id=f"{request.request_id}b") for request in asked]
    assert [grant.slice_id for grant in store.grant_all(more)] == [5, 6, 7, 8]
    newcomers(store, 11, 3)
    assert len(store.fresh.requests) == 3
    again = [Request(f"s{number}", f"hdd{number}", f"hdo{number}", 20) for number in range(11, 14)]
    assert [grant.slice_id for grant in store.grant_all(again)] == [12, 13, 14]
    assert len(store.fresh.requests) == 3
    store.commit()
    assert store.audit() == []


@pytest.mark.parametrize("table", ["coupon", "line", "slice", "slice_part"])
def test_rows_that_cannot_be_written_take_the_transaction_back(
    store: SqliteStore, table: str
) -> None:
    """D9, F5: whoever had them put down is told, and nothing is kept"""
    store.db.run(REFUSE.format(table))
    store.defer()
    newcomers(store, 1, 1)
    with pytest.raises(PoolError, match="no"):
        store.lines()
    with pytest.raises(PoolUnavailable, match="taken back by a failure"):
        store.credit_all([coupon("c2", "hdd2")])
    with pytest.raises(PoolUnavailable, match="taken back by a failure"):
        store.flush()
    assert store.contracts() == []
    store.db.run("DROP TRIGGER temp.refuse")
    newcomers(store, 1, 1)
    assert store.audit() == []


def test_an_interrupt_while_rows_are_put_down_takes_the_transaction_back(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D9: also where only somebody looked, which is no part of a call that writes"""
    store.begin()
    store.credit_all([coupon("c1", "hdd1")])
    store.open_line("hdd1", "hdo1", 0)
    insert = Database.insert

    def interrupted(self: Database, into: str, *rest: object, **more: object) -> object:
        if "INTO line" in into:
            raise KeyboardInterrupt
        return insert(self, into, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Database, "insert", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.lines()
    monkeypatch.undo()
    assert store.contracts() == []
    with pytest.raises(PoolError, match="no group is open"):
        store.commit()
    newcomers(store, 1, 1)
    assert store.audit() == []


def test_a_slice_that_holds_less_than_its_line_is_found(store: SqliteStore) -> None:
    """I1, I2: books that do not agree are not settled"""
    newcomers(store, 1, 1)
    store.db.run("UPDATE slice SET used_bytes = granted_bytes - 4")
    with pytest.raises(PoolError, match=r"hold 1 bytes less .* run `pktoll pool audit`"):
        store.settle_all([("hdo1", 5)], True)
    assert store.lines()[0].gateway == "gateway"


def test_an_update_that_fails_takes_the_transaction_back(store: SqliteStore) -> None:
    """D9, F5: nothing of a call that writes many rows is kept"""
    newcomers(store, 1, 2)
    store.db.run(
        "CREATE TEMP TRIGGER refuse BEFORE UPDATE ON line BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with pytest.raises(PoolError, match="no"):
        store.mark([("hdo1", 0, 5), ("hdo2", 0, 5)])
    with pytest.raises(PoolError, match="no"):
        store.settle_all([("hdo1", 5), ("hdo2", 5)], False)
    assert [line.used_bytes for line in store.lines()] == [0, 0]
    store.db.run("DROP TRIGGER temp.refuse")


def test_others_see_new_rows_when_they_are_durable_and_not_before(tmp_path: Path) -> None:
    """G2, I4, F19: two gateways; keys go on from what the other wrote meanwhile"""
    path = str(tmp_path / "a.db")
    first = SqliteStore(path, StoreOptions(gateway="first", answer_ms=20))
    second = SqliteStore(path, StoreOptions(gateway="second", answer_ms=20))
    first.begin()
    newcomers(first, 1, 2)
    first.rollback()
    newcomers(second, 11, 2)
    first.begin()
    first.credit_all([coupon("c1", "hdd1")])
    first.open_line("hdd1", "hdo1", 0)
    assert [line.code for line in second.lines()] == ["hdo11", "hdo12"]
    with pytest.raises(PoolUnavailable):
        second.open_line("hdd1", "hdo1", 0)
    assert first.grant_all([Request("r1", "hdd1", "hdo1", 5)]) == [(3, SLICE)]
    first.commit()
    with pytest.raises(PoolError, match="line hdo1: open at gateway first"):
        second.open_line("hdd1", "hdo1", 0)
    keys = "SELECT line_id, code FROM line ORDER BY line_id"
    assert second.db.run(keys) == [(1, "hdo11"), (2, "hdo12"), (3, "hdo1")]
    assert second.audit() == []
    first.close()
    second.close()


def test_rows_of_a_run_that_was_taken_over_are_not_written(tmp_path: Path) -> None:
    """I4: neither those that were taken back before, nor those of the call that is refused"""
    path = str(tmp_path / "a.db")
    first = SqliteStore(path, StoreOptions(gateway="first", lease_ns=1))
    newcomers(first, 1, 1)
    first.begin()
    first.credit_all([coupon("c2", "hdd2")])
    first.open_line("hdd2", "hdo2", 0)
    first.rollback()
    second = SqliteStore(path, StoreOptions(gateway="second"))
    assert second.open_line("hdd1", "hdo1", 0) == 0
    assert len(second.recovered) == 1
    for _ in range(2):
        with pytest.raises(PoolFenced, match="another took over"):
            newcomers(first, 2, 1)
    assert [line.code for line in second.lines()] == ["hdo1"]
    assert [contract.code for contract in second.contracts()] == ["hdd1"]
    assert second.audit() == []
    first.close(clean=False)
    second.close()
