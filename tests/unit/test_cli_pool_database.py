"""How commands find their coupon database, and the time as of which they ask."""

import json
from pathlib import Path

import click
import pytest

from engine.cli import pool_database
from engine.cli.pool_database import instant, lift_url, shown_url
from engine.errors import PoolError, UsageError
from engine.subscribers.model import TIME_NS_MAX

VALUED = {"--pool", "--at", "--subscribers"}
URL = "sqlite:///a.db"
OPTION = click.Option(["--at"])
NOWHERE = click.Context(click.Command("x"))


@pytest.mark.parametrize(
    ("given", "lifted"),
    [
        (["hdd1"], ["hdd1"]),
        ([URL, "hdd1"], ["--pool", URL, "hdd1"]),
        (["hdd1", URL, "--at", "5"], ["--pool", URL, "hdd1", "--at", "5"]),
        (["--pool", URL, "hdd1"], ["--pool", URL, "hdd1"]),
        (["--pool=" + URL], ["--pool=" + URL]),
        (["--subscribers", "odd://name", URL], ["--pool", URL, "--subscribers", "odd://name"]),
        (["--quiet", URL], ["--pool", URL, "--quiet"]),
        (["--", "-odd", URL], ["--pool", URL, "--", "-odd"]),
        (["--at", "--", URL], ["--pool", URL, "--at", "--"]),
        ([], []),
    ],
)
def test_the_url_may_stand_anywhere(given: list[str], lifted: list[str]) -> None:
    assert lift_url(given, VALUED) == lifted


@pytest.mark.parametrize("given", [[URL, URL], ["--pool", URL, URL], [URL, "--pool=" + URL]])
def test_a_database_that_is_named_twice_is_refused(given: list[str]) -> None:
    with pytest.raises(click.UsageError, match="named twice; give one of: --pool URL, the URL"):
        lift_url(given, VALUED)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        (str(TIME_NS_MAX), TIME_NS_MAX),
        ("1970-01-01T09:00:00.000000001+09:00", 1),
        ("2013-12-01T00:00:00+09:00", 1_385_823_600 * 10**9),
    ],
)
def test_a_time_is_iso_8601_or_nanoseconds(text: str, ns: int) -> None:
    """U2, U4"""
    assert instant(NOWHERE, OPTION, text) == ns


@pytest.mark.parametrize(
    "text",
    [
        str(TIME_NS_MAX + 1),
        "9" * 10_000,
        "-1",
        "1.5",
        "",
        "now",
        "2013-11-05",
        "٣",
        "2013-11-05T09:00:00",
    ],
)
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        instant(NOWHERE, OPTION, text)
    assert "allowed" in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///a:b@c?d.db", "sqlite:///a:b@c?d.db"),
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql://me:secret@host/db", "postgresql://me@host/db"),
        ("postgresql://me:se@cret@host/db?password=x", "postgresql://me@host/db"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with (
        pytest.raises(
            PoolError, match=r"none\.db: no such coupon database; make it with: pktoll pool"
        ),
        pool_database.opened(f"sqlite:///{path}"),
    ):
        pass
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="gone when the command ends"):
        pool_database.file_of("sqlite://")
    assert pool_database.file_of("postgresql://host/db") is None


def test_a_document_is_written_for_machines_or_people_or_not_at_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = {"schema": "x/1", "name": "é"}
    pool_database.write(document, "json", lambda _: None)
    assert json.loads(capsys.readouterr().out) == document
    pool_database.write(document, "table", lambda given: click.echo(given["schema"]))
    assert capsys.readouterr().out == "x/1\n"
    pool_database.write(document, "json", lambda _: None, quiet=True)
    assert capsys.readouterr().out == ""
