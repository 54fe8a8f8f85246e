"""The schema `pktoll` of a PostgreSQL database: its migrations, each carried out once by one process."""

from contextlib import suppress
from importlib import resources

from engine.errors import PoolError
from engine.pool.postgres import Database

LOCK_CLASS = 0x706B746C
"""first half of our advisory locks' keys; the second is a hash of a gateway's name, 0 for the schema"""

_LOCK = f"SELECT pg_catalog.pg_advisory_lock({LOCK_CLASS}, 0)"
_UNLOCK = f"SELECT pg_catalog.pg_advisory_unlock({LOCK_CLASS}, 0)"
_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'pktoll'"
_FOUND = "SELECT coalesce(max(version), 0) FROM pktoll.schema_version"
_STEP = "INSERT INTO schema_version (version, name) VALUES (%(version)s, %(name)s)"
# Every object of the schema, in words: kept when it is made, and held against by the audit.
SHAPE = """
    SELECT 'column ' || table_name || '.' || column_name AS name,
           concat_ws(' ', data_type, is_nullable, column_default, is_identity) AS definition
    FROM information_schema.columns WHERE table_schema = 'pktoll'
    UNION ALL
    SELECT 'constraint ' || r.relname || '.' || c.conname, pg_catalog.pg_get_constraintdef(c.oid)
    FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class r ON r.oid = c.conrelid
    WHERE r.relnamespace = 'pktoll'::regnamespace AND c.contype IN ('c', 'p', 'u', 'f')
    UNION ALL
    SELECT 'index ' || indexname, indexdef FROM pg_catalog.pg_indexes WHERE schemaname = 'pktoll'
    UNION ALL
    SELECT 'trigger ' || r.relname || '.' || t.tgname, concat_ws(' ', t.tgtype, t.tgenabled)
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class r ON r.oid = t.tgrelid
    WHERE r.relnamespace = 'pktoll'::regnamespace AND NOT t.tgisinternal
    UNION ALL
    SELECT 'function ' || proname, prosrc FROM pg_catalog.pg_proc
    WHERE pronamespace = 'pktoll'::regnamespace
"""
_KEEP_SHAPE = f"""
    DELETE FROM schema_object;
    INSERT INTO schema_object (name, definition) {SHAPE}
"""


def load_migrations() -> list[tuple[int, str, str]]:
    """(version, name, script) of every schema change shipped with the package, in order."""
    folder = resources.files("engine.pool") / "migrations" / "postgres"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(n[:4]), n.removesuffix(".sql"), (folder / n).read_text("utf-8")) for n in names]


def _version(db: Database) -> int:
    """Version of the schema in the database, 0 where there is none; PoolError where it is not ours."""
    tables = {name for (name,) in db.run(_TABLES)}
    if tables and "schema_version" not in tables:
        raise PoolError(
            f"{db.where}: its schema pktoll is not a coupon database; give another database"
        )
    return int(db.run(_FOUND)[0][0]) if tables else 0


def migrate(db: Database, migrations: list[tuple[int, str, str]]) -> None:
    """Bring the schema to the newest version, each step in a transaction of its own.

    Of two processes that come at the same time one waits for the other.
    """
    newest = migrations[-1][0]
    found = _version(db)
    if found == newest:
        return
    db.optional(_LOCK)
    try:
        found = _version(db)
        if found > newest:
            raise PoolError(
                f"{db.where}: its schema is version {found}, this pktoll knows up to {newest};"
                " install a newer pktoll"
            )
        for version, name, script in migrations:
            if version > found:
                _carry_out(db, version, name, script)
    finally:
        # A lost connection has given its locks back.
        with suppress(PoolError, AssertionError):
            db.optional(_UNLOCK)


def _carry_out(db: Database, version: int, name: str, script: str) -> None:
    with db.transaction():
        db.run("CREATE SCHEMA IF NOT EXISTS pktoll", patient=True)
        db.run(script, patient=True)
        db.run(_STEP, {"version": version, "name": name})
        db.run(_KEEP_SHAPE)
