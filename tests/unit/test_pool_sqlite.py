"""Opening a SQLite coupon database safely, and what becomes of one that is damaged, foreign or in use."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from engine.errors import PoolError, PoolUnavailable, UsageError
from engine.pool import StoreOptions, open_store
from engine.pool.sqlite import Database, load_migrations
from engine.pool.sqlite_files import check_version
from tests.support.stores import SLICE, filled, refusal, url


@pytest.mark.parametrize(
    "text",
    ["", "memory", "sqlite:", "sqlite:/x", "sqlite:///", "sqlite://x.db", "mysql://h/db", "x.db"],
)
def test_a_url_of_no_known_form_is_refused(text: str) -> None:
    """B79: the error shows the forms that there are."""
    with pytest.raises(UsageError, match=r"write sqlite:///relative\.db"):
        open_store(text)


def test_a_relative_url_is_a_file_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D9: names that mean something to SQLite are plain file names here."""
    monkeypatch.chdir(tmp_path)
    for name in ("plain.db", ":memory:", "file:x?mode=memory"):
        open_store(f"sqlite:///{name}").close()
        assert (tmp_path / name).stat().st_size > 0
    open_store("sqlite://").close()


def test_a_file_is_kept_with_full_durability(tmp_path: Path) -> None:
    """G2: WAL, synchronous FULL and foreign keys, as read back from SQLite."""
    store = open_store(url(tmp_path / "a.db"))
    found = store.settings()
    store.close()
    assert found["journal_mode"] == "wal"
    assert found["synchronous"] == "2"
    assert found["foreign_keys"] == "1"
    check_version(found["sqlite"])


@pytest.mark.parametrize("version", ["3.51.2", "3.46.1", "3.8", "2.9.9"])
def test_a_library_that_can_corrupt_a_wal_is_refused(version: str) -> None:
    """G2: the fault was mended in 3.51.3."""
    with pytest.raises(PoolError, match=r"can corrupt a database; install apsw 3\.51\.3 or newer"):
        check_version(version)
    check_version("3.51.3")


def test_a_setting_that_does_not_take_is_refused() -> None:
    """G2: a database in memory has no WAL, and says so when it is asked."""
    with pytest.raises(PoolError, match="journal_mode is memory instead of wal"):
        Database(None).apply({"journal_mode": "wal"})


def test_a_file_of_zero_bytes_is_a_new_database(tmp_path: Path) -> None:
    """B81"""
    path = tmp_path / "a.db"
    path.touch()
    filled(path)
    assert path.stat().st_size > 0


def test_a_wal_without_its_database_is_refused(tmp_path: Path) -> None:
    """B81: answered grants may be in it; SQLite would throw it away. Nothing is touched."""
    path = tmp_path / "a.db"
    wal = Path(f"{path}-wal")
    wal.write_bytes(os.urandom(8192))
    for _ in range(2):
        assert f"{wal} still holds changes to them" in refusal(path)
        assert os.listdir(tmp_path) == ["a.db-wal"]
    path.touch()
    assert f"{wal} still holds changes to them" in refusal(path)
    assert wal.stat().st_size == 8192
    wal.write_bytes(b"")
    filled(path)


def test_a_file_of_zero_bytes_that_gateways_have_used_is_refused(tmp_path: Path) -> None:
    """B81: a crash of the file system leaves that; what was granted is gone, and nobody must begin anew."""
    path = tmp_path / "a.db"
    filled(path)
    path.write_bytes(b"")
    assert f"0 bytes long, but {path}-lock-gateway shows that gateways have used it" in refusal(
        path
    )
    assert path.stat().st_size == 0
    path.unlink()
    filled(path)


def test_a_text_file_is_not_a_database(tmp_path: Path) -> None:
    """B81: nor is it touched."""
    path = tmp_path / "a.db"
    path.write_text("just some words\n" * 100)
    assert "not a SQLite database" in refusal(path)
    assert path.read_text() == "just some words\n" * 100
    assert os.listdir(tmp_path) == ["a.db"]


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """B81: neither its mode nor its tables change."""
    path = tmp_path / "a.db"
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    assert "not a coupon database of pktoll" in refusal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["no/such/folder/a.db", "file/a.db", "x" * 300, "folder", "pipe"])
def test_a_place_that_cannot_hold_a_database_is_refused(tmp_path: Path, name: str) -> None:
    """B81, B62: missing folder, a file as folder, too long a name, a folder, a pipe."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert re.search("cannot be opened|not a regular file", refusal(tmp_path / name))


def test_a_name_with_a_nul_is_refused() -> None:
    """B77"""
    with pytest.raises(PoolError, match="NUL"):
        open_store("sqlite:///a\0b.db")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """B81: the kernel's own folder stands in where the test runs as root."""
    folder = tmp_path
    if os.geteuid() == 0:
        folder = Path("/proc")
    else:
        tmp_path.chmod(0o500)
    assert "cannot be opened" in refusal(folder / "a.db")


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """B81, F22: never guess."""
    path = tmp_path / "a.db"
    filled(path)
    edit(path, "INSERT INTO schema_version VALUES (99, 'from the future')")
    assert "schema is version 99, this pktoll knows up to 4; install a newer" in refusal(path)


def test_migrations_are_applied_in_order_and_once() -> None:
    """F22: an old database is brought up step by step."""
    steps = [(5, "0005_a", "CREATE TABLE a (x)"), (6, "0006_b", "ALTER TABLE a RENAME TO b")]
    database = Database(None)
    database.migrate(load_migrations() + steps)
    database.migrate(load_migrations() + steps)
    found = database.run("SELECT version, name FROM schema_version ORDER BY version")
    shipped = [(version, name) for version, name, _ in load_migrations()]
    assert found == [*shipped, (5, "0005_a"), (6, "0006_b")]
    assert database.value("SELECT count(*) FROM b") == 0


def test_a_migration_that_fails_leaves_the_old_schema() -> None:
    """F22: a step and its version are one transaction."""
    database = Database(None)
    with pytest.raises(PoolError, match="refused a statement"):
        database.migrate([(5, "0005_bad", "CREATE TABLE half (x); CREATE TABLE slice (x)")])
    assert database.value("SELECT max(version) FROM schema_version") == 4
    assert database.value("SELECT count(*) FROM sqlite_master WHERE name = 'half'") == 0


def edit(path: Path, *statements: str) -> None:
    """Change a file by hand, with nothing of the schema in the way."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA ignore_check_constraints = 1")
    for statement in statements:
        connection.execute(statement)
    connection.close()


def damage(path: Path, table: str) -> None:
    """Overwrite the first page of a table with zeros and ones."""
    connection = apsw.Connection(str(path))
    page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).get
    size = connection.pragma("page_size")
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\x00\xff" * (size // 2))


@pytest.mark.parametrize("table", ["schema_version", "run", "journal"])
def test_a_damaged_page_that_is_needed_to_open_is_an_error(tmp_path: Path, table: str) -> None:
    """B81"""
    path = tmp_path / "a.db"
    filled(path)
    damage(path, table)
    assert "damaged; restore it from a backup" in refusal(path)


@pytest.mark.parametrize("table", ["coupon", "slice_part", "coupon_in_use"])
def test_a_damaged_page_elsewhere_is_found_by_the_audit(tmp_path: Path, table: str) -> None:
    """B81, F18: tables and indexes."""
    path = tmp_path / "a.db"
    filled(path)
    damage(path, table)
    store = open_store(url(path))
    found = store.audit()
    store.close(clean=False)
    assert found
    assert all("\n" not in line for line in found)


def test_a_damaged_page_met_by_a_grant_takes_the_group_back(tmp_path: Path) -> None:
    """B81, D9: half of a group is never kept."""
    path = tmp_path / "a.db"
    filled(path)
    damage(path, "coupon_in_use")
    store = open_store(url(path))
    store.begin()
    store.open_line("hdd0", "hdo0", 0)
    with pytest.raises(PoolError, match="damaged; restore it from a backup"):
        store.grant("r9", "hdd0", "hdo0", 5)
    with pytest.raises(PoolError, match="no group is open"):
        store.commit()
    store.close(clean=False)


HOLDER = """
import sys
from engine.pool import open_store
store = open_store(sys.argv[1])
store.credit("c1", "hdd1", "bundle", 1 << 30, 0, 100)
store.open_line("hdd1", "hdo1", 5)
store.open_line("hdd1", "hdo2", 0)
store.settle("hdo2", 0, True)
store.begin()
store.grant("r1", "hdd1", "hdo1", 5)
store.grant("r2", "hdd1", "hdo1", 5)
store.commit()
store.settle("hdo1", 7, False)
store.begin()
store.grant("r3", "hdd1", "hdo1", 5)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path, project: Path) -> "subprocess.Popen[str]":
    """Another process that has tmp_path/a.db open and a group under way; it waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url(tmp_path / "a.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_a_second_process_of_the_same_gateway_waits_and_is_then_refused(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    """F6, F20, B84: also by another name of the same file, and the first one is not disturbed."""
    (tmp_path / "link.db").symlink_to(tmp_path / "a.db")
    try:
        for name in ("a.db", "link.db"):
            text = refusal(tmp_path / name, answer_ms=20)
            assert "gateway gateway is running already, in use by another process" in text
        with pytest.raises(PoolUnavailable, match="in use by another process"):
            open_store(url(tmp_path / "a.db"), StoreOptions(gateway="other", answer_ms=20))
        assert holder.poll() is None
    finally:
        end(holder)


def test_a_killed_process_loses_only_what_was_not_committed(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    """D9, G2, G4, F1: kill -9 in the middle of a group."""
    end(holder)
    store = open_store(url(tmp_path / "a.db"))
    assert [s.request_id for s in store.slices("hdo1")] == ["", "r1", "r2"]
    assert [s.used_bytes for s in store.slices("hdo1")] == [5, 2, 0]
    assert [s.on_sim_bytes for s in store.slices("hdo1")] == [0, 0, 0]
    assert store.recovered == [
        f"line hdo1 of contract hdd1: {2 * SLICE - 2} bytes of slice 2, 3 counted as used,"
        " because the run before was not closed"
    ]
    assert store.audit() == []
    store.close()


def test_a_lock_of_another_program_is_waited_for_and_named(tmp_path: Path) -> None:
    """F6: a writer that does not know our lock file still finds SQLite's own."""
    path = tmp_path / "a.db"
    filled(path)
    store = open_store(url(path), StoreOptions(answer_ms=20))
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(PoolUnavailable, match=r"a\.db: in use by another process"):
        store.begin()
    other.execute("ROLLBACK")
    store.begin()
    store.commit()
    assert other.execute("SELECT count(*) FROM slice").get == 2
    other.close()
    store.close()
