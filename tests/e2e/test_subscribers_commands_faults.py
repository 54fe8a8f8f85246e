"""`pktoll subscribers` where something is wrong: nothing half done, no traceback, one line."""

import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from engine import config
from engine.cli import subscribers_ledger as ledger
from engine.cli.subscribers_desk import LINE_KINDS, Desk, Found
from engine.errors import PoolError, PoolUnavailable
from engine.pool import CouponStore, open_store
from engine.pool.store import Account, StoreOptions
from engine.subscribers import actions
from engine.subscribers import moment as moments
from tests.support.command import call
from tests.support.desk import (
    CONTRACT,
    FOURTH,
    LINE,
    MINIMUM,
    MIO,
    NOON,
    SECOND,
    Run,
    Shown,
    commands,
    everything,
    import_family,
    sims,
    states,
)
from tests.support.ledgers import HOSTILE

NOON_NS = moments.parse(NOON)
OPERATOR = StoreOptions(gateway=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database of the test is."""
    return tmp_path / "coupons.db"


@pytest.fixture
def run(path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command on that database."""
    return commands(f"sqlite:///{path}", capfd, monkeypatch)


@pytest.fixture(autouse=True)
def family(run: Run, project: Path) -> None:
    """The family of three SIMs and a Minimum Start contract, imported."""
    import_family(run, project)


def edit(path: Path, statement: str, *values: str) -> None:
    """Change the database by hand."""
    with closing(apsw.Connection(str(path))) as database:
        database.execute(statement, values)


# --- command lines ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Usage: pktoll subscribers"),
        (("nonsense",), "No such command 'nonsense'"),
        (("show",), "Missing argument 'NAME'"),
        (("add",), "Usage: pktoll subscribers add"),
        (("add", "line"), "Missing argument 'CONTRACT'"),
        (("suspend", LINE, "extra"), "unexpected extra argument"),
        (("option", "add", CONTRACT, "ipv6", "--quantity", "0"), "not in the range x>=1"),
        (("add", "line", CONTRACT, "--port-in", "soon"), "is no time; allowed: such as"),
        (("replace-sim", LINE, "--iccid", "1", "--form", "huge"), "'huge' is not one of"),
        (("list", "sqlite:///a", "sqlite:///b"), "the database is named twice"),
    ],
)
def test_a_wrong_command_line_is_status_2(
    capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    done = call(capfd, "subscribers", *arguments)
    assert (done.status, done.out) == (2, "")
    assert words in done.err


def test_every_command_has_an_example_and_is_in_the_documentation(
    capfd: pytest.CaptureFixture[str], project: Path
) -> None:
    from engine.cli.pool import command as pool
    from engine.cli.subscribers import command as subscribers

    text = (project / "docs" / "commands.md").read_text(encoding="utf-8")
    for group in (pool, subscribers):
        assert f"## `pktoll {group.name}`" in text
        commands_of = dict(group.commands)
        for name in ("add", "option"):
            nested = getattr(commands_of.get(name), "commands", {})
            commands_of |= {f"{name} {inner}": each for inner, each in nested.items()}
        for name in commands_of:
            done = call(capfd, str(group.name), *name.split(), "--help")
            assert done.status == 0
            assert f"  pktoll {group.name} {name}" in done.out, name
            first, _, second = name.partition(" ")
            assert re.search(rf"`{first} (?:\w+\\\|)?{second}|`{first}[ `]", text), name


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("show", "x"), ("advance",), ("import", "x.toml"), ("suspend", "x"), ("apply",)],
)
def test_a_database_that_is_not_there_is_refused_and_not_made(
    tmp_path: Path, project: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    if arguments[0] == "import":
        arguments = ("import", str(project / "configs" / "subscribers" / "family.toml"))
    none = tmp_path / "none.db"
    done = call(capfd, "subscribers", *arguments, f"sqlite:///{none}")
    assert (done.status, done.out) == (1, "")
    assert "none.db: no such coupon database; make it with: pktoll pool init" in done.err
    assert not none.exists()


def test_a_file_that_cannot_be_read_is_status_3(run: Run, tmp_path: Path) -> None:
    before = everything(run)
    for arguments in (
        ("import", str(tmp_path / "none.toml")),
        ("migrate", str(tmp_path / "none.toml")),
        ("suspend", LINE, "--config", str(tmp_path / "none.toml")),
    ):
        done = run("subscribers", *arguments)
        assert (done.status, done.out) == (3, "")
        assert "none.toml: cannot be read" in done.err
    assert everything(run) == before


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:12]))
def test_names_that_are_attacks_change_nothing(run: Run, name: str) -> None:
    """B77"""
    before = everything(run)
    attacks: tuple[tuple[str, ...], ...] = (
        ("show", "--", name),
        ("suspend", "--", name),
        ("cancel", "--", name),
        ("start", "--", name),
        ("apply", "--", name),
        ("apply", f"--contract={name}"),
        ("apply", f"--plan={name or 'x'}"),
        ("add", "line", CONTRACT, f"--imsi={name}"),
        ("add", "line", CONTRACT, f"--line={name}"),
        ("add", "line", MINIMUM, f"--address={name}"),
        ("replace-sim", LINE, f"--iccid={name}"),
        ("option", "add", "--", CONTRACT, name),
        ("change-plan", "--", CONTRACT, name),
    )
    for command in attacks:
        # What stands after "--" is an argument, --at too.
        if "--" in command:
            at = command.index("--")
            command = (*command[:at], "--at", NOON, *command[at:])
        done = run("subscribers", *command)
        assert (done.status, done.out) == (1, ""), command
        assert done.err.startswith("pktoll: ")
        assert done.err.count("\n") == 1
        assert len(done.err) < 500
    assert everything(run) == before


# --- both or neither --------------------------------------------------------------------------------


def test_where_the_coupon_database_refuses_the_book_is_unchanged_too(
    run: Run, shown: Shown, path: Path
) -> None:
    """L4, G1: one transaction"""
    before = everything(run)
    edit(
        path,
        "CREATE TRIGGER planted BEFORE UPDATE OF removed_ns ON line BEGIN "
        "SELECT RAISE(ABORT, 'planted'); END",
    )
    done = run("subscribers", "remove", LINE)
    assert (done.status, done.out) == (1, "")
    assert done.err.count("\n") == 1
    edit(path, "DROP TRIGGER planted")
    assert everything(run) == before
    assert run("subscribers", "remove", LINE).status == 0
    assert LINE not in sims(shown)


def test_lines_that_cannot_be_entered_now_wait_for_their_first_session(
    run: Run, shown: Shown, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C7: the book is changed, a remark says so, and `advance` makes up for it"""
    monkeypatch.setattr(ledger, "DESK", replace(ledger.DESK, answer_ms=20))
    other = open_store(f"sqlite:///{path}", ledger.DESK)
    assert run("subscribers", "remove", LINE).status == 0
    done = run("subscribers", "add", "line", CONTRACT)
    assert done.status == 0
    assert done.err.startswith("pktoll: note: 1 lines wait for their first session: ")
    other.close()
    assert list(sims(shown)) == [SECOND, "hdo00000003"]
    made = shown("subscribers", "advance")
    assert made["lines_entered"] == 1
    assert "hdo00000005" in sims(shown)


def test_what_was_never_in_use_needs_no_coupon_database(run: Run, shown: Shown) -> None:
    """A4, L1: a contract that was applied for, with its line"""
    assert run("subscribers", "apply", "--contract", "hdd00000070").status == 0
    assert run("subscribers", "add", "line", "hdd00000070", "--line", "hdo00000070").status == 0
    assert run("subscribers", "suspend", "hdo00000070").status == 0
    assert shown("pool", "balance", "hdd00000070")["contracts"][0]["sims"] == []
    assert run("subscribers", "cancel", "hdd00000070").status == 0
    after = "2014-03-01T00:00:00+09:00"
    assert run("subscribers", "advance", "--at", after).status == 0
    assert states(shown, "hdd00000070", after) == {"hdo00000070": "removed"}
    assert run("pool", "audit").status == 0


def test_an_account_without_contracts_is_shown(run: Run, shown: Shown, tmp_path: Path) -> None:
    """A9: and what stands for a password is not"""
    file = tmp_path / "iij4u.toml"
    file.write_text(
        '[[customer]]\nname = "c"\n[[customer.contract]]\ncode = "4u"\nstarted = 2001-04-01\n'
        'password = "vault:secret-place"\naddress = "vault:home"\n'
    )
    day = "2016-04-01T00:00:00+09:00"
    assert run("subscribers", "migrate", str(file), "--at", day).status == 0
    assert "MA00000003" in run("subscribers", "list", "--at", day).out
    text = run("subscribers", "show", "MA00000003", "--at", day).out
    assert "mioID MA00000003, version 1" in text
    account = shown("subscribers", "show", "MA00000003", "--at", day)["account"]
    assert (account["password"], account["address"]) == ("...", "...")


# --- damage -----------------------------------------------------------------------------------------


def test_a_document_that_was_edited_by_hand_is_found(run: Run, path: Path) -> None:
    """F18, G6"""
    edit(path, "UPDATE account SET document = replace(document, 'light', 'heavy')")
    edit(path, "UPDATE account SET document = '{' WHERE mio_id = ?", MIO)
    for command in (("list",), ("show", LINE), ("suspend", LINE), ("advance",), ("apply",)):
        done = run("subscribers", *command)
        assert (done.status, done.out) == (1, "")
        assert "contract book: a document is damaged: it is not JSON" in done.err
        assert done.err.count("\n") == 1
    done = run("pool", "audit")
    assert done.status == 6
    assert MIO in done.err


def test_a_name_that_was_edited_by_hand_is_found(run: Run, path: Path) -> None:
    """F18, G6"""
    edit(path, "UPDATE account_name SET mio_id = ? WHERE name = ?", MIO, FOURTH)
    done = run("subscribers", "resume", FOURTH)
    assert (done.status, done.out) == (1, "")
    assert "is found by 'hdo00000004', but nothing in it bears this name" in done.err
    assert run("pool", "balance", FOURTH).status == 0
    edit(path, "INSERT INTO account_name VALUES ('line', 'hdo00000099', ?)", MIO)
    assert run("pool", "balance", "hdo00000099").status == 1
    assert run("pool", "audit").status == 6


# --- several desks ----------------------------------------------------------------------------------


def desk(store: CouponStore) -> Desk:
    """A desk at that database."""
    return Desk(store, config.load(None), NOON_NS)


def test_what_another_desk_changed_meanwhile_is_looked_at_again(run: Run, path: Path) -> None:
    """L1, A1: once; a change is never lost"""
    mine = open_store(f"sqlite:///{path}", OPERATOR)
    seen: list[int] = []

    def suspend(found: Found, _: Desk) -> actions.Action:
        seen.append(found.version)
        if len(seen) == 1:
            assert run("subscribers", "suspend", SECOND).status == 0
        return actions.Suspend(found.code("line"))

    change = desk(mine).change(LINE, LINE_KINDS, suspend)
    assert (seen, change.version) == ([1, 2], 3)
    assert [line.state for line in change.account.contracts[0].lines] == [
        "suspended",
        "suspended",
        "in-service",
    ]
    mine.close()


def test_a_desk_that_always_comes_second_gives_up(run: Run, path: Path) -> None:
    """bounded: it tries twice"""
    mine = open_store(f"sqlite:///{path}", OPERATOR)
    words = iter(("suspend", "resume", "suspend"))

    def lost(found: Found, _: Desk) -> actions.Action:
        assert run("subscribers", next(words), SECOND).status == 0
        return actions.ReportLost(found.code("line"))

    with pytest.raises(PoolError):
        desk(mine).change(LINE, LINE_KINDS, lost)
    assert next(words) == "suspend"
    mine.close()


def test_an_advance_looks_again_too(run: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A4: and does what is due once"""
    day, after = "2014-02-10T00:00:00+09:00", "2014-03-01T00:00:00+09:00"
    assert run("subscribers", "cancel", CONTRACT, "--at", day).status == 0
    mine = open_store(f"sqlite:///{path}", OPERATOR)
    look = mine.find_account

    def other_was_quicker(kind: str, name: str) -> Account | None:
        found = look(kind, name)
        monkeypatch.undo()
        assert run("subscribers", "advance", f"sqlite:///{path}", "--at", after).status == 0
        return found

    monkeypatch.setattr(mine, "find_account", other_was_quicker)
    made = Desk(mine, config.load(None), moments.parse(after)).advance()
    assert made == []
    mine.close()


def test_a_name_of_another_account_is_refused_without_a_second_try(run: Run, path: Path) -> None:
    """N6"""
    mine = open_store(f"sqlite:///{path}", OPERATOR)
    tries: list[int] = []

    def add(found: Found, _: Desk) -> actions.Action:
        tries.append(found.version)
        return actions.AddLine(found.code("contract"), "hdo00000050", imsi="440100000000001")

    assert run("subscribers", "apply", "--contract", "hdd00000050").status == 0
    with pytest.raises(PoolError, match="440100000000001"):
        desk(mine).change("hdd00000050", ("contract",), add)
    assert len(tries) == 1
    mine.close()


def test_a_database_that_does_not_answer_is_not_asked_twice(path: Path) -> None:
    """F6"""
    mine = open_store(f"sqlite:///{path}", StoreOptions(gateway=None, answer_ms=20))
    tries: list[int] = []

    def suspend(found: Found, _: Desk) -> actions.Action:
        tries.append(found.version)
        return actions.Suspend(found.code("line"))

    with closing(apsw.Connection(str(path))) as busy:
        busy.execute("BEGIN IMMEDIATE")
        with pytest.raises(PoolUnavailable):
            desk(mine).change(LINE, LINE_KINDS, suspend)
        busy.execute("ROLLBACK")
    assert tries == [1]
    mine.close()
