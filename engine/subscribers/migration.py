"""IIJ4U contracts and their move into the contract book on one date (A9, O3).

A customer file is TOML: `[[customer]]` with `[[customer.contract]]` and `[[customer.contract.option]]`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Annotated, Any, NamedTuple

from pydantic import Field, TypeAdapter

from engine.config.document import TomlPlaces, parse_toml, read_text
from engine.config.faults import Fault, Finding, Locate, located, refuse, structural
from engine.config.model import STRICT, Settings, Text, Yen
from engine.config.model import Date as Day
from engine.config.rules import repeated, tables
from engine.subscribers import codes
from engine.subscribers.account import (
    Account,
    Contract,
    MioId,
    OptionUse,
    Quantity,
    Reference,
)
from engine.subscribers.book import Outcome, open_account
from engine.subscribers.changes import Desk, Effects
from engine.subscribers.contract_rules import check_contracts
from engine.subscribers.due import forward
from engine.subscribers.effects import ContractAdded, ContractStarted, OptionAdded
from engine.subscribers.options import fees, included
from engine.subscribers.refusals import refused
from engine.subscribers.terms import check_time, start_of


@dataclass(frozen=True, slots=True)
class LegacyOption:
    """An option of an IIJ4U contract; its price goes on where the configuration names none."""

    __pydantic_config__ = STRICT

    name: Text
    quantity: Quantity = 1
    price_yen_per_month: Yen | None = None


@dataclass(frozen=True, slots=True)
class LegacyContract:
    """An IIJ4U contract; password and registered address are references."""

    __pydantic_config__ = STRICT

    code: Text
    started: Day
    password: Reference | None = None
    address: Reference | None = None
    options: Annotated[tuple[LegacyOption, ...], Field(alias="option")] = ()


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer of IIJ4U, who may have a mioID already."""

    __pydantic_config__ = STRICT

    name: Text
    contracts: Annotated[tuple[LegacyContract, ...], Field(alias="contract", min_length=1)]
    mio_id: MioId | None = None


@dataclass(frozen=True, slots=True)
class _File:
    __pydantic_config__ = STRICT

    customers: Annotated[tuple[Customer, ...], Field(alias="customer")]


ADAPTER: TypeAdapter[_File] = TypeAdapter(_File)


def _examine(text: str, name: str) -> tuple[_File | None, list[Fault]]:
    raw, faults = parse_toml(text, name)
    if faults:
        return None, faults
    places = TomlPlaces(text)
    file, wrong = structural(ADAPTER, raw)
    wrong = [*wrong, *_twice(raw, places.locate)]
    return file, located(wrong, name, places.locate)


def _twice(raw: dict[str, Any], locate: Locate) -> Iterator[Finding]:
    customers = list(tables(raw, ("customer",)))
    contracts = [
        ((*path, *where), contract)
        for path, customer in customers
        for where, contract in tables(customer, ("contract",))
    ]
    for items, key, what in (
        (customers, "name", "customer"),
        (customers, "mio_id", "mioID"),
        (contracts, "code", "contract"),
    ):
        values = [((*path, key), item.get(key)) for path, item in items]
        yield from repeated(values, what, locate)


def check(text: str, name: str) -> list[Fault]:
    """All that is wrong with a customer file, in the order of the text."""
    return _examine(text, name)[1]


def load(path: str | FilePath) -> tuple[Customer, ...]:
    """The customers of a file; ConfigError with one line for each fault: file, line, column, key."""
    file, faults = _examine(read_text(path), str(path))
    refuse(faults)
    assert file is not None
    return file.customers


def _check_freeze(customer: Customer, now_ns: int, settings: Settings) -> None:
    """Nothing changes from the first instant of the freeze to that of the move."""
    dates = settings.migration
    if start_of(dates.freeze_from) <= now_ns < start_of(dates.moved_on):
        first, last = dates.freeze_from, dates.moved_on
        raise refused("freeze", customer=customer.name, first=first, last=last)


def _changed(customer: Customer, contract: LegacyContract) -> Customer:
    contracts = (contract if one.code == contract.code else one for one in customer.contracts)
    return replace(customer, contracts=tuple(contracts))


def _legacy(customer: Customer, code: str) -> LegacyContract:
    for contract in customer.contracts:
        if contract.code == code:
            return contract
    raise refused("legacy-none", customer=customer.name, what="contract", name=code)


def end_option(
    customer: Customer, contract: str, option: str, now_ns: int, settings: Settings
) -> Customer:
    """End an option of an IIJ4U contract, as those that do not migrate must be (A9); not in the freeze."""
    _check_freeze(customer, now_ns, settings)
    legacy = _legacy(customer, contract)
    options = tuple(one for one in legacy.options if one.name != option)
    if len(options) == len(legacy.options):
        raise refused("legacy-none", customer=customer.name, what="option", name=option)
    return _changed(customer, replace(legacy, options=options))


def change_details(
    customer: Customer,
    contract: str,
    now_ns: int,
    settings: Settings,
    password: str | None = None,
    address: str | None = None,
) -> Customer:
    """Change password or registered address of an IIJ4U contract (A9); not in the freeze."""
    _check_freeze(customer, now_ns, settings)
    legacy = _legacy(customer, contract)
    return _changed(
        customer,
        replace(
            legacy,
            password=legacy.password if password is None else password,
            address=legacy.address if address is None else address,
        ),
    )


def migrate(
    customers: Sequence[Customer], accounts: Iterable[Account], now_ns: int, settings: Settings
) -> list[Outcome]:
    """Move all contracts of these customers, in their order; `accounts` is the whole book (A9, O3).

    A customer without a mioID gets one, with the password and the address of the oldest contract; one with
    a mioID has the contracts added. Each service of each contract becomes a contract with a code of its
    own, with its options and its start. RefusedError before the day of the move, for an option that does
    not migrate, for what was moved already: then nothing at all has moved.
    """
    check_time(now_ns)
    moved_on = settings.migration.moved_on
    if now_ns < start_of(moved_on):
        raise refused("not-yet", day=moved_on)
    book = {account.mio_id: account for account in accounts}
    taken = {code for account in book.values() for _, code in codes.of(account)}
    taken |= {customer.mio_id for customer in customers if customer.mio_id is not None}
    free = _Free(codes.Numbers(codes.MIO, taken), codes.Numbers(codes.CONTRACT, taken))
    moved = {code: account.mio_id for account in book.values() for code in account.migrated}
    outcomes = []
    for customer in customers:
        _check_first(customer, moved)
        outcome = _moved(customer, book, free, Desk(_nobody(), now_ns, settings))
        book[outcome.account.mio_id] = outcome.account
        moved |= dict.fromkeys(outcome.account.migrated, outcome.account.mio_id)
        outcomes.append(outcome)
    return outcomes


class _Free(NamedTuple):
    """Codes that nobody has yet."""

    accounts: codes.Numbers
    contracts: codes.Numbers


def _nobody() -> Account:
    """Stands where no account is looked at."""
    return Account("", registered_ns=0, changed_ns=0)


def _check_first(customer: Customer, moved: dict[str, str]) -> None:
    """No contract is moved twice, whatever is repeated; `moved` says to which mioID each went."""
    for contract in customer.contracts:
        if contract.code in moved:
            mio_id = moved[contract.code]
            name = customer.name
            raise refused("migrated", customer=name, contract=contract.code, mio_id=mio_id)


def _moved(customer: Customer, book: dict[str, Account], free: _Free, desk: Desk) -> Outcome:
    account, told = _target(customer, book, free, desk)
    effects = [*told]
    for legacy in customer.contracts:
        for service, moving in _by_service(customer, legacy, desk.settings).items():
            check_contracts(account, service, 1, desk)
            code = free.contracts.next()
            contract, opened = _contract_of(code, service, legacy, moving, desk)
            account = replace(account, contracts=(*account.contracts, contract))
            effects += opened
    migrated = (*account.migrated, *(legacy.code for legacy in customer.contracts))
    return Outcome(replace(account, migrated=migrated, changed_ns=desk.now_ns), tuple(effects))


def _target(
    customer: Customer, book: dict[str, Account], free: _Free, desk: Desk
) -> tuple[Account, Effects]:
    """The account that gets the contracts, brought forward; a new one for who has none."""
    now_ns = desk.now_ns
    if customer.mio_id is None:
        oldest = min(customer.contracts, key=lambda one: (one.started, one.code))
        mio_id = free.accounts.next()
        account, opened = open_account(mio_id, now_ns, oldest.password, oldest.address)
        return replace(account, completed_ns=now_ns), list(opened)
    if customer.mio_id not in book:
        raise refused("no-account", customer=customer.name, mio_id=customer.mio_id)
    account = book[customer.mio_id]
    if now_ns < account.changed_ns:
        changed_ns = account.changed_ns
        raise refused("past", mio_id=account.mio_id, changed_ns=changed_ns, at_ns=now_ns)
    account, effects = forward(account, now_ns, desk.terms)
    if account.lapsed_ns is not None:
        raise refused("lapsed", mio_id=account.mio_id)
    if account.completed_ns is None:
        # Its IIJ4U contracts are contracts of this mioID now: nothing is left to be completed.
        account = replace(account, completed_ns=now_ns)
    return account, effects


def _by_service(
    customer: Customer, legacy: LegacyContract, settings: Settings
) -> dict[str, list[LegacyOption]]:
    """What goes on, by the service that it becomes a contract of; in the order of the file."""
    services: dict[str, list[LegacyOption]] = {}
    for item in legacy.options:
        option = settings.option(item.name)
        if option is None or not option.migrates:
            raise refused(
                "not-carried", customer=customer.name, option=item.name, contract=legacy.code
            )
        services.setdefault(option.services[0], []).append(item)
    return services


def _contract_of(
    code: str, service: str, legacy: LegacyContract, moving: list[LegacyOption], desk: Desk
) -> tuple[Contract, Effects]:
    settings, now_ns = desk.settings, desk.now_ns
    moved_ns = start_of(settings.migration.moved_on)
    started_ns = check_time(max(start_of(legacy.started), 0))
    uses = [_use_of(item, now_ns, moved_ns, settings) for item in moving]
    names = {use.name for use in uses}
    uses += [use for use in included(service, now_ns, settings) if use.name not in names]
    contract = Contract(
        code=code,
        service=service,
        plan=None,
        applied_ns=min(started_ns, now_ns),
        started_ns=started_ns,
        document_ns=started_ns,
        options=tuple(uses),
    )
    told: Effects = [ContractAdded(code, now_ns), ContractStarted(code, None, now_ns)]
    for use in uses:
        option = settings.option(use.name)
        assert option is not None
        told.append(OptionAdded(code, use.name, now_ns, fees(option, use)))
    return contract, told


def _use_of(item: LegacyOption, now_ns: int, moved_ns: int, settings: Settings) -> OptionUse:
    """The option at the price of the configuration, else at its old one (O3)."""
    option = settings.option(item.name)
    assert option is not None
    price_yen = option.price_yen_per_month
    if price_yen is None:
        price_yen = item.price_yen_per_month
    return OptionUse(item.name, item.quantity, now_ns, moved_ns, price_yen)
