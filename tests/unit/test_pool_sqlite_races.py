"""Several threads and processes on one SQLite file: the last slice and the last byte go out once."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import apsw
import pytest

from engine.errors import RefusedError
from engine.pool import CouponStore, StoreOptions, open_store
from engine.units import MB
from tests.support.stores import SLICE, url

RACER = """
import sys
from engine.errors import RefusedError
from engine.pool import StoreOptions, open_store
number = sys.argv[2]
store = open_store(sys.argv[1], StoreOptions(gateway=f"g{number}", answer_ms=60_000))
store.open_line("hdd1", f"hdo{number}", 0)
print("ready", flush=True)
sys.stdin.readline()
granted = 0
for ask in range(int(sys.argv[3])):
    for _ in range(1 + ask % 3 // 2):
        last = store.grant(f"{number}:{ask}", "hdd1", f"hdo{number}", 5).granted_bytes
    granted += last
bought = 0
for ask in range(10):
    try:
        bought += store.buy(f"{number}:{ask}", "hdd2", 1, 5)
    except RefusedError:
        pass
store.settle(f"hdo{number}", 0, True)
store.close()
print(granted, bought, flush=True)
"""


def started(path: Path, project: Path, number: int, asks: int) -> "subprocess.Popen[str]":
    """A process with a gateway of its own that waits for the word."""
    process = subprocess.Popen(
        [sys.executable, "-c", RACER, url(path), str(number), str(asks)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project)},
    )
    return process


@pytest.mark.parametrize("left", [1, SLICE, 7 * SLICE + 1])
def test_processes_that_race_for_the_last_bytes_get_each_of_them_once(
    tmp_path: Path, project: Path, left: int
) -> None:
    """F10, G1, D9, C3: a third of the requests repeated; all is handed out, and no byte twice."""
    path = tmp_path / "a.db"
    operator = open_store(url(path), StoreOptions(gateway=None))
    operator.credit("c1", "hdd1", "bundle", left, 0, 100)
    operator.credit("c2", "hdd2", "bundle", 1, 0, 100)
    racers = [started(path, project, number, 4) for number in range(4)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = [tuple(map(int, racer.communicate()[0].split())) for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4
    assert sum(granted for granted, _ in answers) == left
    assert sum(bought for _, bought in answers) == 30
    held = [line.balance_bytes for line in operator.lines()]
    assert held == [granted for granted, _ in answers]
    assert operator.audit() == []
    operator.close()


def test_threads_that_race_for_the_last_bytes_get_each_of_them_once(tmp_path: Path) -> None:
    """F10, G1: stores of their own in one process; half of them defer."""
    path = tmp_path / "a.db"
    stores: list[CouponStore] = [
        open_store(url(path), StoreOptions(gateway=f"g{number}", answer_ms=60_000))
        for number in range(4)
    ]
    stores[0].credit("c1", "hdd1", "bundle", 20 * SLICE + 1, 0, 100)
    granted = [0] * 4
    gate = threading.Barrier(4)

    def race(number: int) -> None:
        store = stores[number]
        gate.wait()
        store.open_line("hdd1", f"hdo{number}", 0)
        for ask in range(21):
            if number % 2:
                store.defer()
            granted[number] += store.grant(
                f"{number}:{ask}", "hdd1", f"hdo{number}", 5
            ).granted_bytes
            store.flush()

    threads = [threading.Thread(target=race, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 20 * SLICE + 1
    assert [line.balance_bytes for line in stores[0].lines()] == granted
    for store in stores:
        assert store.audit() == []
        store.close()


def test_stores_that_are_made_at_the_same_time_share_one_schema(tmp_path: Path) -> None:
    """F10, B82: whoever comes first makes it, the others wait."""
    path = tmp_path / "a.db"
    gate = threading.Barrier(6)
    stores: list[CouponStore] = []

    def make(number: int) -> None:
        gate.wait()
        stores.append(open_store(url(path), StoreOptions(gateway=f"g{number}")))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(store.run_id for store in stores) == [1, 2, 3, 4, 5, 6]
    assert stores[0].audit() == []
    for store in stores:
        store.close()


@pytest.mark.parametrize("mode", ["delete", "persist", "wal"])
def test_a_file_that_was_left_in_another_journal_mode_is_brought_back(
    tmp_path: Path, mode: str
) -> None:
    """B82: nobody writes with a promise that another does not keep."""
    path = tmp_path / "a.db"
    open_store(url(path)).close()
    other = apsw.Connection(str(path))
    other.pragma("journal_mode", mode)
    other.close()
    store = open_store(url(path))
    assert store.settings()["journal_mode"] == "wal"
    assert store.audit() == []
    other = apsw.Connection(str(path))
    other.set_busy_timeout(10)
    with pytest.raises(apsw.BusyError):
        other.pragma("journal_mode", "delete")
    other.close()
    store.close()


def test_a_month_is_not_bought_up_twice(tmp_path: Path) -> None:
    """C3: two operators who both saw room for 30."""
    path = tmp_path / "a.db"
    stores = [open_store(url(path), StoreOptions(gateway=None)) for _ in range(2)]
    stores[0].credit("c1", "hdd1", "bundle", MB, 0, 100)
    assert stores[0].buy("x", "hdd1", 30, 5)
    with pytest.raises(RefusedError, match="30 were bought"):
        stores[1].buy("y", "hdd1", 30, 5)
    for store in stores:
        assert store.audit() == []
        store.close()
