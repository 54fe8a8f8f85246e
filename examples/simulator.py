"""A PGW simulator that embeds the engine: attaches, sends in time order, holds packets until they leave.

The engine says when each packet leaves (`departure_ns`); keeping it until then is the simulator's work.
Here a heap does it, and what comes out is a slow line at exactly its 200 kbit/s.
"""

import heapq

import numpy as np

from engine import Engine
from engine.layout import PACKET, V4_MAPPED

START_NS = 1_383_620_400 * 10**9
SERVER = V4_MAPPED | 198 << 24 | 18 << 16 | 80


def downlink(address: int, count: int, gap_ns: int) -> np.ndarray:
    """Packets of 1 250 bytes (10 000 bits) from a server to a terminal."""
    batch = np.zeros(count, PACKET)
    batch["time_ns"] = START_NS + gap_ns * np.arange(count)
    batch["src_lo"], batch["dst_lo"] = SERVER, V4_MAPPED | 10 << 24 | address
    batch["endpoint"], batch["length"], batch["protocol"] = -1, 1_250, 17
    return batch


def main() -> None:
    """Two SIMs of one contract without a coupon, each offered 1 Mbit/s for two seconds."""
    waiting: list[tuple[int, int]] = []
    left = {1: 0, 2: 0}
    with Engine.open() as gateway:
        for number in left:
            gateway.attach(
                imsi=f"44010000000000{number}",
                contract="hdd00000001",
                plan="minimum-start",
                address=f"10.0.0.{number}",
                at_ns=START_NS,
            )
        offered = np.concatenate([downlink(number, 200, 10**7) for number in left])
        offered = offered[np.argsort(offered["time_ns"], kind="stable")]
        verdicts = gateway.process(offered)
        for packet, verdict in zip(offered, verdicts, strict=True):
            if verdict["departure_ns"]:
                heapq.heappush(waiting, (int(verdict["departure_ns"]), int(packet["dst_lo"]) & 255))
        while waiting:
            departure_ns, number = heapq.heappop(waiting)
            if departure_ns < START_NS + 2 * 10**9:
                left[number] += 1
        totals = gateway.totals()
    for number, packets in left.items():
        print(f"SIM {number}: {packets} of 200 packets left within 2 s")
    print(f"dropped from full queues: {totals['drops'].get('queue', {'packets': 0})['packets']}")


if __name__ == "__main__":
    main()
