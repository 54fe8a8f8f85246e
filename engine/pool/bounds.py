"""What may be said to a coupon store: names and figures that fit any database, or PoolError."""

import operator
from collections.abc import Sequence

from engine.errors import PoolError
from engine.pool.store import (
    BYTES_MAX,
    CODE_CHARACTERS_MAX,
    KINDS,
    REQUEST_CHARACTERS_MAX,
    Credit,
)

BOUGHT = "buy:"
"""what the names of coupons that were bought begin with"""
_TIME_LIMIT = 1 << 63


def checked_text(what: str, text: str, characters_max: int = CODE_CHARACTERS_MAX) -> str:
    """A name fit for messages and for any database: no control or invisible characters."""
    if not 1 <= len(text) <= characters_max or not text.isprintable():
        raise PoolError(f"{what} {text[:80]!r}: must be 1 to {characters_max} printable characters")
    return text


def checked_bytes(what: str, amount: int, least: int = 0) -> int:
    """An amount as a plain int (numpy's are taken as well) within bounds that no sum overflows."""
    number = operator.index(amount)
    if not least <= number <= BYTES_MAX:
        raise PoolError(f"{what} {number}: must be {least} to {BYTES_MAX} bytes")
    return number


def checked_time(what: str, ns: int) -> int:
    """An instant as a plain int that fits in int64."""
    number = operator.index(ns)
    if not -_TIME_LIMIT <= number < _TIME_LIMIT:
        raise PoolError(f"{what} {number}: must be ns since 1970 that fit in 64 bits")
    return number


def are_plain(texts: Sequence[str], characters_max: int = CODE_CHARACTERS_MAX) -> bool:
    """Whether every one is a name as `checked_text` lets it pass; much quicker than one by one."""
    fit = all(texts) and max(map(len, texts), default=1) <= characters_max
    return fit and "".join(texts).isprintable()


def are_within(numbers: Sequence[int], least: int, most: int) -> bool:
    """Whether every one is a plain int within bounds."""
    return {int}.issuperset(map(type, numbers)) and (
        not numbers or (least <= min(numbers) and max(numbers) <= most)
    )


def are_times(instants: Sequence[int]) -> bool:
    """Whether every one is a plain int that fits in int64."""
    return are_within(instants, -_TIME_LIMIT, _TIME_LIMIT - 1)


def checked_credits(credits: Sequence[Credit]) -> Sequence[Credit]:
    """`checked_credit` of each, in bulk where there is nothing to find."""
    if credits:
        names, contracts, kinds, amounts, *times = zip(*credits, strict=True)
        if (
            are_plain(names, REQUEST_CHARACTERS_MAX)
            and BOUGHT not in "".join(names)
            and are_plain(contracts)
            and set(KINDS).issuperset(kinds)
            and are_within(amounts, 1, BYTES_MAX)
            and all(map(are_times, times))
        ):
            return credits
    return [checked_credit(credit) for credit in credits]


def checked_credit(credit: Credit) -> Credit:
    """The same with plain figures; PoolError for a name or a figure that cannot be."""
    name, contract, kind, amount, from_ns, until_ns = credit
    checked_text("credit", name, REQUEST_CHARACTERS_MAX)
    if name.startswith(BOUGHT):
        raise PoolError(f"credit {name}: names that begin with {BOUGHT} are of purchases")
    checked_text("contract", contract)
    if kind not in KINDS:
        raise PoolError(f"credit {name}: kind {kind!r} must be one of {', '.join(KINDS)}")
    return Credit(
        name,
        contract,
        kind,
        checked_bytes(f"credit {name}:", amount, 1),
        checked_time("credited_ns", from_ns),
        checked_time("expires_ns", until_ns),
    )
