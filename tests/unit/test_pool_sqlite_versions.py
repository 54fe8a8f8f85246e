"""A coupon database of an older schema is brought to the newest version with all that is in it."""

from pathlib import Path

import apsw
import pytest

from engine.errors import PoolError
from engine.pool import StoreOptions, open_store
from engine.pool.sqlite import APPLICATION_ID, load_migrations
from engine.pool.sqlite_journal import check_sum
from engine.units import MB
from tests.support.stores import SLICE, refusal, url

JOURNAL = [
    (1, "credit", "hdd1", None, 1, None, 25 * MB, 0, "bundle 900 c1"),
    (1, "open", "hdd1", "hdo1", None, 1, 9, 0, ""),
    (1, "open", "hdd1", "hdo2", None, None, 0, 0, ""),
    (1, "grant", "hdd1", "hdo1", 1, 2, SLICE, 5, "r1"),
    (1, "used", "hdd1", "hdo1", None, 1, 9, 5, ""),
    (1, "used", "hdd1", "hdo1", None, 2, 91, 5, ""),
    (1, "grant", "hdd1", "hdo2", 1, 3, SLICE, 6, "r2"),
]
FILL = """
    INSERT INTO schema_version VALUES (1, '0001_coupons');
    INSERT INTO contract VALUES (1, 'hdd1');
    INSERT INTO coupon VALUES (1, 'c1', 1, 'bundle', 0, 900, 26214400, 5242880, 20971520, 0);
    INSERT INTO line VALUES (1, 'hdo1', 1, 1, 100, {state}), (2, 'hdo2', 1, 1, 0, 0);
    INSERT INTO slice VALUES (1, NULL, 1, 1, 'opening', 9, 9, 0),
        (2, 'r1', 1, 1, 'coupon', 10485760, 91, 0),
        (3, 'r2', 2, 1, 'coupon', 10485760, 0, 0);
    INSERT INTO slice_part VALUES (2, 1, 10485760), (3, 1, 10485760);
"""


def version_1(path: Path, clean: bool, *more: str) -> None:
    """The file that version 1 left: closed cleanly, or broken off with hdo1 open."""
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.execute(load_migrations()[0][2])
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("INSERT INTO run VALUES (1, ?)", ["clean" if clean else "open"])
    connection.execute(FILL.format(state=int(not clean)))
    for number, row in enumerate(JOURNAL, 1):
        values = (number, *row, check_sum(*row))
        connection.execute(f"INSERT INTO journal VALUES ({', '.join('?' * 11)})", values)
    for statement in more:
        connection.execute(statement)
    connection.close()


def test_a_database_of_version_1_keeps_all_that_is_in_it(tmp_path: Path) -> None:
    """F22, I8: coupons, slices, balances, requests; the audit agrees, by the new rules."""
    version_1(tmp_path / "a.db", clean=True)
    store = open_store(url(tmp_path / "a.db"))
    assert store.recovered == []
    assert store.run_id == 2
    assert store.audit() == []
    assert store.contracts() == [("hdd1", 25 * MB, 5 * MB, 20 * MB, 0)]
    assert store.open_lines([("hdd1", "hdo1", 0), ("hdd1", "hdo2", 0)]) == [SLICE - 91, SLICE]
    with pytest.raises(PoolError, match="request r1: granted in run 1"):
        store.grant("r1", "hdd1", "hdo1", 5)
    store.mark([("hdo2", 0, SLICE)])
    store.settle("hdo1", 1, True)
    assert store.grant("r3", "hdd1", "hdo1", 5).granted_bytes == 5 * MB
    assert store.audit() == []
    store.close()


def test_a_run_that_version_1_broke_off_is_settled(tmp_path: Path) -> None:
    """F22, G4: it knew no marks, so all that was on the SIM is uncertain."""
    version_1(tmp_path / "a.db", clean=False)
    other = open_store(url(tmp_path / "a.db"), StoreOptions(gateway="other"))
    assert other.recovered == []
    assert [line.gateway for line in other.lines()] == ["gateway", None]
    assert other.audit() == []
    store = open_store(url(tmp_path / "a.db"))
    assert len(store.recovered) == 1
    assert store.recovered[0].startswith(
        f"line hdo1 of contract hdd1: {SLICE - 91} bytes of slice 2"
    )
    assert store.open_line("hdd1", "hdo1", 0) == 0
    assert store.open_line("hdd1", "hdo2", 0) == SLICE
    assert store.audit() == []
    store.close()
    other.close()


def test_the_upgraded_schema_is_that_of_a_new_database(tmp_path: Path) -> None:
    """F22: constraints and triggers as well; the journal is still append-only."""
    version_1(tmp_path / "a.db", clean=True)
    open_store(url(tmp_path / "a.db")).close()
    open_store(url(tmp_path / "b.db")).close()
    schemas = []
    for name in ("a.db", "b.db"):
        connection = apsw.Connection(str(tmp_path / name))
        schemas.append(
            connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 2").get
        )
        with pytest.raises(apsw.SQLError if name == "b.db" else apsw.ConstraintError):
            connection.execute("DELETE FROM journal" if name == "a.db" else "DELETE FROM nothing")
        connection.close()
    assert schemas[0] == schemas[1]


def test_the_use_that_version_2_reported_counts_as_it_did_then(tmp_path: Path) -> None:
    """F22, R1: it counted the bytes without coupon and nothing else; new reports say themselves"""
    version_1(tmp_path / "a.db", clean=True)
    connection = apsw.Connection(str(tmp_path / "a.db"))
    connection.pragma("foreign_keys", 0)
    connection.execute(load_migrations()[1][2])
    connection.execute("INSERT INTO schema_version VALUES (2, '0002_gateways')")
    connection.execute("INSERT INTO usage_day VALUES (1, 16000, 1, 5, 70, 9, 50)")
    connection.close()
    store = open_store(url(tmp_path / "a.db"))
    assert store.usage("hdo1", 0) == [(16000, 5, 70, 9, 70, 50)]
    assert store.restricting(["hdo1"], 16000) == [("hdo1", 16000, 70)]
    store.open_line("hdd1", "hdo1", 0)
    store.report_usage([("hdo1", 16000, 0, 10, 3, 13)], 60)
    assert store.usage("hdo1", 0) == [(16000, 5, 80, 12, 83, 60)]
    assert store.audit() == []
    store.settle("hdo1", 0, True)
    store.close()


def test_a_gateway_of_version_1_that_runs_is_not_upgraded_under_its_feet(tmp_path: Path) -> None:
    """F22, F20: it holds its lock for as long as it lives."""
    version_1(tmp_path / "a.db", clean=True)
    lock = apsw.Connection(str(tmp_path / "a.db-lock"))
    lock.execute("BEGIN EXCLUSIVE")
    assert "in use by another process" in refusal(tmp_path / "a.db", answer_ms=10)
    lock.close()
    open_store(url(tmp_path / "a.db")).close()


def test_a_database_that_refers_to_rows_that_are_not_there_is_not_upgraded(tmp_path: Path) -> None:
    """F22, B81: never guess; the file stays as it was."""
    broken = ("PRAGMA foreign_keys = 0", "DELETE FROM contract")
    version_1(tmp_path / "a.db", True, *broken)
    for _ in range(2):
        text = refusal(tmp_path / "a.db")
        assert "cannot be brought to version 2, a row of" in text
        assert "restore it from a backup" in text
    connection = apsw.Connection(str(tmp_path / "a.db"))
    assert connection.execute("SELECT max(version) FROM schema_version").get == 1
    assert connection.execute("SELECT count(*) FROM line").get == 2
    connection.close()
