"""A node of gateway_sim with terminals, for tests, and how it talks with a gateway that answers at once."""

from typing import Protocol

import pytest

from gateway_sim.signalling.sgw import EventKind, Sgw, Step
from gateway_sim.signalling.terminal import Terminal
from tests.support.scripted_gateway import PEER


class Answers(Protocol):
    """A gateway that has an answer to each request."""

    def answer(self, data: bytes) -> bytes: ...


S = 1_000_000_000
VERSIONS = pytest.mark.parametrize("version", [1, 2])


def terminal(version: int = 2, number: int = 1, **given: object) -> Terminal:
    return Terminal(
        imsi=f"44010{number:010d}",
        msisdn=f"8190{number:08d}",
        imei="3512340000000117",
        version=version,
        **given,  # type: ignore[arg-type]
    )


def node(**given: object) -> Sgw:
    return Sgw("10.8.0.1", "10.8.0.2", gateway=PEER, restarts=7, seed=5, **given)  # type: ignore[arg-type]


def talk(sgw: Sgw, gateway: Answers, step: Step, now_ns: int) -> Step:
    """What follows once the gateway has answered all that a step sends."""
    after = Step()
    for octets, peer in step.datagrams:
        assert peer == PEER
        after += sgw.receive(gateway.answer(octets), PEER, now_ns)
    return after


def attached(sgw: Sgw, gateway: Answers, who: Terminal, now_ns: int = S) -> Terminal:
    step = talk(sgw, gateway, sgw.attach(who, now_ns), now_ns + 1)
    assert [event.kind for event in step.events] == [EventKind.ATTACHED]
    return who


def kinds(step: Step) -> list[EventKind]:
    return [event.kind for event in step.events]
