"""One gateway as a process of its own, to be killed: python -m tests.proof.worker JOB

JOB is the `Job` as JSON. Every acknowledged answer is in the log before the worker goes on; a request is in
it before it is made. The environment variable PKTOLL_PROOF_FAULT, as in "after-flush:7", lets the worker
kill itself at that point when it comes there for the seventh time.
"""

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass, replace
from random import Random
from types import FrameType
from typing import Any

from engine.errors import PktollError, PoolError, PoolFenced, PoolUnavailable
from engine.pool import CouponStore, open_store
from engine.pool.store import StoreOptions
from tests.proof.facts import Fact
from tests.proof.gateway import Call, Gateway, Rest

FAULT = "PKTOLL_PROOF_FAULT"
FENCED, UNAVAILABLE = 4, 5
"""exit statuses: another has taken over; the database cannot be used now"""


@dataclass(frozen=True)
class Job:
    """What a worker is to do; times in ns, `begun_ns` by the machine's steady clock."""

    url: str
    name: str
    seed: int
    log: str
    begun_ns: int
    start_ns: int
    pace: int  # how much faster than the machine's clock packets' time goes
    lease_ns: int
    lines: list[tuple[str, str]]
    rest_s: float = 0.0
    repeated: float = 0.34
    answer_ms: int = 5000

    def as_argument(self) -> str:
        """For the command line."""
        return json.dumps(asdict(self))


class Worker:
    """Drives one gateway's conversation with a store."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.dice = Random(job.seed)
        self.log = os.open(job.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        point, _, times = os.environ.get(FAULT, "").partition(":")
        self.point, self.times = point, int(times or 1)
        self.gateway: Gateway | None = None
        self.stopping = False
        signal.signal(signal.SIGTERM, self.stop)

    def stop(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM: come to a clean end."""
        self.stopping = True
        if self.gateway is not None:
            self.gateway.steps = 0

    def say(self, fact: Fact) -> None:
        """One write: a line is there or not, whenever the process is killed."""
        os.write(self.log, fact.as_line().encode())

    def pass_point(self, name: str) -> None:
        """Kill this process, if this is the point and the time for it."""
        if name == self.point:
            self.times -= 1
            if not self.times:
                os.kill(os.getpid(), signal.SIGKILL)

    def clock(self) -> int:
        """The packets' time: the same for all workers, much faster than the machine's."""
        return self.job.start_ns + (time.monotonic_ns() - self.job.begun_ns) * self.job.pace

    def run(self) -> int:
        """Until the end of the conversation; the exit status."""
        job = self.job
        options = StoreOptions(job.name, "charge", job.lease_ns, job.answer_ms)
        try:
            store = self.started(options)
        except PoolUnavailable as error:
            self.say(Fact("unavailable", job.name, request=str(error)))
            return UNAVAILABLE
        for text in store.recovered:
            self.say(Fact("recovered", job.name, store.run_id, request=text))
        gateway = self.gateway = Gateway(
            job.name, store.run_id, self.dice, job.lines, self.say, self.clock, share=0.4
        )
        if self.stopping:
            gateway.steps = 0
        self.say(gateway.fact("started"))
        try:
            return self.converse(store, gateway)
        except PoolUnavailable as error:
            self.say(gateway.fact("unavailable", request=str(error)))
            store.close(clean=False)
            return UNAVAILABLE

    def started(self, options: StoreOptions) -> CouponStore:
        """The store, tried for as long as an answer may take.

        The database may take a moment to see that the process of before, with the same name, is dead.
        """
        until_ns = time.monotonic_ns() + options.answer_ms * 10**6
        while True:
            try:
                return open_store(self.job.url, options)
            except PoolUnavailable:
                raise
            except PoolError:
                if time.monotonic_ns() > until_ns:
                    raise
                time.sleep(0.1)

    def converse(self, store: CouponStore, gateway: Gateway) -> int:
        """Pass calls on, a third of the grants twice, and the answers back."""
        life, answer, error = gateway.life(), None, None
        while True:
            try:
                step = life.throw(error) if error else life.send(answer)
            except StopIteration:
                break
            answer = error = None
            if isinstance(step, Rest):
                time.sleep(self.job.rest_s * self.dice.random())
                continue
            try:
                answer = self.do(store, gateway, step)
            except PktollError as refused:
                error = refused
        if gateway.fenced:
            store.close(clean=False)
            return FENCED
        self.say(gateway.fact("closed"))
        return 0

    def do(self, store: CouponStore, gateway: Gateway, call: Call) -> Any:
        """One call, with the points at which a worker can be told to die."""
        self.pass_point(f"before-{call.method}")
        answer = getattr(store, call.method)(*call.arguments)
        self.pass_point(f"after-{call.method}")
        if call.method == "grant" and self.dice.random() < self.job.repeated:
            again = store.grant(*call.arguments)
            self.say(gateway.fact("repeated", request=call.arguments[0]))
            if again != answer:
                self.differs(gateway, call, answer, again)
        return answer

    def differs(self, gateway: Gateway, call: Call, *answers: Any) -> None:
        """Two answers to one request: said at once, for the checker to find."""
        request, contract, line, at_ns = call.arguments
        for answer in answers:
            fact = gateway.fact("granted", line, contract=contract, request=request, at_ns=at_ns)
            self.say(replace(fact, slice_id=answer.slice_id, amount=answer.granted_bytes))


def main() -> None:
    """The process."""
    given = json.loads(sys.argv[1])
    given["lines"] = [tuple(pair) for pair in given["lines"]]
    try:
        status = Worker(Job(**given)).run()
    except PoolFenced:
        status = FENCED
    sys.exit(status)


if __name__ == "__main__":
    main()
