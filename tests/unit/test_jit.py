"""The door to numba: a cache folder that is safe to unpickle from, one signature a kernel."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import engine.datapath.meter
import engine.runtime  # declares every kernel
from engine import jit


def folder(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Path | None:
    """The cache folder in an environment of these variables alone."""
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return jit.cache_folder()


def test_the_cache_is_the_user_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B83: named after the sources, and nobody else may look in"""
    made = folder(monkeypatch, XDG_CACHE_HOME=str(tmp_path))
    assert made == tmp_path / "pktoll" / jit.source_hash()
    assert made.stat().st_mode & 0o777 == 0o700
    assert folder(monkeypatch, XDG_CACHE_HOME=str(tmp_path)) == made
    assert folder(monkeypatch, HOME=str(tmp_path)) == tmp_path / ".cache/pktoll" / made.name
    assert folder(monkeypatch, XDG_CACHE_HOME="", HOME=str(tmp_path)) is not None


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o720])
def test_a_folder_that_others_may_write_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """B83: a cache file is unpickled when it is read"""
    made = tmp_path / "pktoll" / jit.source_hash()
    made.mkdir(parents=True)
    made.chmod(mode)
    assert folder(monkeypatch, XDG_CACHE_HOME=str(tmp_path)) is None


def test_a_folder_of_another_user_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B83"""
    assert folder(monkeypatch, XDG_CACHE_HOME=str(tmp_path)) is not None
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert jit.cache_folder() is None


def test_without_a_place_to_write_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F23: a home that is a file, or is not there and cannot be made"""
    file = tmp_path / "file"
    file.touch()
    assert folder(monkeypatch, HOME=str(file)) is None
    assert folder(monkeypatch, HOME="/dev/null/nowhere") is None


def test_a_relative_cache_folder_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B83: it would be another one in every working folder"""
    monkeypatch.chdir(tmp_path)
    assert folder(monkeypatch, XDG_CACHE_HOME="here") is None
    assert list(tmp_path.iterdir()) == []


def test_the_name_follows_the_sources_and_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """F23: a stale cache is never read"""
    monkeypatch.delenv("NUMBA_BOUNDSCHECK", raising=False)
    plain = jit.source_hash()
    assert plain == jit.source_hash()
    monkeypatch.setenv("NUMBA_BOUNDSCHECK", "1")
    assert jit.source_hash() != plain
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"\n")
    assert jit.source_hash() != plain


def test_the_cache_is_looked_for_compiled_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jit, "CACHE", None)
    assert not jit.cached()
    monkeypatch.setattr(jit, "CACHE", tmp_path)
    assert not jit.cached()
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "meter.nbi").touch()
    assert jit.cached()


@pytest.mark.jit
def test_every_kernel_is_compiled_once() -> None:
    """a second signature would be another, slower kernel that nobody asked for"""
    assert jit.warm() > 0
    found = {name: signatures for name, signatures, _ in jit.kernels()}
    assert set(found.values()) == {1}
    assert {"resolve", "meter", "release"} <= set(found)
    assert engine.datapath.meter.meter.nopython_signatures


@pytest.mark.parametrize("index", [0, 3])
def test_a_prefetch_changes_nothing(index: int) -> None:
    table = np.arange(4)
    assert int(jit.unsigned(np.int64(index))) == index
    if jit.DISABLED:
        jit.prefetch(table, index)
    assert table.tolist() == [0, 1, 2, 3]


def ran(script: Path, project: Path, cache: Path) -> "subprocess.CompletedProcess[str]":
    """A script with the JIT on, and with kernels kept in this folder."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    environment |= {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(project)}
    words = [sys.executable, "-W", "error", str(script)]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


PROGRAM = """
import numpy as np
from engine import jit
from engine.layout import aligned_zeros, SIM

@jit.leaf
def twice(word):
    jit.apart()
    return 2 * word

@jit.leaf
def thrice(word):
    return 3 * word

@jit.load(2, "big")
def two(buf, at):
    return 1000 * int(buf[at])

@jit.load(4, "little")
def four(buf, at):
    return 2000 * int(buf[at])

@jit.load(8, "big")
def eight(buf, at):
    return 3000 * int(buf[at])

@jit.kernel(jit.u1s)
def loaded(buf):
    return two(buf, 1), four(buf, 3), eight(buf, 2)

@jit.kernel(jit.rows(SIM), jit.i8)
def count(rows, size):
    total = np.int64(0)
    for k in range(len(rows)):
        jit.prefetch(rows, k)
        balance = np.int64(rows[k]["balance_bytes"])
        total += thrice(balance) - twice(balance) + balance + size
    return total

rows = aligned_zeros(3, SIM)
rows["balance_bytes"] = (1, 2, 3)
assert not jit.DISABLED
assert jit.warm() > 0
assert count(rows, 10) == 42
assert jit.warm() >= 0
assert thrice(4) == 12  # from Python, too; `twice` calls what is for kernels only
octets = np.arange(250, 262).astype(np.uint8)
assert loaded(octets) == (0xFBFC, 0x00FFFEFD, 0xFCFDFEFF00010203 - 2**64)
assert (two(octets, 2), four(octets, 2), eight(octets, 2)) == (252000, 504000, 756000)  # as written
if jit.kernels()[1][2] == 0:  # compiled here: its code can be seen
    code = next(iter(count.inspect_asm().values())).split(".size")[0]
    assert "twice" in code  # set apart, and so called
    assert "thrice" not in code  # part of its caller
print(jit.cached(), jit.CACHE is not None, jit.kernels()[1])
"""


def test_what_numba_does_not_document_is_done_without() -> None:
    """a dispatcher that is made otherwise has its kernel compiled, or loaded, by `compile`"""
    assert not jit._loaded(object(), ())


@pytest.mark.parametrize(
    ("place", "first", "second"),
    [
        ("cache", "True True ('count', 1, 0)", "True True ('count', 1, 1)"),
        ("/dev/null", "False False ('count', 1, 0)", "False False ('count', 1, 0)"),
    ],
)
def test_a_kernel_is_compiled_then_loaded(
    tmp_path: Path, project: Path, place: str, first: str, second: str
) -> None:
    """F23: with a cache folder it is kept for the next process, without one it still runs"""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    for expected in (first, second):
        done = ran(script, project, tmp_path / place)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.strip() == expected


KERNELS = """
from engine import jit

@jit.kernel(jit.i8, aside=True)
def large(word):
    return word + 1

@jit.kernel(jit.i8)
def small(word):
    return word + 2
"""
WARMED = """
import os, subprocess, sys
from engine import jit
import some_kernels

{before}
assert jit.warm() > 0
assert some_kernels.large(1) + some_kernels.small(1) == 5
print(jit.kernels())
"""
BY_ANOTHER = "[('large', 1, 1), ('small', 1, 0)]"
HERE = "[('large', 1, 0), ('small', 1, 0)]"
LOADED = "[('large', 1, 1), ('small', 1, 1)]"


@pytest.mark.parametrize(
    ("before", "first", "second"),
    [
        ("", BY_ANOTHER, LOADED),
        ("os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])", HERE, LOADED),
        ("sys.executable = '{tmp}/gateway'", HERE, LOADED),
        ("sys.executable = '{tmp}/python-that-fails'", HERE, LOADED),
        ("sys.executable = '{tmp}/python-that-is-not-there'", HERE, LOADED),
        ("jit.CACHE = None", HERE, LOADED),
        ("jit._kernels.pop()[0].compile((jit.i8,))", "[('large', 1, 0)]", "[('large', 1, 1)]"),
    ],
)
def test_a_large_kernel_is_compiled_by_a_process_of_its_own(
    tmp_path: Path, project: Path, before: str, first: str, second: str
) -> None:
    """where there is a core for it, and a Python to start; what it does not bring is compiled here"""
    if len(os.sched_getaffinity(0)) == 1 and first == BY_ANOTHER:
        pytest.skip("one core: nothing is compiled aside")
    (tmp_path / "some_kernels.py").write_text(KERNELS)
    for name, code in (("gateway", 9), ("python-that-fails", 1)):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho lost; touch {tmp_path}/{name}.ran; exit {code}\n")
        program.chmod(0o700)
    script = tmp_path / "program.py"
    script.write_text(WARMED.format(before=before.format(tmp=tmp_path)))
    for expected in (first, second):
        done = ran(script, project, tmp_path / "cache")
        assert (done.returncode, done.stderr, done.stdout.strip()) == (0, "", expected)
    assert not (tmp_path / "gateway.ran").exists()  # another program's process is not Python
    assert (tmp_path / "python-that-fails.ran").exists() == ("fails" in before)


INTERRUPTED = """
import subprocess, sys
from engine import jit
import some_kernels

started = []
class Noted(subprocess.Popen):
    def __init__(self, *words, **how):
        super().__init__([sys.executable, "-c", "import time; time.sleep(600)"], **how)
        started.append(self)
subprocess.Popen = Noted
def stop(arguments):
    raise KeyboardInterrupt
jit._kernels[1][0].compile = stop
try:
    jit.warm()
except KeyboardInterrupt:
    print([process.returncode for process in started])
"""


def test_an_interrupt_ends_the_process_that_compiles_aside(tmp_path: Path, project: Path) -> None:
    """nothing is left running"""
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("one core: nothing is compiled aside")
    (tmp_path / "some_kernels.py").write_text(KERNELS)
    (tmp_path / "program.py").write_text(INTERRUPTED)
    done = ran(tmp_path / "program.py", project, tmp_path / "cache")
    assert (done.stderr, done.stdout.strip()) == ("", "[-9]")
