"""`pktoll service` in a process of its own, packets for it, and raw messages to it."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zmq

from engine import Engine, jit
from engine.layout import PACKET, PACKET_GTP, V4_MAPPED
from engine.service import protocol
from engine.service.client import Client
from engine.service.protocol import Answer, Request
from tests.support.command import environment

NOON_NS = 1_383_620_400 * 1_000_000_000
MS = 1_000_000
ICCID = "8981100000000000001"
IMSI = "440100000000001"
GATEWAY = "203.0.113.1"
TERMINAL = V4_MAPPED | 10 << 24 | 1 << 16 | 1
SERVER = V4_MAPPED | 198 << 24 | 18 << 16 | 80

Frames = list[bytes | memoryview]


@dataclass
class Running:
    """A service process; `service` and `telemetry` are its endpoints."""

    process: "subprocess.Popen[bytes]"
    service: str
    telemetry: str | None

    @property
    def resident_bytes(self) -> int:
        """byte; memory that the process holds."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * 4096

    def stop(self, how: int = signal.SIGTERM) -> tuple[int, str]:
        """End it; (exit status, what it said on standard error)."""
        self.process.send_signal(how)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said.decode()


@contextmanager
def running(folder: Path, *arguments: str, endpoint: str | None = None) -> Iterator[Running]:
    """A service that answers at an ipc path in `folder`, or at `endpoint`, until the end of the block."""
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    endpoint = endpoint or f"ipc://{folder}/service"
    command = [sys.executable, "-m", "engine", "service", "--endpoint", endpoint]
    process = subprocess.Popen(
        [*command, "--ready-file", str(ready), *arguments],
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        while not ready.exists():
            if process.poll() is not None:
                _, said = process.communicate()
                raise AssertionError(f"the service ended: {said.decode()}")
            time.sleep(0.02)
        said = json.loads(ready.read_text())
        yield Running(process, said["service"], said["telemetry"])
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def opened() -> Iterator[Engine]:
    """An engine in memory whose kernels are compiled: a client does not wait for that."""
    jit.warm()
    with Engine.open() as engine:
        yield engine


def attach(client: Client, number: int = 1) -> str:
    """Open the session of SIM `number`, with TEID 2 n - 1 up, 2 n down, and 10.1.0.n."""
    return client.attach(
        iccid=f"{int(ICCID) + number - 1}",
        imsi=f"{int(IMSI) + number - 1}",
        teid_up=2 * number - 1,
        teid_down=2 * number,
        address=f"10.1.0.{number}",
        at_ns=NOON_NS,
    )


def uplink(
    count: int, endpoint: int, length: int = 1_000, at_ns: int = NOON_NS
) -> npt.NDArray[Any]:
    """G-PDUs of the first SIM, 1 ms apart."""
    batch = np.zeros(count, PACKET)
    batch["time_ns"] = at_ns + np.arange(count) * MS
    batch["src_lo"], batch["dst_lo"] = TERMINAL, SERVER
    batch["teid"], batch["endpoint"], batch["flags"] = 1, endpoint, PACKET_GTP
    batch["length"], batch["protocol"] = length, 17
    return batch


def hello(name: str = "b") -> Frames:
    """The message with which a client begins."""
    return protocol.encode_request(Request(name, 0, "hello", {}))


@contextmanager
def raw_socket(endpoint: str, **options: int) -> Iterator["zmq.Socket[bytes]"]:
    """A DEALER socket for messages of any kind; `options` are ZeroMQ's, such as RCVHWM=1."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as raw:
        raw.setsockopt(zmq.LINGER, 0)
        for name, value in options.items():
            raw.setsockopt(getattr(zmq, name), value)
        raw.connect(endpoint)
        yield raw


def exchange(endpoint: str, *messages: Frames) -> list[list[bytes]]:
    """Send raw messages one after another; the answers."""
    answers = []
    with raw_socket(endpoint) as raw:
        for message in messages:
            raw.send_multipart(message)
            assert raw.poll(10_000), "no answer"
            answers.append(raw.recv_multipart())
    return answers


def ask(endpoint: str, *messages: Frames) -> list[Answer]:
    """The same, with the answers read."""
    return [protocol.decode_answer(answer) for answer in exchange(endpoint, *messages)]
