"""What may be asked of the service: every verb with its arguments, their types and ranges."""

import unicodedata
from typing import Any, NamedTuple

from engine.errors import UsageError
from engine.service import packing

TEXT_CHARACTERS_MAX = 64
TEXTS_MAX = 8
PAGE_ROWS_MAX = 256
"""rows of SIMs in one answer to `snapshot`: some 200 kB"""
COUPONS_MAX = 1_000
TIME_NS_MAX = 1 << 62
"""the year 2116: a time beyond it is a mistake, and engines count days and months one by one"""


class Field(NamedTuple):
    """An argument of a verb: what it may be, its range (of an integer), whether it must be there."""

    kinds: tuple[type, ...]
    required: bool = False
    low: int = 0
    high: int = packing.INT_MAX


_AT_NS = Field((int,), False, 0, TIME_NS_MAX)
_NAME = Field((str,))
_NAMED = Field((str,), True)
_SWITCH = Field((bool,))
_TEID = Field((int,), False, 1, (1 << 32) - 1)

VERBS: dict[str, dict[str, Field]] = {
    "hello": {},
    "attach": {
        "at_ns": _AT_NS,
        "imsi": _NAME,
        "iccid": _NAME,
        "msisdn": _NAME,
        "contract": _NAME,
        "plan": _NAME,
        "teid_up": _TEID,
        "teid_down": _TEID,
        "address": Field((str, list)),
        "gateway": _NAME,
        "peer": _NAME,
        "rat": _NAME,
        "known_only": _SWITCH,
    },
    "detach": {"line": _NAMED, "at_ns": _AT_NS},
    "switch": {"line": _NAMED, "on": Field((bool,), True), "at_ns": _AT_NS},
    "charge": {
        "contract": _NAMED,
        "coupons": Field((int,), True, 1, COUPONS_MAX),
        "at_ns": _AT_NS,
    },
    "suspend": {"line": _NAMED, "at_ns": _AT_NS},
    "resume": {"line": _NAMED, "at_ns": _AT_NS},
    "replace": {"line": _NAMED, "iccid": _NAMED, "imsi": _NAME, "at_ns": _AT_NS},
    "endpoint": {"address": _NAMED},
    "process": {},
    "usage": {"line": _NAMED},
    "totals": {},
    "snapshot": {
        "after": Field((int,), False),
        "limit": Field((int,), False, 1, PAGE_ROWS_MAX),
    },
    "close": {},
}

LOOKS = frozenset({"hello", "usage", "totals", "snapshot", "close"})
"""verbs without an effect on the engine: carried out however often they are asked, nothing is kept"""


CONTROL = LOOKS | {"switch", "charge", "suspend", "resume", "replace"}
"""verbs for a gateway whose sessions and packets come over GTP: it would not know of others made here"""


def check_args(args: dict[str, Any], fields: dict[str, Field]) -> None:
    """UsageError that names the first argument that is not as the verb wants it."""
    for name, value in args.items():
        field = fields.get(name)
        if field is None:
            raise UsageError(f"args.{name[:80]}: unknown; allowed: {', '.join(fields) or 'none'}")
        if type(value) not in field.kinds:
            raise UsageError(f"args.{name}: must be {words(field)}")
        if type(value) is int and not field.low <= value <= field.high:
            raise UsageError(f"args.{name}: must be from {field.low} to {field.high}")
        if type(value) is str:
            check_text(f"args.{name}", value)
        if type(value) is list:
            _check_texts(f"args.{name}", value)
    for name, field in fields.items():
        if field.required and name not in args:
            raise UsageError(f"args.{name}: is missing")


def words(field: Field) -> str:
    """The types of an argument, as a message and the protocol's page name them."""
    return " or ".join("list of str" if kind is list else kind.__name__ for kind in field.kinds)


def _check_texts(name: str, values: list[Any]) -> None:
    if len(values) > TEXTS_MAX:
        raise UsageError(f"{name}: at most {TEXTS_MAX} of them")
    for value in values:
        check_text(name, value)


def check_text(name: str, value: Any) -> None:
    """Names go into reports and logs: short, printable, and no two of them that look the same.

    Control and direction characters are refused, and marks that combine with the letter before.
    """
    if type(value) is not str or not 0 < len(value) <= TEXT_CHARACTERS_MAX:
        raise UsageError(f"{name}: must be a string of 1 to {TEXT_CHARACTERS_MAX} characters")
    if not value.isprintable() or any(map(unicodedata.combining, value)):
        raise UsageError(f"{name}: must be printable characters only")
