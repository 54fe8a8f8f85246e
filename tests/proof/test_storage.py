"""The disk under SQLite: power losses, torn tails of the write-ahead log, a full disk, locks of others."""

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import apsw
import pytest

from engine.errors import PoolUnavailable
from engine.pool import open_store, sqlite
from engine.pool.store import StoreOptions
from tests.proof import storage
from tests.proof.disk import failing_disk
from tests.proof.facts import Fact, Figures
from tests.proof.fleet import Fleet
from tests.proof.places import SqlitePlace, scratch
from tests.proof.worker import UNAVAILABLE
from tests.proof.world import LINES, START_NS

HOLDER = """
import apsw, sys
connection = apsw.Connection(sys.argv[1])
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_power_lost_at_any_instant_of_a_commit_loses_no_answer(tmp_path: Path, seed: int) -> None:
    """F4, G2: un-synced writes kept, lost, torn or garbled"""
    figures = Figures()
    assert storage.lose_power(tmp_path, seed, 40, figures) == []
    assert figures.faults["F4 power lost"] > 5
    assert figures.grants_checked > 10


def test_a_database_that_does_not_sync_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F4, G2: the checker is shown synchronous=OFF"""
    monkeypatch.setattr(sqlite, "FILE_SETTINGS", sqlite.FILE_SETTINGS | {"synchronous": "0"})
    found = storage.lose_power(tmp_path, 1, 40, Figures())
    assert "grant-lost" in {finding.check for finding in found}


@pytest.mark.parametrize("fault", storage.FAULTS)
def test_a_disk_that_refuses_stops_granting_until_it_works_again(
    tmp_path: Path, fault: str
) -> None:
    """F5, I3: ENOSPC and EIO at every write of a grant; nothing partial, then one grant"""
    figures = Figures()
    assert storage.refuse(tmp_path, fault, figures) == []
    assert figures.faults[fault] > 1


def acknowledged(folder: Path) -> tuple[Path, list[Fact]]:
    """A database and its log as kill -9 leaves them, and what was answered."""
    path = folder / "live.db"
    store = open_store(f"sqlite:///{path}", StoreOptions(storage.NAME))
    facts = storage.begin_books(store)
    for number in range(5):
        facts.append(storage.asked(store, f"r{number}"))
        answer = storage.grant_in_group(store, f"r{number}")
        facts.append(storage.answered(store, f"r{number}", answer))
    copy = folder / "found.db"
    for ending in ("", "-wal"):
        shutil.copy(f"{path}{ending}", f"{copy}{ending}")
    store.close(clean=False)
    return copy, facts


def half_a_frame(log: bytes, dice: Random) -> bytes:
    """The log goes on with the beginning of another frame."""
    return log + log[32 : 32 + dice.randrange(1, 4000)]


def garbage(log: bytes, dice: Random) -> bytes:
    """The log goes on with pages of anything."""
    return log + dice.randbytes(dice.randrange(1, 20_000))


def a_stale_frame(log: bytes, dice: Random) -> bytes:
    """The log goes on with a whole frame of before."""
    return log + log[32 : 32 + 4096 + 24]


@pytest.mark.parametrize("tail", [half_a_frame, garbage, a_stale_frame])
def test_a_torn_tail_of_the_log_is_passed_over(
    tmp_path: Path, tail: Callable[[bytes, Random], bytes]
) -> None:
    """F4, B81: what was answered is kept, whatever follows it in the log"""
    path, facts = acknowledged(tmp_path)
    log = Path(f"{path}-wal")
    log.write_bytes(tail(log.read_bytes(), Random(1)))
    assert storage.judge(path, facts, Figures()) == []


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_log_cut_below_what_was_answered_is_consistent_and_the_loss_is_named(
    tmp_path: Path, kept: float
) -> None:
    """F4, G6: a disk that lied about fsync; the books agree with themselves, the checker names the loss"""
    path, facts = acknowledged(tmp_path)
    log = Path(f"{path}-wal")
    data = log.read_bytes()
    log.write_bytes(data[: int(len(data) * kept)])
    found = {finding.check for finding in storage.judge(path, facts, Figures())}
    assert "grant-lost" in found
    assert "audit" not in found


def test_a_lock_held_by_another_process_is_waited_for_and_then_named(tmp_path: Path) -> None:
    """F6: a bounded wait, a definite error, and no double grant afterwards"""
    path = tmp_path / "coupons.db"
    store = open_store(f"sqlite:///{path}", StoreOptions(storage.NAME, answer_ms=100))
    facts = storage.begin_books(store)
    facts.append(storage.asked(store, "r1"))
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == "locked\n"
        for _ in range(3):
            with pytest.raises(PoolUnavailable, match="in use by another process"):
                store.grant("r1", *LINES[0], START_NS)
        held.communicate()
    for _ in range(3):
        answer = store.grant("r1", *LINES[0], START_NS)
        facts.append(storage.answered(store, "r1", answer))
    store.close(clean=False)
    assert storage.judge(path, facts, Figures()) == []


def test_a_process_at_its_limit_of_file_size_stops_and_leaves_the_books_right() -> None:
    """F21, F5: prlimit; a definite end, no corruption"""
    with scratch() as folder:
        url = SqlitePlace(folder).fresh()
        open_store(url, StoreOptions(None)).close()
        fleet = Fleet(url, folder, 3, names=("gw0",), rest_s=0.0)
        process = fleet.start("gw0")
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (600_000, 600_000))
        assert process.wait(60) == UNAVAILABLE
        assert fleet.check() == []


def test_the_disk_of_the_tests_is_gone_afterwards() -> None:
    """The planted file system must not stay SQLite's default."""
    with failing_disk():
        assert "proof-disk" in apsw.vfs_names()
    assert "proof-disk" not in apsw.vfs_names()
