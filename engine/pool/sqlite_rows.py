"""Many rows in one statement: with one row it would spend most of its time on beginning and ending."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Protocol

Value = int | str | None


class Unwritten(Protocol):
    """Rows of the open transaction that are not in their tables yet.

    They are put down before any statement that might look for them.
    """

    def put_down(self) -> None:
        """Write them; nothing happens without any."""

    def forget(self) -> None:
        """A transaction begins: they were of one that was taken back."""


ROWS_AT_ONCE = ((256, 2048), (64, 512), (8, 8), (1, 1))
"""rows of one statement, and from how many rows on it is worth to have one so long: as many of the longest
as there are, the next for what is left. Making a statement of 64 rows takes as long as adding 100 rows."""


@cache
def adding(into: str, width: int, count: int) -> str:
    """The statement that adds `count` rows of `width` columns; `into`: INSERT INTO, table and columns."""
    row = f"({','.join('?' * width)})"
    return f"{into} VALUES {','.join([row] * count)}"


@cache
def updating(update: str, width: int, count: int) -> str:
    """The statement that does an UPDATE for `count` rows of `width` parameters at once.

    `update` has one WHERE, and numbered parameters. For two rows of one key it would only do one.
    """
    if count == 1:
        return update
    for number in range(1, width + 1):
        update = update.replace(f"?{number}", f"column{number}")
    return update.replace("WHERE", f"FROM ({adding('', width, count)}) WHERE")


def flattened(rows: Sequence[tuple[Value, ...]]) -> Iterator[tuple[int, list[list[Value]]]]:
    """The rows, all as long as the first, as (number, parameters of so many rows each), in their order."""
    at, count, width = 0, len(rows), len(rows[0])
    for size, least in ROWS_AT_ONCE:
        first = at
        if count >= least:
            at = count - (count - at) % size
        if at > first:
            flat, step = [*chain.from_iterable(rows[first:at])], size * width
            yield size, [flat[start : start + step] for start in range(0, len(flat), step)]
