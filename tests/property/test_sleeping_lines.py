"""A book as a table bills as the same book does as contracts, whoever wakes when (E6, I6)."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine import config
from engine.pool.store import open_store
from engine.runtime import Engine, store_options
from engine.subscribers import Book
from engine.subscribers.table import SubscriberTable
from engine.subscribers.table_write import TableWriter
from tests.support.sleeping import Story, idle, story, tell

SETTINGS = config.load(None)
SAME = "totals", "drops", "tunnels", "rating_groups"


def packed(book: Book, folder: str) -> SubscriberTable:
    path = Path(folder) / "book.sims"
    with TableWriter(path) as writer:
        for contract in book.contracts:
            writer.add(contract)
    return SubscriberTable(path, SETTINGS)


def told(known: Any, told_of: Story, pool: str | None, **options: Any) -> tuple[Any, Any]:
    store = open_store(pool, store_options(SETTINGS))
    with Engine(SETTINGS, store, **options) as engine:
        answers = tell(engine, known, told_of.steps)
        return answers, engine.snapshot()


def check(listed: dict[str, Any], awake: dict[str, Any], book: Book) -> None:
    """`awake` is the table's: whoever is missing in it did nothing in the other."""
    assert {name: listed[name] for name in SAME} == {name: awake[name] for name in SAME}
    all_sims = {sim["code"]: sim for sim in listed["sims"]}
    named = {sim["code"]: sim for sim in awake["sims"]}
    assert named.items() <= all_sims.items()
    asleep = [sim for code, sim in all_sims.items() if code not in named]
    assert all(map(idle, asleep))
    assert awake["sleeping_sims"] == len(asleep)
    contracts = {contract["code"]: contract for contract in listed["contracts"]}
    for contract in awake["contracts"]:
        assert contracts[contract["code"]] == contract
    given = {line.code for contract in book.contracts for line in contract.lines}
    assert {sim["code"] for sim in asleep} <= given


@given(st.integers(0, 10**9), st.sampled_from([1, 3]), st.sampled_from([(), ("10.77.0.0/16",)]))
def test_a_table_bills_as_the_book_that_it_was_packed_from(
    seed: int, shards: int, ue_nets: tuple[str, ...]
) -> None:
    """G8, I6"""
    tale = story(seed)
    with TemporaryDirectory() as folder:
        table = packed(tale.book, folder)
        assert tuple(map(table.contract, range(len(table.contracts)))) == tale.book.contracts
        eager, listed = told(tale.book, tale, None, ue_nets=ue_nets)
        lazy, awake = told(table, tale, None, shards=shards, ue_nets=ue_nets)
    assert lazy == eager
    check(listed, awake, tale.book)


@given(st.integers(0, 10**9))
def test_a_table_bills_as_its_book_with_a_database_that_remembers(seed: int) -> None:
    """I8, D6"""
    tale = story(seed, steps_max=5)
    with TemporaryDirectory() as folder:
        table = packed(tale.book, folder)
        pools = [f"sqlite:///{folder}/{name}.db" for name in ("eager", "lazy")]
        for _ in range(2):
            eager, listed = told(tale.book, tale, pools[0])
            lazy, awake = told(table, tale, pools[1])
            assert lazy == eager
            check(listed, awake, tale.book)
