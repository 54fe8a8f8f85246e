"""Where packets are written to: complete files under their name, streams, and disks that are full."""

import os
import resource
import stat
import threading
import time
from pathlib import Path

import pytest

from engine.errors import OutputError
from engine.replay.targets import Target
from engine.wire.source import Stop


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_has_its_name_when_it_is_complete(tmp_path: Path) -> None:
    """F24: nobody reads half of it"""
    target = Target(str(tmp_path / "a"))
    target.write(b"one")
    assert "a" not in names(tmp_path)
    assert not target.streams
    target.write(bytearray(b"two"))
    target.finish()
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"onetwo"
    target.close()


def test_a_file_that_was_there_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    """its mode and the links to it stay for good"""
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    first, second = (Target(str(tmp_path / "link")) for _ in range(2))
    first.write(b"new")
    assert (tmp_path / "real").read_bytes() == b"old"
    second.close()
    assert len(names(tmp_path)) == 3
    first.finish()
    assert names(tmp_path) == ["link", "real"]
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o640


def test_a_new_file_has_the_mode_that_others_get(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        Target(str(tmp_path / "a")).finish()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_what_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    target = Target(str(tmp_path / "a"))
    target.write(b"half")
    target.close()
    target.close()
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["no/such", "."])
def test_a_place_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    """F19: one line that says where"""
    with pytest.raises(OutputError) as caught:
        Target(f"{tmp_path}/{name}")
    assert str(caught.value).startswith(f"{tmp_path}/{name}: cannot write packets there: ")
    assert caught.value.exit_status == 1


def test_a_full_disk_is_told_once_and_leaves_nothing(tmp_path: Path) -> None:
    """F19: what comes after it goes nowhere"""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    target = Target(str(tmp_path / "a"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        target.write(bytes(1_500))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(target.fault) == (
        f"{tmp_path}/a: cannot write packets there: File too large; no file was made. The bill is complete"
    )
    target.write(b"more")
    target.finish()
    assert names(tmp_path) == []


def test_a_name_that_is_taken_meanwhile(tmp_path: Path) -> None:
    """the file cannot get it: told, and nothing is left"""
    target = Target(str(tmp_path / "a"))
    (tmp_path / "a").mkdir()
    target.finish()
    assert "cannot write packets there: Is a directory" in str(target.fault)
    assert names(tmp_path) == ["a"]


def test_a_part_that_somebody_removed(tmp_path: Path) -> None:
    target = Target(str(tmp_path / "a"))
    (part,) = tmp_path.iterdir()
    part.unlink()
    target.close()
    assert names(tmp_path) == []


def test_a_fifo_is_written_as_it_goes(tmp_path: Path) -> None:
    """the reader may come later"""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    found: list[bytes] = []

    def read() -> None:
        time.sleep(0.1)
        found.append(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    target = Target(str(path), Stop())
    target.write(b"one")
    target.finish()
    reader.join()
    assert found == [b"one"]
    assert target.streams
    assert names(tmp_path) == ["fifo"]


def test_a_fifo_that_nobody_reads_can_be_given_up(tmp_path: Path) -> None:
    """F20"""
    os.mkfifo(tmp_path / "fifo")
    stop = Stop()
    threading.Timer(0.1, stop.ask).start()
    with pytest.raises(OutputError, match="fifo: cannot write packets there"):
        Target(str(tmp_path / "fifo"), stop)


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    target = Target(str(path))
    os.close(reader)
    target.write(b"one")
    assert str(target.fault) == (
        f"{path}: cannot write packets there: Broken pipe. The bill is complete"
    )


def test_a_device_is_written_to() -> None:
    target = Target("/dev/null")
    target.write(bytes(10))
    target.finish()
    assert target.fault is None
    full = Target("/dev/full")
    full.write(b"one")
    full.finish()
    assert "No space left on device" in str(full.fault)
