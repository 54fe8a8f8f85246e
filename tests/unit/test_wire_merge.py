"""Several captures in one: in time order, whatever order they were given in."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engine.wire import MODE_IP
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from engine.wire.merge import merge
from tests.support.packets import ethernet, ipv4, pcap, udp


def write(folder: Path, name: str, times_us: list[int], first: int) -> str:
    """A capture whose k-th packet has source port `first` + k."""
    frames: list[Any] = [
        (time_us * 1000, ethernet(ipv4(udp(src=first + k)))) for k, time_us in enumerate(times_us)
    ]
    (folder / name).write_bytes(pcap(frames))
    return str(folder / name)


def merged(paths: list[str], rows_max: int) -> npt.NDArray[Any]:
    endpoints = Endpoints()
    captures = [Capture(path, endpoints, MODE_IP, rows_max=rows_max) for path in paths]
    batches = [batch.copy() for batch in merge(captures)]
    return np.concatenate(batches)


@pytest.mark.parametrize("rows_max", [1, 2, 3, 100])
def test_the_order_of_time_then_path_then_place(rows_max: int, tmp_path: Path) -> None:
    """G8"""
    files = {
        "a": write(tmp_path, "a", [1, 5, 5, 5, 9], 100),
        "b": write(tmp_path, "b", [5, 5, 6], 200),
        "c": write(tmp_path, "c", [0, 5, 9, 9], 300),
    }
    expected = [300, 100, 101, 102, 103, 200, 201, 301, 202, 104, 302, 303]
    for order in itertools.permutations(files.values()):
        packets = merged(list(order), rows_max)
        assert [int(port) for port in packets["src_port"]] == expected
        assert (np.diff(packets["time_ns"]) >= 0).all()


def test_files_that_follow_each_other_and_empty_ones(tmp_path: Path) -> None:
    paths = [
        write(tmp_path, "2", [10, 11], 200),
        write(tmp_path, "1", [1, 2, 3], 100),
        write(tmp_path, "0", [], 0),
    ]
    assert [int(p) for p in merged(paths, 2)["src_port"]] == [100, 101, 102, 200, 201]


def test_time_that_goes_back_in_one_file_is_held_in_that_file_only(tmp_path: Path) -> None:
    """B58"""
    paths = [write(tmp_path, "a", [9, 1], 100), write(tmp_path, "b", [2, 8], 200)]
    packets = merged(paths, 10)
    assert [int(p) for p in packets["src_port"]] == [200, 201, 100, 101]
    assert [int(t) // 1000 for t in packets["time_ns"]] == [2, 8, 9, 9]


def test_one_capture_is_passed_through(tmp_path: Path) -> None:
    capture = Capture(write(tmp_path, "a", [1, 2, 3], 100), Endpoints(), MODE_IP, rows_max=2)
    assert [len(batch) for batch in merge([capture])] == [2, 1]


def test_no_capture_is_nothing() -> None:
    assert list(merge([])) == []


def test_a_broken_capture_does_not_stop_the_others(tmp_path: Path) -> None:
    """F24"""
    broken = write(tmp_path, "a", [1, 2, 3], 100)
    Path(broken).write_bytes(Path(broken).read_bytes()[:-5])
    other = write(tmp_path, "b", [1, 4], 200)
    endpoints = Endpoints()
    captures = [Capture(path, endpoints, MODE_IP) for path in (other, broken)]
    ports = [int(port) for batch in merge(captures) for port in batch["src_port"]]
    assert ports == [100, 200, 101, 201]
    assert [capture.fault is None for capture in captures] == [True, False]
