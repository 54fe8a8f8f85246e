"""From verdicts to what goes out now; what has a later departure waits in slots of its own.

Departures of one SIM, direction and queue never go back, so letting the earliest out first, and equal
ones as they came, keeps their order. What has waited goes out before what has just come.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine import verdict
from engine.jit import i8, i8s, i8s2, inlined, kernel, leaf, move_bytes, rows, tuple_of, unsigned
from engine.layout import DOWNLINK, PACKET, UPLINK, VERDICT
from engine.live_layout import (
    BEARER,
    HELD,
    PIECE,
    PLANE_BACKLOG,
    PLANE_CLOSED_BYTES,
    PLANE_CLOSED_PACKETS,
    PLANE_FREE_LARGE,
    PLANE_FREE_SMALL,
    PLANE_HEAP,
    PLANE_HELD_MAX,
    PLANE_HOLD,
    PLANE_LATE_MAX_NS,
    PLANE_NOW_NS,
    PLANE_ORDER,
    PLANE_OUT_DOWN,
    PLANE_OUT_UP,
    PLANE_ROWS,
    PLANE_TAKEN,
    PLANE_UNHELD_BYTES,
    PLANE_UNHELD_PACKETS,
    PLANE_UPLINKS,
)

Rows = npt.NDArray[Any]

SMALL_BYTES = 2048
LARGE_BYTES = 1 << 16
"""sizes of slots: nearly all packets are small ones, and a slot takes memory when it is first used"""
SMALL_PER_LARGE = 256
NEVER_NS = (1 << 63) - 1

HOLD = tuple_of(i8s2, rows(HELD), i8s, i8s, i8s)
"""heap: int64[n, 3], departure, order and slot; HELD by slot; free small and large slots; slots in use by
what is being sent"""


@inlined
def before(heap: Any, a: Any, b: Any) -> Any:
    """Whether heap entry a leaves before entry b."""
    a, b = unsigned(a), unsigned(b)
    if heap[a, 0] != heap[b, 0]:
        return heap[a, 0] < heap[b, 0]
    return heap[a, 1] < heap[b, 1]


@inlined
def exchange(heap: Any, a: Any, b: Any) -> None:
    """Exchange two heap entries."""
    a, b = unsigned(a), unsigned(b)
    for column in range(3):
        word = heap[a, column]
        heap[a, column] = heap[b, column]
        heap[b, column] = word


@leaf
def push(heap: Any, plane: Any, departure_ns: Any, slot: Any) -> None:
    """Enter a slot into the heap."""
    at = plane[PLANE_HEAP]
    plane[PLANE_HEAP] = at + 1
    heap[at, 0] = departure_ns
    heap[at, 1] = plane[PLANE_ORDER]
    heap[at, 2] = slot
    plane[PLANE_ORDER] += 1
    while at > 0 and before(heap, at, (at - 1) // 2):
        exchange(heap, at, (at - 1) // 2)
        at = (at - 1) // 2


@leaf
def pop(heap: Any, plane: Any) -> Any:
    """Take the slot with the earliest departure out of the heap."""
    slot = heap[0, 2]
    last = plane[PLANE_HEAP] - 1
    plane[PLANE_HEAP] = last
    exchange(heap, np.int64(0), last)
    at = np.int64(0)
    while True:
        least = at
        for child in range(2 * at + 1, min(2 * at + 3, last)):
            if before(heap, child, least):
                least = np.int64(child)
        if least == at:
            return slot
        exchange(heap, at, least)
        at = least


@inlined
def slot_address(slot: Any, smalls: Any, plane: Any) -> Any:
    """Address of a slot; the large ones lie behind the `smalls` small ones."""
    if slot < smalls:
        return plane[PLANE_HOLD] + slot * SMALL_BYTES
    return plane[PLANE_HOLD] + smalls * SMALL_BYTES + (slot - smalls) * LARGE_BYTES


@inlined
def free_slot(length: Any, hold: Any, plane: Any) -> Any:
    """A slot for a packet of so many bytes, or -1."""
    if length <= SMALL_BYTES and plane[PLANE_FREE_SMALL] > 0:
        plane[PLANE_FREE_SMALL] -= 1
        return hold[2][unsigned(plane[PLANE_FREE_SMALL])]
    if plane[PLANE_FREE_LARGE] > 0:
        plane[PLANE_FREE_LARGE] -= 1
        return hold[3][unsigned(plane[PLANE_FREE_LARGE])]
    return np.int64(-1)


@leaf
def keep(piece: Any, departure_ns: Any, direction: Any, bearer: Any, hold: Any, plane: Any) -> None:
    """Copy a packet to a slot, where it waits; without a free one it is lost, and counted as that."""
    length = np.int64(piece["length"])
    slot = free_slot(length, hold, plane)
    if slot < 0:
        plane[PLANE_UNHELD_PACKETS] += 1
        plane[PLANE_UNHELD_BYTES] += length
        return
    held = hold[1][unsigned(slot)]
    held["length"] = length
    held["bearer"] = np.int64(piece["bearer"])
    held["generation"] = np.int64(bearer["generation"])
    held["direction"] = direction
    bearer["held"] += 1
    move_bytes(slot_address(slot, len(hold[2]), plane), np.int64(piece["address"]), length)
    push(hold[0], plane, departure_ns, slot)
    plane[PLANE_HELD_MAX] = max(plane[PLANE_HELD_MAX], plane[PLANE_HEAP])


@inlined
def hand_out(out: Any, plane: Any, counter: Any, address: Any, length: Any, bearer: Any) -> None:
    """Append a packet to a list of what goes out now."""
    piece = out[unsigned(plane[counter])]
    plane[counter] += 1
    piece["address"] = address
    piece["length"] = length
    piece["bearer"] = bearer


@kernel(i8, HOLD, rows(BEARER), rows(PIECE), rows(PIECE), i8s)
def let_go(room: Any, hold: Any, bearers: Any, out_up: Any, out_down: Any, plane: Any) -> None:
    """Hand out what is due by plane[PLANE_NOW_NS], at most `room` packets (then PLANE_BACKLOG is set).

    Their slots are in use until `reclaim`. What waited for a bearer that has ended is not sent.
    """
    heap, held, smalls, _, taken = hold
    now_ns = plane[PLANE_NOW_NS]
    plane[PLANE_BACKLOG] = 0
    while plane[PLANE_HEAP] > 0 and heap[0, 0] <= now_ns:
        if plane[PLANE_TAKEN] >= room:
            plane[PLANE_BACKLOG] = 1
            return
        late_ns = now_ns - heap[0, 0]
        slot = pop(heap, plane)
        taken[unsigned(plane[PLANE_TAKEN])] = slot
        plane[PLANE_TAKEN] += 1
        packet = held[unsigned(slot)]
        length = np.int64(packet["length"])
        index = np.int64(packet["bearer"])
        bearer = bearers[unsigned(index)]
        if np.int64(bearer["generation"]) != np.int64(packet["generation"]):
            plane[PLANE_CLOSED_PACKETS] += 1
            plane[PLANE_CLOSED_BYTES] += length
            continue
        bearer["held"] -= 1
        plane[PLANE_LATE_MAX_NS] = max(plane[PLANE_LATE_MAX_NS], late_ns)
        address = slot_address(slot, len(smalls), plane)
        if np.int64(packet["direction"]) == DOWNLINK:
            hand_out(out_down, plane, PLANE_OUT_DOWN, address, length, index)
        else:
            hand_out(out_up, plane, PLANE_OUT_UP, address, length, index)


@kernel(HOLD, i8s)
def reclaim(hold: Any, plane: Any) -> None:
    """What was handed out has been sent: its slots are free again."""
    _, _, smalls, larges, taken = hold
    for k in range(plane[PLANE_TAKEN]):
        slot = taken[unsigned(k)]
        if slot < len(smalls):
            smalls[unsigned(plane[PLANE_FREE_SMALL])] = slot
            plane[PLANE_FREE_SMALL] += 1
        else:
            larges[unsigned(plane[PLANE_FREE_LARGE])] = slot
            plane[PLANE_FREE_LARGE] += 1
    plane[PLANE_TAKEN] = 0


@kernel(rows(PACKET), rows(PIECE), rows(BEARER), i8s)
def refuse_waiting(packets: Any, pieces: Any, bearers: Any, plane: Any) -> None:
    """Before the engine sees them: drop packets of bearers that have some waiting already (DROP_HOLD).

    Done while room to wait is short, so that nothing is charged that could not be kept, and bearers that
    are within their rate are served as ever.
    """
    for k in range(plane[PLANE_ROWS]):
        row = packets[unsigned(k)]
        bearer = bearers[unsigned(np.int64(pieces[unsigned(k)]["bearer"]))]
        if np.int64(row["code"]) == verdict.NONE and np.int64(bearer["held"]) > 0:
            row["code"] = verdict.DROP_HOLD


@kernel(rows(VERDICT), rows(PIECE), rows(BEARER), HOLD, rows(PIECE), rows(PIECE), i8s)
def sort_out(
    verdicts: Any, pieces: Any, bearers: Any, hold: Any, out_up: Any, out_down: Any, plane: Any
) -> None:
    """Hand out what may leave now and keep what leaves later; the rest was dropped.

    The first plane[PLANE_UPLINKS] rows go up, the others down.
    """
    now_ns = plane[PLANE_NOW_NS]
    for k in range(plane[PLANE_ROWS]):
        v = verdicts[unsigned(k)]
        if np.int64(v["code"]) > verdict.FORWARD_MAX:
            continue
        piece = pieces[unsigned(k)]
        departure_ns = np.int64(v["departure_ns"])
        index = np.int64(piece["bearer"])
        bearer = bearers[unsigned(index)]
        direction = np.int64(UPLINK if k < plane[PLANE_UPLINKS] else DOWNLINK)
        late = plane[PLANE_BACKLOG] != 0 and np.int64(bearer["held"]) > 0
        if departure_ns > now_ns or late:
            keep(piece, departure_ns, direction, bearer, hold, plane)
            continue
        length = np.int64(piece["length"])
        if direction == DOWNLINK:
            hand_out(out_down, plane, PLANE_OUT_DOWN, np.int64(piece["address"]), length, index)
        else:
            hand_out(out_up, plane, PLANE_OUT_UP, np.int64(piece["address"]), length, index)


class Hold:
    """The room for packets that wait: `packets` small slots, and a large one for every 256 of them."""

    def __init__(self, packets: int, plane: Rows) -> None:
        larges = max(1, packets // SMALL_PER_LARGE)
        count = packets + larges
        self._room = np.zeros(packets * SMALL_BYTES + larges * LARGE_BYTES, dtype=np.uint8)
        self._heap = np.zeros((count, 3), dtype=np.int64)
        self.tables: tuple[Rows, ...] = (
            self._heap,
            np.zeros(count, dtype=HELD),
            np.arange(packets, dtype=np.int64)[::-1].copy(),
            np.arange(packets, count, dtype=np.int64)[::-1].copy(),
            np.zeros(count, dtype=np.int64),
        )
        self._plane = plane
        self.packets = packets
        plane[PLANE_HOLD] = self._room.ctypes.data
        plane[PLANE_FREE_SMALL], plane[PLANE_FREE_LARGE] = packets, larges

    def __len__(self) -> int:
        return int(self._plane[PLANE_HEAP])

    @property
    def next_ns(self) -> int:
        """ns since 1970; the earliest departure, NEVER_NS where nothing waits."""
        return int(self._heap[0, 0]) if len(self) else NEVER_NS

    def is_short(self, packets: int) -> bool:
        """Whether so many packets more could leave too little room (an eighth is kept free)."""
        return int(self._plane[PLANE_FREE_SMALL]) < packets + self.packets // 8
