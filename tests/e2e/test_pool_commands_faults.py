"""`pktoll pool` where something is wrong: rows edited by hand, damaged files, names that are attacks."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from engine.pool import open_store
from engine.pool.store import StoreOptions
from engine.units import MB
from tests.support import ledgers
from tests.support.command import call, environment, spawn
from tests.support.ledgers import CONTRACT, FIRST, HOSTILE, NOW_NS, SECOND

AT = str(NOW_NS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A filled database."""
    ledgers.filled(f"sqlite:///{tmp_path / 'coupons.db'}")
    return tmp_path / "coupons.db"


def edit(path: Path, statement: str) -> None:
    """Change a row by hand, constraints or not."""
    with closing(apsw.Connection(str(path))) as database:
        database.execute("PRAGMA ignore_check_constraints = 1")
        database.execute(statement)
        assert database.changes() == 1


def dump(path: Path) -> list[str]:
    """Everything in the database."""
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


# --- audit (G6, F18) --------------------------------------------------------------------------------


def test_an_audit_says_what_was_checked_and_how_it_adds_up(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """D9, I1, G4, G6"""
    ledgers.broken_off(f"sqlite:///{path}")
    done = call(capfd, "pool", "audit", f"sqlite:///{path}", "--format", "json")
    assert (done.status, done.err) == (0, "")
    made = json.loads(done.out)
    assert (made["schema"], made["adds_up"], made["findings"]) == ("pktoll.pool-audit/1", True, [])
    sums = made["sums"]
    assert (sums["steady"], sums["contracts"], sums["lines"], sums["slices"]) == (True, 2, 3, 1)
    coupons, sims = sums["coupons"], sums["sims"]
    assert coupons == {
        "credited_bytes": 2078 * MB,
        "in_database_bytes": 2038 * MB,
        "granted_bytes": 10 * MB,
        "expired_bytes": 30 * MB,
    }
    assert sims == {
        "granted_bytes": 10 * MB,
        "opening_bytes": 7,
        "on_sim_bytes": 5 * MB + 7,
        "used_bytes": 4 * MB,
        "uncertain_bytes": MB,
    }
    (uncertain,) = sums["uncertain"]
    assert (uncertain["line"], uncertain["request_id"]) == (FIRST, "r1")
    assert uncertain["uncertain_bytes"] == MB
    assert sums["granted_to_removed_sims_bytes"] == 0
    text = call(capfd, "pool", "audit", f"sqlite:///{path}").out
    for words in (
        "checked: every coupon, slice, line",
        "contracts 2, SIMs 3, slices 1",
        "credited 2,178,940,928 = in database 2,136,997,888 + granted 10,485,760 + expired 31,457,280",
        "brought along 7 = on SIMs 5,242,887 + used 4,194,304 + uncertain 1,048,576 bytes",
        f"uncertain: line {FIRST}, slice {uncertain['slice_id']} (r1): 1,048,576",
        "the ledger adds up",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE coupon SET granted_bytes = granted_bytes + 1 WHERE coupon_id = 2", "coupon 2"),
        ("UPDATE slice SET used_bytes = used_bytes + 1 WHERE request_id = 'r1'", "slice "),
        ("UPDATE line SET reported_bytes = 5 WHERE code = 'hdo00000001'", "line "),
        ("DELETE FROM slice_part", "coupon 2"),
    ],
)
def test_a_row_that_was_edited_by_hand_is_named(
    path: Path, capfd: pytest.CaptureFixture[str], statement: str, named: str
) -> None:
    """F18, G6: status 6, a line for each finding, and the document says so too"""
    edit(path, statement)
    done = call(capfd, "pool", "audit", f"sqlite:///{path}")
    assert done.status == 6
    assert "adds up" not in done.out
    lines = done.err.splitlines()
    assert all(line.startswith("pktoll: ") for line in lines)
    assert any(line.startswith(f"pktoll: {named}") for line in lines)
    done = call(capfd, "pool", "audit", f"sqlite:///{path}", "--format", "json", "-q")
    assert (done.status, done.out) == (6, "")
    made = json.loads(call(capfd, "pool", "audit", f"sqlite:///{path}", "--format", "json").out)
    assert not made["adds_up"]
    assert [f"pktoll: {finding}" for finding in made["findings"]] == lines


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_reader_that_goes_away_takes_nothing_from_the_status(path: Path, form: str) -> None:
    """G6: `pktoll pool audit | head` still says that the ledger does not add up"""
    edit(path, "UPDATE line SET reported_bytes = 5 WHERE code = 'hdo00000001'")
    reader, writer = os.pipe()
    os.close(reader)
    ended = spawn(
        *("pool", "audit", f"sqlite:///{path}", "--format", form),
        capture_output=False,
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    assert ended.status == 6
    assert "pktoll: line " in ended.err


def test_what_removed_sims_were_granted_is_told_apart(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """L4, I1"""
    store = open_store(f"sqlite:///{path}", StoreOptions(gateway=None))
    assert store.remove_line(FIRST, NOW_NS) == 6 * MB
    store.close()
    done = call(capfd, "pool", "audit", f"sqlite:///{path}", "--format", "json")
    sums = json.loads(done.out)["sums"]
    assert done.status == 0
    assert (sums["sims"]["granted_bytes"], sums["granted_to_removed_sims_bytes"]) == (0, 10 * MB)
    text = call(capfd, "pool", "audit", f"sqlite:///{path}").out
    assert "granted to SIMs that were removed since: 10,485,760 bytes" in text
    done = call(capfd, "pool", "switch", FIRST, "on", f"sqlite:///{path}")
    assert done.status == 1


def test_an_audit_works_while_a_gateway_does(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """G6"""
    store = open_store(f"sqlite:///{path}", StoreOptions(gateway="gw"))
    store.open_line(CONTRACT, FIRST, 0)
    store.grant("g1", CONTRACT, FIRST, NOW_NS)
    done = call(capfd, "pool", "audit", f"sqlite:///{path}")
    assert (done.status, done.err) == (0, "")
    store.settle(FIRST, 0, True)
    store.close()


# --- damage (B81) -----------------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """B81"""
    path = tmp_path / "odd.db"
    path.write_bytes(b"this is not a database\n" * 1000)
    before = path.read_bytes()
    for command in (("balance",), ("audit",), ("charge", "x"), ("init",)):
        done = call(capfd, "pool", *command, f"sqlite:///{path}")
        assert done.status == 1
        assert str(path) in done.err
        assert done.err.count("\n") == 1
    assert path.read_bytes() == before
    done = call(capfd, "pool", "balance", f"sqlite:///{tmp_path}")
    assert done.status == 1
    assert done.err.count("\n") == 1


def test_a_question_to_a_file_of_zero_bytes_does_not_make_a_database_of_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """B81: what was in it may be lost; only `init` begins anew"""
    path = tmp_path / "empty.db"
    path.touch()
    url = f"sqlite:///{path}"
    for command in (("pool", "balance"), ("pool", "audit"), ("subscribers", "list")):
        done = call(capfd, *command, url)
        assert (done.status, done.out) == (1, "")
        assert done.err.startswith(f"pktoll: {path}: 0 bytes long")
        assert done.err.count("\n") == 1
        assert path.stat().st_size == 0
    assert call(capfd, "pool", "init", url).status == 0
    assert call(capfd, "pool", "audit", url).status == 0


def test_damaged_pages_are_found_and_nothing_else_happens(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """B81: wherever the damage is, there are no tracebacks, and the audit never says that all is well"""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = path.read_bytes()
    pages = len(whole) // 4096
    statuses = set()
    for page in range(1, pages):
        damaged = bytearray(whole)
        damaged[page * 4096 : page * 4096 + 512] = bytes(range(256)) * 2
        path.write_bytes(damaged)
        for command in (("audit",), ("balance",), ("usage",), ("history", CONTRACT)):
            done = call(capfd, "pool", *command, f"sqlite:///{path}")
            assert all(line.startswith("pktoll: ") for line in done.err.splitlines())
            if command == ("audit",):
                assert done.status in (1, 6)
                statuses.add(done.status)
    assert 6 in statuses


# --- names (B77) ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:12]))
def test_a_name_that_nobody_has_is_refused_and_changes_nothing(
    path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    """B77"""
    before = dump(path)
    for command in (
        ("balance", "--", name),
        ("usage", "--", name),
        ("history", "--", name),
        ("charge", "--", name),
        ("charge", "--request", name, "--", name),
        ("switch", "--", name, "off"),
    ):
        done = call(capfd, "pool", command[0], "--pool", f"sqlite:///{path}", *command[1:])
        assert (done.status, done.out) == (1, "")
        assert done.err.startswith("pktoll: ")
        assert done.err.count("\n") == 1
        assert len(done.err) < 400
    done = call(capfd, "pool", "charge", CONTRACT, f"sqlite:///{path}", f"--request={name}")
    if done.status:
        assert (done.status, done.err.count("\n")) == (1, 1)
        assert dump(path) == before


def test_names_of_the_wrong_kind_are_refused(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{path}"
    done = call(capfd, "pool", "charge", FIRST, url)
    assert (done.status, done.err) == (
        1,
        f"pktoll: {FIRST!r} is a line; its contract is {CONTRACT}\n",
    )
    done = call(capfd, "pool", "switch", CONTRACT, "on", url)
    assert (done.status, done.err) == (
        1,
        f"pktoll: {CONTRACT!r} is a contract; name one of its lines\n",
    )


def test_odd_names_in_the_database_are_shown_as_they_are(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """B77: no markup, no control characters"""
    url = f"sqlite:///{tmp_path / 'odd.db'}"
    store = open_store(url, StoreOptions(gateway="gw"))
    store.credit("c", "[red]h[/]", "bundle", MB, 0, NOW_NS * 2)
    store.open_line("[red]h[/]", "'; DROP--", 0)
    store.settle("'; DROP--", 0, True)
    store.close()
    for command in ("balance", "usage"):
        done = call(capfd, "pool", command, url)
        assert done.status == 0
        assert "'; DROP--" in done.out
    assert "[red]h[/]" in call(capfd, "pool", "balance", url).out
    assert "[red]h[/]" in call(capfd, "pool", "charge", "[red]h[/]", url).out


# --- from a shell -----------------------------------------------------------------------------------


def test_a_reader_that_goes_away_is_no_error(path: Path) -> None:
    done = subprocess.run(
        f"'{sys.executable}' -m engine pool balance sqlite:///{path} | true; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_two_operators_at_once_do_not_disturb_each_other(path: Path) -> None:
    """C3, F10: of 4 that buy 10 each, 3 may"""
    arguments = [sys.executable, "-m", "engine", "pool", "charge", CONTRACT, f"sqlite:///{path}"]
    arguments += ["--coupons", "10", "--at", AT, "-q"]
    buyers = [
        subprocess.Popen(arguments, env=environment(), stderr=subprocess.PIPE) for _ in range(4)
    ]
    said = [buyer.communicate()[1] for buyer in buyers]
    assert sorted(buyer.returncode for buyer in buyers) == [0, 0, 0, 1]
    assert sum(b"30" in text for text in said) == 1
    done = spawn("pool", "history", CONTRACT, f"sqlite:///{path}", "--at", AT, "--format", "json")
    assert sum(each["coupons"] for each in json.loads(done.out)["purchases"]) == 30
    assert spawn("pool", "audit", f"sqlite:///{path}").status == 0
    assert spawn("pool", "switch", SECOND, "on", f"sqlite:///{path}", "--at", AT).status == 0


# --- streams that the caller closed -----------------------------------------------------------------


@pytest.mark.parametrize(("closed", "left"), [(">&-", "stderr"), ("2>&-", "stdout")])
def test_a_closed_stream_is_no_error_and_no_file_takes_its_place(
    path: Path, closed: str, left: str
) -> None:
    """B81: else the database would have the number of standard output, or of standard error"""
    before = dump(path)
    command = f"'{sys.executable}' -m engine pool audit 'sqlite:///{path}' {closed}"
    for words, status in ((command, 0), (f"{command} --nonsense", 2)):
        done = subprocess.run(
            ["sh", "-c", words], env=environment(), capture_output=True, check=False, text=True
        )
        assert done.returncode == status
        assert "Traceback" not in done.stdout + done.stderr
        assert bool(getattr(done, left)) is ((left == "stdout") is (status == 0))
    assert dump(path) == before
