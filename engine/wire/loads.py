"""Leaves that load integers from bytes; the caller has checked that the bytes are there.

In kernels those of more than one byte are one instruction (`jit.load`); what is written here is what they
say, and what runs where bounds are checked.
"""

from typing import Any

import numpy as np

from engine.jit import inlined, load


@inlined
def u8(buf: Any, at: Any) -> Any:
    """One byte."""
    return np.int64(buf[np.uint64(at)])


@load(2, "big")
def be16(buf: Any, at: Any) -> Any:
    """Two bytes in network order."""
    return np.int64(buf[np.uint64(at)]) << 8 | np.int64(buf[np.uint64(at + 1)])


@load(4, "big")
def be32(buf: Any, at: Any) -> Any:
    """Four bytes in network order, 0..2^32-1."""
    return (
        np.int64(buf[np.uint64(at)]) << 24
        | np.int64(buf[np.uint64(at + 1)]) << 16
        | np.int64(buf[np.uint64(at + 2)]) << 8
        | np.int64(buf[np.uint64(at + 3)])
    )


@load(8, "big")
def be64(buf: Any, at: Any) -> Any:
    """Eight bytes in network order; the bit pattern is kept, so the result may be negative."""
    return be32(buf, at) << 32 | be32(buf, at + 4)


@load(2, "little")
def le16(buf: Any, at: Any) -> Any:
    """Two bytes, low one first."""
    return np.int64(buf[np.uint64(at + 1)]) << 8 | np.int64(buf[np.uint64(at)])


@load(4, "little")
def le32(buf: Any, at: Any) -> Any:
    """Four bytes, low one first, 0..2^32-1."""
    return (
        np.int64(buf[np.uint64(at + 3)]) << 24
        | np.int64(buf[np.uint64(at + 2)]) << 16
        | np.int64(buf[np.uint64(at + 1)]) << 8
        | np.int64(buf[np.uint64(at)])
    )


@inlined
def file16(buf: Any, at: Any, big: Any) -> Any:
    """Two bytes in the order of the capture file."""
    return be16(buf, at) if big else le16(buf, at)


@inlined
def file32(buf: Any, at: Any, big: Any) -> Any:
    """Four bytes in the order of the capture file."""
    return be32(buf, at) if big else le32(buf, at)
