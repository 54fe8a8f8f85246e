"""Scheduled events as calls of the engine."""

from typing import TYPE_CHECKING

from engine.errors import ConfigError, RefusedError, UsageError
from engine.subscribers import Event

if TYPE_CHECKING:
    from engine.runtime.control import Control


def check(engine: "Control", event: Event) -> None:
    """UsageError for a line or a contract that the engine does not know."""
    if event.do == "exempt":
        return
    if event.do == "charge":
        engine.book.contract(event.contract)
    else:
        engine.book.find(event.line)


def apply(engine: "Control", event: Event) -> None:
    """Do what the event says, at its time; one that a rule refuses changes nothing and is kept in the
    engine's `refusals`."""
    try:
        _do(engine, event)
    except (UsageError, RefusedError, ConfigError) as error:
        engine.refusals.append(f"{event.do} at {event.at_ns} ns: {error}")


def _do(engine: "Control", event: Event) -> None:
    at_ns = event.at_ns
    match event.do:
        case "switch":
            engine.switch_coupon(event.line, on=event.on, at_ns=at_ns)
        case "charge":
            engine.charge(event.contract, coupons=event.coupons, at_ns=at_ns)
        case "suspend":
            engine.suspend(event.line, at_ns=at_ns)
        case "resume":
            engine.resume(event.line, at_ns=at_ns)
        case "replace-sim":
            engine.replace_sim(event.line, iccid=event.iccid, imsi=event.imsi, at_ns=at_ns)
        case "exempt":
            engine.set_exempt(event.exempt, at_ns=at_ns)
        case "detach":
            engine.detach(event.line, at_ns=at_ns)
        case _:  # attach: there are no others
            engine.open_session(event.line, at_ns=at_ns)
