"""A whole run: sockets, script and figures; against a gateway that is there, or one of its own."""

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.errors import PktollError
from gateway_sim.live import clock, kernel
from gateway_sim.live.book import credited_bytes
from gateway_sim.live.child import Child, Place
from gateway_sim.live.crowd import Crowd
from gateway_sim.live.datagrams import Datagrams
from gateway_sim.live.driver import Driver
from gateway_sim.live.exchange import Exchange, Sides
from gateway_sim.live.figures import Figures
from gateway_sim.live.fleet import SHUT, Fleet
from gateway_sim.live.marks import GTP_BYTES
from gateway_sim.live.script import OF_OPERATOR, Script
from gateway_sim.live.verbs import Service, Verbs
from gateway_sim.scenario import Scenario

GTP_C_PORT, GTP_U_PORT = 2123, 2152
_TRIES = 64
_UNKNOWN_TEID = 0x5EED_0000
"""TEIDs of SIMs that never had a session: packets go into tunnels that nobody gave out"""

Connect = Callable[[str], contextlib.AbstractContextManager[Service]]
"""opens the service at an endpoint"""


def free_address() -> str:
    """An address of the loopback on which nobody has GTP's ports; others may look for one, too."""
    number = os.getpid()
    for attempt in range(_TRIES):
        address = f"127.{64 + attempt}.{number >> 8 & 255}.{number & 255 or 1}"
        with contextlib.ExitStack() as stack:
            try:
                for port in (GTP_C_PORT, GTP_U_PORT):
                    udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    udp.bind((address, port))
            except OSError:
                continue
            return address
    raise PktollError("sim: no loopback address has UDP 2123 and 2152 free; name one with --local")


def run_with_child(
    scenario: Scenario, script: Script, folder: Path, connect: Connect, config: str | None
) -> Figures:
    """Start a gateway, run, stop it, audit its database."""
    with (
        Datagrams("127.0.0.1", 0, GTP_BYTES) as sgi,
        Child(scenario, folder, (sgi.address, sgi.port), config) as child,
    ):
        try:
            place = child.ready()
            figures = _run(scenario, script, place, sgi, None, connect, child.runs)
        except PktollError as error:
            raise PktollError(f"{error}{child.last_words()}") from None
        figures.report = child.stop()
        figures.audit = child.audit()
    figures.initial = {c.code: credited_bytes(c) for c in scenario.contracts}
    return figures


def run_against(
    scenario: Scenario,
    script: Script,
    place: Place,
    connect: Connect,
    *,
    local: str | None,
    sgi_local: tuple[str, int],
) -> Figures:
    """Run against a gateway that is there. Its SGi side must send to `sgi_local`."""
    with Datagrams(*sgi_local, GTP_BYTES) as sgi:
        return _run(scenario, script, place, sgi, local, connect, lambda: True)


def _run(
    scenario: Scenario,
    script: Script,
    place: Place,
    sgi: Datagrams,
    local: str | None,
    connect: Connect,
    alive: Callable[[], bool],
) -> Figures:
    address = local or free_address()
    fleet = _fleet(scenario)
    with contextlib.ExitStack() as stack:
        gtp = stack.enter_context(Datagrams(address, GTP_U_PORT))
        gtp.to(*place.gtp_u)
        sgi.to(*place.sgi)
        crowd = Crowd(scenario, fleet, address, GTP_C_PORT, place.gtp_c)
        stack.callback(crowd.close)
        shapes = [stream.shape for stream in script.streams]
        packed = int.from_bytes(socket.inet_aton(place.gtp_u[0]), "big")
        exchange = Exchange(fleet, shapes, Sides(gtp, sgi, packed << 16 | place.gtp_u[1]))
        service = _service(stack, place, script, connect)
        verbs = stack.enter_context(Verbs(service or _refuse))
        before = service("snapshot", {}) if service else None
        ports = _visible((place.gtp_c, place.gtp_u, place.sgi))
        driver = Driver(scenario, script, crowd, exchange, verbs, ports, alive)
        offset_ns = clock.stamp_ns() - clock.running_ns()
        driver.run()
        stepped_ns = clock.stamp_ns() - clock.running_ns() - offset_ns
        figures = _figures(scenario, script, driver, before, stepped_ns)
        if not ports:
            figures.lost_by_gateway = None
        figures.after = service("snapshot", {}) if service else None
        return figures


def _fleet(scenario: Scenario) -> Fleet:
    fleet = Fleet(sum(1 for _ in scenario.lines()))
    for sim, line in enumerate(scenario.lines()):
        first = next((text for text in line.addresses if ":" not in text), None)
        fleet.address[sim] = int.from_bytes(socket.inet_aton(first or "0.0.0.0"), "big")
        fleet.teid_up[sim] = _UNKNOWN_TEID + sim
    return fleet


def _service(
    stack: contextlib.ExitStack, place: Place, script: Script, connect: Connect
) -> Service | None:
    if place.service is not None:
        return stack.enter_context(connect(place.service))
    needed = {step.do for step in script.steps if step.do in OF_OPERATOR}
    if needed:
        raise PktollError(
            f"sim: the script has steps for the operator ({', '.join(sorted(needed))}): "
            "name the gateway's service with --service"
        )
    return None


def _refuse(verb: str, args: dict[str, Any]) -> Any:
    raise PktollError(f"{verb}: no service")


def _visible(ports: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    """Those of the gateway's sockets whose queues the kernel shows here; all of them, or none."""
    found = kernel.queues()
    names = {port: port if port in found else ("0.0.0.0", port[1]) for port in ports}
    if any(name not in found for name in names.values()):
        return ()
    return tuple(names.values())


def _figures(
    scenario: Scenario,
    script: Script,
    driver: Driver,
    before: dict[str, Any] | None,
    stepped_ns: int,
) -> Figures:
    crowd, exchange = driver.crowd, driver.exchange
    state = crowd.fleet.state
    return Figures(
        script=script,
        codes=[line.code for line in scenario.lines()],
        contracts=[c.code for c in scenario.contracts for _ in c.lines],
        sent=exchange.sent,
        arrived=exchange.arrived,
        outcomes=crowd.outcomes,
        answers=driver.answers,
        closings=crowd.closings,
        faults=crowd.faults,
        path_faults=crowd.path_faults,
        left_shut=frozenset(sim for sim in range(crowd.fleet.count) if state[sim] == SHUT),
        unanswered=crowd.pending + driver.verbs.pending,
        lost=exchange.lost,
        lost_by_gateway=driver.lost_by_gateway,
        stepped_ns=stepped_ns,
        before=before,
        pacing=driver.pacing,
    )
