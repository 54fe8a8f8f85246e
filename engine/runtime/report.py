"""The figures of an engine as plain values, checked to add up before anybody sees them (I1, I6)."""

from operator import add
from typing import TYPE_CHECKING, Any

from engine import verdict
from engine.errors import LedgerError
from engine.pool.store import ContractBalance
from engine.runtime.collector import put_off
from engine.runtime.report_rows import counted_all, sim_rows, used_all
from engine.words import (
    CONTROL_BYTES,
    CONTROL_DROPS,
    CONTROL_LOST_BYTES,
    CONTROL_LOST_PACKETS,
    CONTROL_PACKETS,
)

if TYPE_CHECKING:
    from engine.runtime.engine import Engine

BYTE_CLASSES = ("charged_bytes", "slow_bytes", "exempt_bytes", "free_bytes", "dropped_bytes")


def snapshot(engine: "Engine") -> dict[str, Any]:
    """totals, drops, sims, contracts, tunnels, and how many SIMs of a subscriber table slept all the time.

    In an order that depends on the input alone.
    """
    engine.quota.note_drained()
    with put_off():
        return _snapshot(engine)


def _snapshot(engine: "Engine") -> dict[str, Any]:
    sims = sim_rows(engine, engine.book.lines)
    totals = _totals(engine)
    _check(engine, totals)
    return {
        "totals": totals,
        "drops": drops(engine),
        "sims": sims,
        "contracts": _contracts(engine),
        "rating_groups": _rating_groups(engine, sims),
        "tunnels": engine.sessions.tunnel_report(),
        **sleeping(engine),
    }


def sleeping(engine: "Engine") -> dict[str, int]:
    """Where there is a subscriber table: how many of its SIMs nothing has named."""
    sleepers = engine.population.sleepers
    return {} if sleepers is None else {"sleeping_sims": sleepers.left}


def brief(engine: "Engine") -> dict[str, Any]:
    """What can be told at once, however many SIMs there are."""
    engine.quota.before_asking()
    return {
        "at_ns": engine.now_ns,
        "packets": int(engine.control[CONTROL_PACKETS]),
        "inner_bytes": int(engine.control[CONTROL_BYTES]),
        "grants": engine.quota.grants,
        "granted_bytes": engine.quota.granted_bytes,
        "lines": len(engine.book.lines),
        "questions": engine.quota.questions,
        "drops": drops(engine),
    }


def _rating_groups(engine: "Engine", sims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same for all SIMs, with the groups' names; groups that carried something, by number."""
    names = dict(zip(engine.groups.ids, engine.groups.names, strict=True))
    found: dict[int, dict[str, Any]] = {}
    for sim in sims:
        for rated in sim["rating_groups"]:
            number = rated["rating_group"]
            total = found.setdefault(number, {"rating_group": number, "name": names[number]})
            for name, value in rated.items():
                if name != "rating_group":
                    total[name] = total.get(name, 0) + value
    return [found[number] for number in sorted(found)]


def _totals(engine: "Engine") -> dict[str, int]:
    totals = counted_all(engine, engine.book.lines, ("packets", "inner_bytes", *BYTE_CLASSES))
    lost_bytes = int(engine.control[CONTROL_LOST_BYTES])
    totals["packets"] += int(engine.control[CONTROL_LOST_PACKETS])
    totals["inner_bytes"] += lost_bytes
    totals["dropped_bytes"] += lost_bytes
    totals["grants"] = engine.quota.grants
    totals["granted_bytes"] = engine.quota.granted_bytes
    return totals


def _check(engine: "Engine", totals: dict[str, int]) -> None:
    """I6 and I1: what came in is what went to a class; what a SIM was given is what it used and holds."""
    seen = int(engine.control[CONTROL_PACKETS]), int(engine.control[CONTROL_BYTES])
    if (totals["packets"], totals["inner_bytes"]) != seen:
        raise LedgerError(
            f"counters: {seen[0]} packets of {seen[1]} bytes came in, but {totals['packets']} of "
            f"{totals['inner_bytes']} are accounted for"
        )
    check_lines(engine)


def check_lines(engine: "Engine") -> None:
    """I1, G3: what a SIM was given is what it used and holds; LedgerError names the line otherwise."""
    lines = engine.book.lines
    balances = engine.quota.held_all(lines)
    given = [line.initial_balance_bytes + line.granted_bytes for line in lines]
    kept = [*map(add, balances, used_all(engine, lines))]
    if given == kept and min(balances, default=0) >= 0:
        return
    for line, balance, mine, left in zip(lines, balances, given, kept, strict=True):
        if mine != left or (balance < 0 and balance + engine.quota.lent_bytes(line) < 0):
            raise LedgerError(f"line {line.code}: given {mine} bytes, but used and held are {left}")


def drops(engine: "Engine") -> dict[str, dict[str, int]]:
    """Dropped packets and bytes by reason, in the order of the codes; reasons that occurred only."""
    tables = [engine.control, *(shard.control for shard in engine.shards.all)]
    found = {}
    for code, name in verdict.NAMES.items():
        at = CONTROL_DROPS + 2 * code
        packets = sum(int(table[at]) for table in tables)
        if packets:
            found[name] = {"packets": packets, "bytes": sum(int(t[at + 1]) for t in tables)}
    return found


def _contracts(engine: "Engine") -> list[dict[str, Any]]:
    nothing = ContractBalance("", 0, 0, 0, 0)
    balances = {balance[0]: balance for balance in engine.quota.store.contracts()}
    return [
        {
            "code": contract.code,
            "plan": contract.plan,
            "credited_bytes": credited,
            "in_database_bytes": in_database,
            "granted_bytes": granted,
            "expired_bytes": expired,
        }
        for contract in engine.book.contracts.values()
        for _, credited, in_database, granted, expired in (balances.get(contract.code, nothing),)
    ]
