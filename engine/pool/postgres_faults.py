"""What can go wrong with a PostgreSQL server, in words for people; the codes are its SQLSTATEs."""

from collections.abc import Mapping
from typing import Any

from engine.errors import PoolError, PoolUnavailable

MET = {"40001", "40P01", "23505"}  # serialization failure, deadlock, unique violation
UNKNOWN_HERE = {
    "0A000",
    "42704",
    "42883",
    "42601",
    "22023",
}  # what a server of another make has not
LOST = {"57P01", "57P02", "57P03", "57P05", "25P03"}  # shutdown, crash, starting up, idle too long
_BUSY = "another process holds these rows for too long; look who, or try again"
FAULTS = {
    "57014": (PoolUnavailable, "somebody cancelled the statement; try again"),
    "55P03": (PoolUnavailable, _BUSY),
    "53100": (PoolUnavailable, "its disk is full; make room, nothing was changed"),
    "53200": (PoolUnavailable, "it is out of memory; nothing was changed"),
    "58030": (PoolUnavailable, "it cannot read or write its files; look at its disk"),
    "25006": (PoolError, "read-only; give the address of the primary server"),
    "42501": (PoolError, "the role lacks a right; grant it on the schema pktoll and its tables"),
    "XX001": (PoolError, "damaged; restore it from a backup"),
    "XX002": (PoolError, "an index is damaged; restore it from a backup"),
}
_REFUSED = (
    ("authentication failed", PoolError, "the password or the role is wrong"),
    (
        "no password supplied",
        PoolError,
        "it asks for a password; put it into ~/.pgpass or $PGPASSWORD",
    ),
    ("no pg_hba.conf entry", PoolError, "it does not let this role in from here (pg_hba.conf)"),
    ('database "', PoolError, "no such database; create it first (createdb)"),
    ('role "', PoolError, "no such role; create it first (createuser)"),
    ("translate host name", PoolUnavailable, "no such host"),
    ("resolve host", PoolUnavailable, "no such host"),
    ("too many clients", PoolUnavailable, "it has no connection left; raise max_connections"),
    (
        "remaining connection slots",
        PoolUnavailable,
        "it has no connection left; raise max_connections",
    ),
)
STARTING = "the database system is"


def words_of(error: BaseException) -> str:
    """The driver's own words in one line."""
    return " ".join(str(error).split())


def place_of(parts: Mapping[str, Any]) -> str:
    """The database's address for messages: never with a password."""
    user = f"{parts['user']}@" if parts.get("user") else ""
    host, port = str(parts.get("host", "")), str(parts.get("port", ""))
    socket = f"?host={host}" if host.startswith("/") else ""
    address = "" if socket else host
    return (
        f"pool postgresql://{user}{address}{port and ':' + port}/{parts.get('dbname', '')}{socket}"
    )


def refusal(where: str, error: BaseException) -> PoolError:
    """Why no connection was made, in one line; PoolUnavailable where trying again may help."""
    words = words_of(error)
    for known, kind, text in _REFUSED:
        if known in words:
            return kind(f"{where}: {text} ({words})")
    text = "no connection; is the server running, and the address right?"
    return PoolUnavailable(f"{where}: {text} ({words})")
