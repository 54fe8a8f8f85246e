"""The operator's side of a run: verbs of the gateway's service, in order, in a thread of their own."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from engine.errors import PktollError
from gateway_sim.live import clock
from gateway_sim.live.script import SETTLE

QUIET_NS = 1_000_000_000
SETTLE_NS_MAX = 240 * 1_000_000_000
LOOK_S = 0.1

Service = Callable[[str, dict[str, Any]], Any]
"""carries out a verb of the service and returns its result; PktollError where it is refused"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A verb that is to be carried out, about these SIMs (numbers), for a step."""

    step: int
    verb: str
    args: dict[str, Any]
    sims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of it; `refusal` is the service's text where it said no. Times as `clock.stamp_ns`."""

    asked: Asked
    begin_ns: int
    end_ns: int
    refusal: str | None


class Verbs:
    """`ask` never waits; what was answered is fetched with `answered`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._asked: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self._answered: queue.SimpleQueue[Answered] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.pending = 0
        self._given_up = False

    def ask(self, asked: Asked) -> None:
        """Have this done after everything that was asked before."""
        self.pending += 1
        self._asked.put(asked)

    def answered(self) -> list[Answered]:
        """What has been answered since the last call."""
        found = []
        while not self._answered.empty():
            found.append(self._answered.get())
        self.pending -= len(found)
        return found

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None and not self._given_up:
            begin_ns = clock.stamp_ns()
            refusal = None
            try:
                if asked.verb == SETTLE:
                    self._settle()
                else:
                    self._service(asked.verb, asked.args)
            except PktollError as error:
                refusal = str(error)
            self._answered.put(Answered(asked, begin_ns, clock.stamp_ns(), refusal))

    def _settle(self) -> None:
        """Wait until the figures of the gateway show no new slice for a while, and no question about one.

        Of a gateway that does not tell its questions: for as long again as it took, since what is still
        to be announced of slices takes about as long as the slices did.
        """
        begin_ns = since_ns = clock.running_ns()
        grants = -1
        while True:
            totals = self._service("totals", {})
            now_ns = clock.running_ns()
            if totals["grants"] != grants or totals.get("questions", 0):
                grants, since_ns = totals["grants"], now_ns
            more_ns = 0 if "questions" in totals else since_ns - begin_ns
            if now_ns - since_ns >= max(QUIET_NS, more_ns):
                return
            if since_ns - begin_ns > SETTLE_NS_MAX or self._given_up:
                raise PktollError("settle: the gateway goes on handing out slices")
            time.sleep(LOOK_S)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._given_up = error is not None
        self._asked.put(None)
        self._thread.join()
