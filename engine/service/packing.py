"""msgpack with strict limits: a message cannot cost more than it weighs, or mean two things."""

from typing import Any

import msgpack

from engine.errors import UsageError

MESSAGE_BYTES_MAX = 1 << 20
NESTING_MAX = 16
STRING_BYTES_MAX = 4_096
ARRAY_ITEMS_MAX = 4_096
MAP_ITEMS_MAX = 256
INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1

Value = None | bool | int | str | bytes | list[Any] | dict[str, Any]


def unpack(data: bytes, trusted: bool = False) -> Value:
    """One value from `data`; UsageError where it is not exactly one, or is outside the limits.

    Refused: floats, extension types (timestamps, too), integers beyond int64, keys that are not
    strings or come twice, invalid UTF-8, trailing bytes. `trusted` lifts the limits on sizes, for
    answers of a server that the caller chose.
    """
    limits = {}
    if not trusted:
        if len(data) > MESSAGE_BYTES_MAX:
            raise UsageError(f"message of {len(data)} bytes, more than {MESSAGE_BYTES_MAX}")
        # A claimed length is allocated before its items are read: limits keep it small.
        limits = {
            "max_str_len": STRING_BYTES_MAX,
            "max_bin_len": STRING_BYTES_MAX,
            "max_array_len": ARRAY_ITEMS_MAX,
            "max_map_len": MAP_ITEMS_MAX,
            "max_ext_len": 0,
        }
    try:
        value = msgpack.unpackb(
            data, raw=False, strict_map_key=True, object_pairs_hook=_no_key_twice, **limits
        )
    except (ValueError, msgpack.UnpackException) as error:
        what = str(error) or type(error).__name__
        raise UsageError(f"not a msgpack message: {what:.200}") from None
    _check(value)
    return value  # type: ignore[no-any-return]


def pack(value: Value) -> bytes:
    """The msgpack form of a value that `unpack` accepts."""
    return msgpack.packb(value, use_bin_type=True)  # type: ignore[no-any-return]


def _no_key_twice(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one map")
    return result


def _check(value: Any) -> None:
    """Walk the value without recursion; UsageError at the first part that is not allowed."""
    waiting = [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        kind = type(item)
        if kind is int:
            if not INT_MIN <= item <= INT_MAX:
                raise UsageError(f"integer {item} is beyond 64 bits, signed")
        elif kind is list or kind is dict:
            if depth > NESTING_MAX:
                raise UsageError(f"nested deeper than {NESTING_MAX}")
            waiting.extend((inner, depth + 1) for inner in _inner(item))
        elif kind not in (str, bytes, bool, type(None)):
            raise UsageError(f"{kind.__name__} is not allowed; use integers, strings and bytes")


def _inner(item: list[Any] | dict[Any, Any]) -> list[Any]:
    if isinstance(item, list):
        return item
    for key in item:
        if type(key) is not str:
            raise UsageError("a key of a map must be a string")
    return list(item.values())
