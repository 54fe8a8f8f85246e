"""The subscriber file for a gateway that is to serve a scenario's SIMs; TEIDs it gives out itself."""

import json
from pathlib import Path

from gateway_sim.scenario import Contract, Scenario


def write_book(scenario: Scenario, path: Path) -> None:
    """Write the lines of a scenario as a subscriber file (TOML)."""
    lines = [f"# Made by `pktoll sim` from the scenario {scenario.name}."]
    for contract in scenario.contracts:
        lines += _contract(contract)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def credited_bytes(contract: Contract) -> int | None:
    """byte; what the coupon database holds at the start, None where the plan's bundle decides."""
    return sum(coupon.coupon_bytes for coupon in contract.coupons) if contract.coupons else None


def _text(value: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's."""
    return json.dumps(value, ensure_ascii=False)


def _contract(contract: Contract) -> list[str]:
    ipv6 = any(":" in address for line in contract.lines for address in line.addresses)
    lines = [
        "",
        "[[contract]]",
        f"code = {_text(contract.code)}",
        f"plan = {_text(contract.plan)}",
        f"started = {contract.started.isoformat()}",
        f"ipv6 = {'true' if ipv6 else 'false'}",
    ]
    for coupon in contract.coupons:
        lines += [
            "  [[contract.coupon]]",
            f"  kind = {_text(coupon.kind)}",
            f"  bytes = {coupon.coupon_bytes}",
            f"  expires = {_text(coupon.expires)}",
        ]
    for line in contract.lines:
        addresses = ", ".join(_text(address) for address in line.addresses)
        lines += [
            "  [[contract.line]]",
            *(
                f"  {key} = {_text(getattr(line, key))}"
                for key in ("code", "imsi", "iccid", "msisdn")
            ),
            f"  coupon = {'true' if line.coupon else 'false'}",
            f"  balance_bytes = {line.balance_bytes}",
            f"  addresses = [{addresses}]",
        ]
    return lines
