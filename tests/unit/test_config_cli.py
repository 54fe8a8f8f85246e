"""pktoll config: what it prints, and the exit status that its errors stand for."""

import json
from pathlib import Path

import pytest

from engine import config, subscribers
from engine.cli.main import main


def run(*arguments: str) -> int:
    """The exit status of `pktoll config …`."""
    with pytest.raises(SystemExit) as caught:
        main(["config", *arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_check_says_what_is_fine(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = project / "configs"
    names = [
        str(folder / "iijmio.toml"),
        str(folder / "subscribers" / "family.csv"),
        str(folder / "subscribers" / "family.events.jsonl"),
    ]
    assert run("check", names[0], "--subscribers", names[1], "--events", names[2]) == 0
    streams = capsys.readouterr()
    assert streams.out == "".join(f"{name}: fine\n" for name in names)
    assert streams.err == ""
    assert run("check", names[0]) == 0
    assert capsys.readouterr().out == f"{names[0]}: fine\n"


def test_check_tells_all_that_is_wrong_in_all_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """B79"""
    texts = {
        "good.toml": "",
        "bad.toml": "".join(f"x{k} = 1\n" for k in range(60)),
        "book.csv": "contract,plan,started,line\nc,giga,2013-11-01,l\n",
        "e.jsonl": '{"at_ns": 1, "do": "attach", "line": "anybody"}\n{"at_ns": 2}\n',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    good, bad, book, events = (str(tmp_path / name) for name in texts)
    missing = str(tmp_path / "none.toml")
    assert run("check", good, missing, bad, "--subscribers", book, "--events", events) == 3
    streams = capsys.readouterr()
    assert streams.out == f"{good}: fine\n"
    lines = streams.err.splitlines()
    assert len(lines) == 1 + 60 + 1 + 1
    assert lines[0].startswith(f"pktoll: {missing}: cannot be read: ")
    assert lines[60].startswith(f"pktoll: {bad}:60:1: x59: unknown key")
    assert lines[61].startswith(f"pktoll: {book}:2:3: plan: no plan of the configuration")
    assert lines[62].startswith(f"pktoll: {events}:2:1: [1].do: nothing")


def test_check_uses_the_plans_and_lines_of_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """S5, N6"""
    own = tmp_path / "own.toml"
    plans = config.example().replace('"family-share"', '"giga"')
    own.write_text(plans, encoding="utf-8")
    book = tmp_path / "book.csv"
    book.write_text("contract,plan,started,line\nc,giga,2013-11-01,l\n")
    events = tmp_path / "e.jsonl"
    events.write_text('{"at_ns": 1, "do": "attach", "line": "x"}\n')
    arguments = ("--subscribers", str(book), "--events", str(events))
    assert run("check", str(own), *arguments) == 3
    streams = capsys.readouterr()
    assert streams.out == f"{own}: fine\n{book}: fine\n"
    assert streams.err == (
        f'pktoll: {events}:1:38: [0].line: no line of the subscriber file is called "x"\n'
    )
    assert run("check", *arguments) == 3
    assert "no plan of the configuration" in capsys.readouterr().err


def test_check_of_files_that_are_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    none = str(tmp_path / "none")
    assert run("check", "--subscribers", none, "--events", none) == 3
    assert capsys.readouterr().err.count("cannot be read") == 2


def test_check_of_files_with_other_endings(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--subscribers", "--events"):
        assert run("check", option, str(project / "LICENSE")) == 3
        assert "ends in ." in capsys.readouterr().err


def test_check_of_nothing_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check") == 2
    assert "nothing to check" in capsys.readouterr().err


def test_schema_example_and_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schema") == 0
    assert json.loads(capsys.readouterr().out) == config.json_schema()
    assert run("schema", "--subscribers") == 0
    assert json.loads(capsys.readouterr().out) == subscribers.json_schema()
    assert run("example") == 0
    assert capsys.readouterr().out == config.example()
    assert run("show") == 0
    assert json.loads(capsys.readouterr().out) == config.show(config.load(None))
    path = tmp_path / "own.toml"
    path.write_text('first_slice = "first-packet"\n')
    assert run("show", "--config", str(path)) == 0
    assert json.loads(capsys.readouterr().out)["first_slice"] == "first-packet"
    path.write_text("first_slice = 1\n")
    assert run("show", "--config", str(path)) == 3
