"""Options of contracts: who may have them, and what they cost when (O1, O2, O3)."""

from engine.config.model import Option, Settings
from engine.subscribers.account import Contract, OptionUse
from engine.subscribers.effects import Fee
from engine.subscribers.refusals import refused

IPV6 = "ipv6"
"""the option that gives sessions an IPv6 prefix (O1)"""


def named(name: str, settings: Settings) -> Option:
    """The option of the configuration; RefusedError where there is none."""
    option = settings.option(name)
    if option is None:
        known = ", ".join(one.name for one in settings.options) or "none"
        raise refused("option", option=name, known=known)
    return option


def eligible(option: Option, service: str) -> Option:
    """The option, if contracts of the service may have it; else RefusedError (O1)."""
    if service not in option.services:
        services = " or ".join(option.services)
        raise refused("option-service", option=option.name, services=services, service=service)
    return option


def monthly_yen(option: Option, quantity: int, price_yen: int | None) -> int | None:
    """What so many of an option cost a month; part of a unit costs as much as a whole one (O2)."""
    return None if price_yen is None else price_yen * -(-quantity // option.unit_size)


def fees(option: Option, use: OptionUse) -> tuple[Fee, ...]:
    """What is owed for an option, and from when on (O2): fees at once, the price when charging starts."""
    owed = []
    if option.initial_fee_yen is not None:
        owed.append(Fee("initial", option.initial_fee_yen, use.accepted_ns))
    if option.one_off_fee_yen is not None:
        owed.append(Fee("one-off", option.one_off_fee_yen, use.accepted_ns))
    yen = monthly_yen(option, use.quantity, use.price_yen_per_month)
    owed.append(Fee("monthly", yen, use.charging_from_ns))
    return tuple(owed)


def included(service: str, at_ns: int, settings: Settings) -> tuple[OptionUse, ...]:
    """The options that come with every contract of a service."""
    return tuple(
        OptionUse(option.name, 1, at_ns, at_ns, option.price_yen_per_month)
        for option in settings.options
        if option.included and service in option.services
    )


def has_ipv6(contract: Contract) -> bool:
    """Whether the contract's lines may have IPv6 (O1)."""
    return contract.option(IPV6) is not None
