"""The same engine in another process, over ZeroMQ: started here, used, and asked to stop."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from engine.layout import PACKET, PACKET_GTP, V4_MAPPED
from engine.service.client import Client

NOON_NS = 1_383_620_400 * 10**9
MS = 10**6


def batches(endpoint: int, count: int) -> "list[np.ndarray]":
    """Ten batches, one after the other."""
    rows = np.zeros(10 * count, PACKET)
    rows["time_ns"] = NOON_NS + MS * np.arange(len(rows))
    rows["src_lo"] = V4_MAPPED | 10 << 24 | 1 << 16 | 1
    rows["dst_lo"] = V4_MAPPED | 198 << 24 | 18 << 16 | 80
    rows["flags"], rows["teid"], rows["endpoint"] = PACKET_GTP, 65536, endpoint
    rows["length"], rows["protocol"] = 500, 17
    return list(rows.reshape(10, count))


def use(service: str) -> None:
    """What a program does with a service that somebody started."""
    with Client(service) as gateway:
        line = gateway.attach(
            imsi="440100000000001",
            teid_up=65536,
            address="10.1.0.1",
            gateway="203.0.113.1",
            at_ns=NOON_NS,
        )
        endpoint = gateway.endpoint("203.0.113.1")
        charged = sum(
            int(verdicts["charged_bytes"].sum())
            for verdicts in gateway.process_many(batches(endpoint, 100))
        )
        print(f"charged: {charged} bytes, {gateway.usage(line)['balance_bytes']} left")


def main() -> None:
    """Start `pktoll service`, wait until it is ready, use it, end it."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder, "ready.json")
        command = [sys.executable, "-m", "engine", "service", "-q"]
        command += ["--endpoint", f"ipc://{folder}/service", "--ready-file", str(ready)]
        process = subprocess.Popen(command)
        try:
            while not ready.exists() and process.poll() is None:
                time.sleep(0.05)
            use(json.loads(ready.read_text())["service"])
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait()
    print(f"ended with status {status}")


if __name__ == "__main__":
    main()
