"""What both stores refuse about lines and requests, in the same words (F9, I3, I4, L4)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from engine.errors import PoolError
from engine.pool.bounds import are_plain, are_within, checked_bytes, checked_text
from engine.pool.records import BYTES_MAX

Opening = tuple[str, str, int]
"""contract, line, balance of a line that is to be opened"""


class Known(Protocol):
    """A line that the database knows."""

    @property
    def contract(self) -> str: ...


Line = TypeVar("Line", bound=Known)


def removed(line: str) -> PoolError:
    """A line that is gone for good (L4)."""
    return PoolError(f"line {line}: was removed for good (L4); give it a new code")


def open_elsewhere(line: str, gateway: str) -> PoolError:
    """A line that another gateway has open, whose lease lasts (I4)."""
    return PoolError(
        f"line {line}: open at gateway {gateway}; end its session there, or wait until"
        " that gateway has been silent for the length of its lease"
    )


def checked_openings(lines: Sequence[Opening]) -> list[Opening]:
    """The same with plain figures; PoolError for a name or a balance that cannot be."""
    if lines:
        contracts, codes, balances = zip(*lines, strict=True)
        plain = are_plain(contracts) and are_plain(codes)
        if plain and are_within(balances, 0, BYTES_MAX):
            return list(lines)
    return [
        (
            checked_text("contract", contract),
            checked_text("line", line),
            checked_bytes(f"line {line}: balance", balance),
        )
        for contract, line, balance in lines
    ]


def new_openings(
    asked: Sequence[Opening], known: Mapping[str, Line], check: Callable[[Line], None]
) -> dict[str, Opening]:
    """Lines that are new, each once; PoolError, before anything is written, for what is refused.

    `check` raises it for a line of `known` that may not be opened.
    """
    new: dict[str, Opening] = {}
    for opening in asked:
        contract, line, _ = opening
        row = known.get(line)
        if row is None:
            owner = new.setdefault(line, opening)[0]
        else:
            owner = row.contract
            check(row)
        if owner != contract:
            raise PoolError(f"line {line}: belongs to contract {owner}, not to {contract}")
    return new


def check_repeated(
    request: object,
    asked: tuple[object, object],
    known: tuple[object, object],
    runs: tuple[object, int],
    of_this_opening: object,
) -> None:
    """PoolError for a request that was granted and may not be answered again (I3, F9).

    `asked`, `known`: line and contract; `runs`: the run in which it was granted, and this one.
    """
    if asked != known:
        raise PoolError(
            f"request {request}: granted to line {known[0]} of contract {known[1]},"
            f" now asked for line {asked[0]} of contract {asked[1]}"
        )
    if runs[0] != runs[1]:
        raise PoolError(
            f"request {request}: granted in run {runs[0]}, this is run {runs[1]};"
            " its slice is in the balance that open_line returned, make a new request id"
        )
    if not of_this_opening:
        raise PoolError(
            f"request {request}: line {known[0]} was open elsewhere since; its slice is in the"
            " balance that open_line returns, make a new request id"
        )
