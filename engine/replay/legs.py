"""What became of the frames of a batch: those that left, and those that were dropped, and why."""

from typing import Any

import numpy as np

from engine import verdict
from engine.jit import i8s, inlined, kernel, leaf, rows, u1s
from engine.layout import FRAME, VERDICT, WORK, WORK_CODE_SHIFT, WORK_DOWNLINK
from engine.wire.ip import V6_BYTES
from engine.wire.loads import be16, u8

NEXT_FRAME = 0
"""in, out: first frame that nothing was said of yet"""
FIRST_PACKET = 1
"""in: index in the batch of the first packet of the piece at hand"""
STRIP = 2
"""in: 1 where only the inner packet of a frame leaves"""
LEFT = 3
"""in, out: rows in `left`"""
DROPPED = 4
"""in, out: rows in `dropped`"""
WORDS = 5

DIRECTION_SHIFT = 8
LINE_SHIFT = 16
"""reasons: the code, the direction, and from here on the SIM row + 1 (0: nobody's packet)"""


@leaf
def strip(frame: Any, data: Any) -> None:
    """Leave of a frame the IP packet that is charged, by that packet's own length.

    A length of 0 (segmentation offload) stands for all that follows.
    """
    offset = np.int64(frame["payload"])
    at = np.int64(frame["start"]) + offset
    if u8(data, at) >> 4 == 6:
        length = V6_BYTES + be16(data, at + 4)
    else:
        length = be16(data, at + 2)
    if length == 0:
        length = np.int64(frame["wire"]) - offset
    frame["start"] = at
    frame["held"] = min(np.int64(frame["held"]) - offset, length)
    frame["wire"] = length


@inlined
def let_out(frame: Any, departure_ns: Any, data: Any, left: Any, words: Any) -> None:
    """Note that a frame left, if anybody wants to know."""
    if left.size:
        count = words[LEFT]
        left[count] = frame
        left[count]["time_ns"] = departure_ns
        if words[STRIP]:
            strip(left[count], data)
        words[LEFT] = count + 1


@inlined
def drop(frame: Any, reason: Any, dropped: Any, reasons: Any, words: Any) -> None:
    """Note that a frame was dropped, if anybody wants to know."""
    if dropped.size:
        count = words[DROPPED]
        dropped[count] = frame
        reasons[count] = reason
        words[DROPPED] = count + 1


@kernel(rows(WORK), rows(VERDICT), rows(FRAME), u1s, rows(FRAME), rows(FRAME), i8s, i8s)
def sort_legs(
    work: Any,
    lost: Any,
    frames: Any,
    data: Any,
    left: Any,
    dropped: Any,
    reasons: Any,
    words: Any,
) -> None:
    """Sort the frames of one piece of a batch: those that left (`time_ns`: departure), and those dropped.

    work: WORK rows as metered, in packet order; lost: VERDICT[n] of the piece's packets, whose code
    says why one of nobody was dropped; frames: those of the whole batch, which lie in `data`. A packet
    between two SIMs has two legs, each with a row of its own. An empty `left` or `dropped` wants nothing.
    """
    first = words[FIRST_PACKET]
    end = first + len(lost)
    at = words[NEXT_FRAME]
    w = 0
    while at < len(frames) and np.int64(frames[at]["packet"]) < end:
        frame = frames[at]
        packet = np.int64(frame["packet"]) - first
        at += 1
        if packet + first < 0:
            drop(frame, np.int64(frame["code"]), dropped, reasons, words)
        elif w == len(work) or np.int64(work[w]["packet"]) != packet:
            code = np.int64(lost[packet]["code"])
            if code:
                drop(frame, code, dropped, reasons, words)
        while w < len(work) and np.int64(work[w]["packet"]) == packet:
            leg = work[w]
            flags = np.int64(leg["flags"])
            code = flags >> WORK_CODE_SHIFT
            if code <= verdict.FORWARD_MAX:
                let_out(frame, np.int64(leg["time_ns"]), data, left, words)
            else:
                way = (flags & WORK_DOWNLINK) << DIRECTION_SHIFT
                line = (np.int64(leg["row"]) + 1) << LINE_SHIFT
                drop(frame, code | way | line, dropped, reasons, words)
            w += 1
    words[NEXT_FRAME] = at
