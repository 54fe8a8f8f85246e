"""The files that go with a scenario's capture: subscribers (TOML) and events (JSON lines)."""

import json
from collections.abc import Iterator
from pathlib import Path

from gateway_sim.scenario import Contract, Line, Scenario


def write_subscribers(scenario: Scenario, path: str | Path) -> None:
    """Write the subscriber file that matches the scenario's lines."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"# Made by `pktoll gen` from the scenario {scenario.name}.\n")
        for contract in scenario.contracts:
            file.writelines(f"{line}\n" for line in _contract(contract))


def write_events(scenario: Scenario, path: str | Path) -> None:
    """Write the event file: one JSON object a line; empty where nothing happens."""
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{event}\n" for event in scenario.events)


def _text(value: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's; the loader lets no control code in."""
    return json.dumps(value, ensure_ascii=False)


def _contract(contract: Contract) -> Iterator[str]:
    yield ""
    yield "[[contract]]"
    yield f"code = {_text(contract.code)}"
    yield f"plan = {_text(contract.plan)}"
    yield f"started = {contract.started.isoformat()}"
    for coupon in contract.coupons:
        yield "  [[contract.coupon]]"
        yield f"  kind = {_text(coupon.kind)}"
        yield f"  bytes = {coupon.coupon_bytes}"
        yield f"  expires = {_text(coupon.expires)}"
    for line in contract.lines:
        yield from _line(line)


def _line(line: Line) -> Iterator[str]:
    yield "  [[contract.line]]"
    for key in ("code", "imsi", "iccid", "msisdn"):
        yield f"  {key} = {_text(getattr(line, key))}"
    yield f"  coupon = {'true' if line.coupon else 'false'}"
    yield f"  balance_bytes = {line.balance_bytes}"
    yield f"  addresses = [{', '.join(_text(address) for address in line.addresses)}]"
    yield f"  teid_up = {line.teid_up}"
    yield f"  teid_down = {line.teid_down}"
