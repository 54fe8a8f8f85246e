"""A gateway of a run's own: `pktoll serve` as a child, on free ports of the loopback."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engine.errors import PktollError
from gateway_sim.live import clock
from gateway_sim.live.book import write_book
from gateway_sim.scenario import Scenario

READY_NS = 180 * 10**9
"""how long it may take to start: kernels may have to be compiled first"""
STOP_S = 120


@dataclass(frozen=True, slots=True)
class Place:
    """Where a gateway is: (address, port) of its sockets, and its service's endpoint."""

    gtp_c: tuple[str, int]
    gtp_u: tuple[str, int]
    sgi: tuple[str, int]
    service: str | None = None


def place_of(text: str) -> tuple[str, int]:
    """ "ADDRESS:PORT" as a pair; ValueError where it is none."""
    address, _, port = text.rpartition(":")
    return address, int(port)


class Child:
    """The process and its files in `folder`. `start_ns`: the gateway's date when it starts."""

    def __init__(
        self, scenario: Scenario, folder: Path, sgi: tuple[str, int], config: str | None
    ) -> None:
        self.folder = folder
        self.pool = f"sqlite:///{folder / 'coupons.db'}"
        write_book(scenario, folder / "subscribers.toml")
        command = [sys.executable, "-m", "engine", "serve", "-q"]
        command += ["--subscribers", str(folder / "subscribers.toml"), "--pool", self.pool]
        command += ["--config", config] if config else []
        command += ["--gtp-c", "127.0.0.1:0", "--gtp-u", "127.0.0.1:0"]
        command += ["--sgi", f"udp:127.0.0.1:0,{sgi[0]}:{sgi[1]}"]
        command += ["--service", f"ipc://{folder / 'service'}"]
        command += ["--start", _instant(scenario.start_ns)]
        command += ["--ready-file", str(folder / "ready.json")]
        command += ["--report", str(folder / "report.json")]
        command += ["--records", str(folder / "records.jsonl")]
        self._said = open(folder / "said.txt", "wb")  # noqa: SIM115 - closed by stop
        self.process = subprocess.Popen(command, stdout=self._said, stderr=self._said)

    def ready(self) -> Place:
        """Where it is, once it listens; PktollError with what it said where it does not come up."""
        path = self.folder / "ready.json"
        until_ns = clock.running_ns() + READY_NS
        while clock.running_ns() < until_ns:
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                gtp_c, gtp_u, sgi = (place_of(found[key]) for key in ("gtp_c", "gtp_u", "sgi"))
                return Place(gtp_c, gtp_u, sgi, found["service"])
            except (OSError, ValueError):  # not there, or not whole yet
                pass
            if self.process.poll() is not None:
                raise PktollError(f"sim: the gateway did not start: {self.said()}")
            time.sleep(0.02)
        raise PktollError(
            f"sim: the gateway is not ready after {READY_NS // 10**9} s: {self.said()}"
        )

    def stop(self) -> dict[str, Any]:
        """End it in order; its last report. PktollError where it does not end well."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise PktollError(f"sim: the gateway did not stop within {STOP_S} s") from None
        if status:
            raise PktollError(f"sim: the gateway ended with status {status}: {self.said()}")
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text("utf-8"))
        return report

    def audit(self) -> dict[str, Any]:
        """What `pool audit` says of its coupon database; PktollError where it cannot be said."""
        command = [sys.executable, "-m", "engine", "pool", "audit", "--format", "json", self.pool]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=STOP_S)
        try:
            document: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise PktollError(f"sim: pool audit: {done.stderr.strip()}") from None
        return document

    def said(self) -> str:
        """The last line of what it said."""
        lines = (self.folder / "said.txt").read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def last_words(self) -> str:
        """What to add to an error where the gateway has ended meanwhile."""
        status = self.process.poll()
        return "" if status is None else f"; the gateway ended with status {status}: {self.said()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._said.close()


def _instant(at_ns: int) -> str:
    """A date with its offset, exact to the second, in Japan's time."""
    from datetime import UTC, datetime, timedelta, timezone

    japan = timezone(timedelta(hours=9))
    return datetime.fromtimestamp(at_ns // 10**9, UTC).astimezone(japan).isoformat()
