"""The two ends that `bench.tc` runs inside its namespaces: a sender and a receiver.

python -m bench.netns send SECONDS ORDERS     keeps the queue of every link filled
python -m bench.netns receive                 time stamps of every frame, when told to stop
"""

import json
import select
import socket
import struct
import sys
import threading
import time
from typing import Any

ETH_P_IP = 0x0800
SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33
SO_SNDBUFFORCE = 32
SOL_PACKET, PACKET_STATISTICS = 263, 6
RECEIVE_BYTES = 64 << 20
UDP_PORT = 9
HEADERS_BYTES = 28
"""byte; IPv4 and UDP"""
SLOW_MAX_BPS = 1_000_000
SEND_BYTES = {True: 32_768, False: 1_000_000}
"""byte; what a sender may have under way, at slow rates and at others: less than the queue holds, so that
it waits for the queue instead of filling it to the brim"""
BLOCKED = struct.pack("ll", 0, 200_000)
"""struct timeval; how long a send waits before the sender looks at the clock again"""


def send(seconds: float, orders: list[dict[str, Any]]) -> None:
    """UDP to every link, each from a thread that sleeps while its queue is full."""
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=_fill, args=(order, end)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _fill(order: dict[str, Any], end: float) -> None:
    payload = bytes(order["size_bytes"] - HEADERS_BYTES)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        room = SEND_BYTES[order["rate_bps"] <= SLOW_MAX_BPS]
        out.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, room)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, BLOCKED)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, order["near"].encode())
        out.connect((order["host"], UDP_PORT))
        while time.monotonic() < end:
            try:
                out.send(payload)
            except BlockingIOError:
                continue


def receive() -> None:
    """Every IPv4 frame with the kernel's time stamp, until a line comes in; then all as JSON."""
    seen: dict[str, list[tuple[int, int]]] = {}
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([sock, sys.stdin], [], [])
            if sock in ready:
                frame, extra, _, where = sock.recvmsg(64, 64)
                seconds, ns = struct.unpack("ll", extra[0][2][:16])
                if frame[23] == socket.IPPROTO_UDP:
                    size = int.from_bytes(frame[16:18], "big")
                    seen.setdefault(where[0], []).append((seconds * 10**9 + ns, size))
            elif sys.stdin in ready:
                break
        _, lost = struct.unpack("II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    if lost:
        raise SystemExit(f"bench: the receiver was too slow for {lost} frames")
    print(json.dumps(seen))


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(float(sys.argv[2]), json.loads(sys.argv[3]))
    else:
        receive()
