"""The command `pktoll` in this process and in one of its own, and small captures to give to it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.cli.main import main
from tests.support import packets

PROJECT = Path(__file__).resolve().parents[2]
NET = "10.1.0.0/16"
MS = 10**6


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


def environment(**changes: str) -> dict[str, str]:
    """The environment of a process of its own: the project on its path, wherever it runs."""
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return kept | {"PYTHONPATH": str(PROJECT)} | changes


def spawn(*arguments: str, **options: Any) -> Ended:
    """`python -m engine` in a process of its own."""
    options = {"env": environment(), "capture_output": True, "timeout": 120} | options
    done = subprocess.run([sys.executable, "-m", "engine", *arguments], check=False, **options)
    out, err = (("" if text is None else text.decode()) for text in (done.stdout, done.stderr))
    assert "Traceback" not in err
    return Ended(done.returncode, out, err)


def call(capfd: pytest.CaptureFixture[str], *arguments: str) -> Ended:
    """The command in this process: the same, and quick."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capfd.readouterr()
    return Ended(int(ended.value.code or 0), said.out, said.err)


def frame(
    at_ns: int = 0, *, size: int = 100, teid: int | None = None, **fields: Any
) -> tuple[int, bytes]:
    """A frame at TIME_NS + `at_ns` with an IPv4 packet of `size` bytes, in a G-PDU of a TEID if given."""
    inner = packets.ipv4(packets.udp(bytes(size - 28)), **fields)
    whole = packets.ethernet(inner) if teid is None else packets.g_pdu_frame(inner, teid=teid)
    return packets.TIME_NS + at_ns, whole


def write(path: Path, frames: Sequence[packets.Frame], **fields: Any) -> str:
    """A capture with nanosecond stamps."""
    path.write_bytes(packets.pcap(frames, magic=0xA1B23C4D, **fields))
    return str(path)
