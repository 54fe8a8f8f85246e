"""Every way in which a command can end: one line, and the status that goes with it."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import click
import pytest

from engine import clock
from engine.cli import main as entry
from engine.errors import (
    CaptureError,
    ConfigError,
    LedgerError,
    PktollError,
    PoolError,
    ServiceError,
    UsageError,
)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        entry.main(arguments)
    return int(ended.value.code or 0)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | int | None], list[str]]:
    """Makes `pktoll demo` end as told; gives its arguments."""

    def make(end: BaseException | int | None) -> list[str]:
        @click.command("demo")
        def planted() -> Any:
            if isinstance(end, BaseException):
                raise end
            return end

        class Module:
            command = planted

        monkeypatch.setattr(entry.importlib, "import_module", lambda _: Module)
        return ["demo"]

    return make


@pytest.mark.parametrize(
    ("end", "status", "said"),
    [
        (None, 0, ""),
        (0, 0, ""),
        (4, 4, ""),
        (PktollError("x"), 1, "pktoll: x\n"),
        (UsageError("what, where"), 2, "pktoll: what, where\n"),
        (ConfigError("a.toml:1:2: one\na.toml:3:4: two"), 3, None),
        (CaptureError("a.pcap: cut", 99), 4, "pktoll: a.pcap: cut\n"),
        (LedgerError("line a"), 6, "pktoll: line a\n"),
        (PoolError(""), 1, "pktoll: \n"),
        (ServiceError("busy", "later"), 1, "pktoll: later\n"),
        (MemoryError(), 1, "pktoll: out of memory; give the process more, or split the run\n"),
        (FileNotFoundError(2, "No such file", "a.pcap"), 1, "pktoll: a.pcap: No such file\n"),
        (OSError("odd"), 1, "pktoll: writing the output: odd\n"),
        (click.Abort(), 130, None),
        (KeyboardInterrupt(), 130, None),
        (click.ClickException("no such thing"), 2, "pktoll: no such thing\n"),
        (click.UsageError("no"), 2, "pktoll: no (try: pktoll demo --help)\n"),
    ],
    ids=repr,
)
def test_how_a_command_ends(
    command: Callable[[Any], list[str]],
    capsys: pytest.CaptureFixture[str],
    end: Any,
    status: int,
    said: str | None,
) -> None:
    """exit status and standard error"""
    assert run(*command(end)) == status
    err = capsys.readouterr().err
    if said is None:
        assert all(line.startswith("pktoll: ") for line in err.strip().splitlines())
    else:
        assert err == said


def test_many_faults_are_many_lines(
    command: Callable[[Any], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """each says where"""
    run(*command(ConfigError("a.toml:1:2: one\na.toml:3:4: two")))
    assert capsys.readouterr().err == "pktoll: a.toml:1:2: one\npktoll: a.toml:3:4: two\n"


def test_a_reader_that_has_gone_is_no_error(
    command: Callable[[Any], list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """and nothing more is written to where it was"""
    with open(tmp_path / "out", "w+") as out:
        monkeypatch.setattr(entry.sys, "stdout", out)
        assert run(*command(BrokenPipeError())) == 0
        print("lost", file=out, flush=True)
    assert (tmp_path / "out").read_text() == ""


@contextlib.contextmanager
def unread(monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    """Standard output that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out:
        monkeypatch.setattr(entry.sys, "stdout", out)
        yield out


def test_a_reader_that_went_before_the_last_words_is_no_error(
    command: Callable[[Any], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """what was printed is written when the command ends"""
    with unread(monkeypatch) as out:
        out.write("the last words")
        assert run(*command(4)) == 0


def test_a_reader_that_has_gone_takes_nothing_from_the_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with unread(monkeypatch) as out:
        with entry.printing():
            out.write("the report")
        out.write("more")
        out.flush()


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_stream_that_the_caller_closed_is_replaced(
    command: Callable[[Any], list[str]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Python has None for it"""
    monkeypatch.setattr(entry.sys, name, None)
    assert run(*command(PktollError("x"))) == 1
    replaced = getattr(entry.sys, name)
    replaced.write("goes nowhere")
    replaced.close()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["nonsense"], "No such command 'nonsense'. (try: pktoll --help)"),
        (["--nonsense"], "No such option"),
        (["replay"], "Missing argument 'CAPTURE...'. (try: pktoll replay --help)"),
        (["replay", "x", "--workers", "65"], "is not in the range 1<=x<=64"),
        (["replay", "x", "--format", "xml"], "'xml' is not one of"),
    ],
)
def test_a_wrong_word_gets_a_hint(
    capsys: pytest.CaptureFixture[str], arguments: list[str], hint: str
) -> None:
    """exit 2, one line"""
    assert run(*arguments) == 2
    err = capsys.readouterr().err
    assert hint in err
    assert err.count("\n") == 1


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    text = capsys.readouterr().out
    for name, (_, words) in entry.COMMANDS.items():
        assert f"  {name} " in text
        assert words.split()[0] in text
    assert "Exit status: 0 fine;" in text
    assert entry.Lazy().list_commands(click.Context(entry.pktoll)) == list(entry.COMMANDS)


@pytest.mark.parametrize("name", list(entry.COMMANDS))
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert run(name, "--help") == 0
    assert f"Usage: pktoll {name}" in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    from engine import __version__

    assert run("--version") == 0
    assert capsys.readouterr().out == f"pktoll, version {__version__}\n"


def test_the_clock_of_reports_never_goes_back() -> None:
    """U2: for reports of how long work took, and in nothing that is billed"""
    begin_ns = clock.elapsed_ns()
    assert clock.elapsed_ns() >= begin_ns


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """exit 2, and no line of it looks like a fault"""
    with pytest.raises(SystemExit) as ended:
        entry.main([])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("Usage: pktoll ")
