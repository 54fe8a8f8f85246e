"""Every refusal of the contract book: the rule that it stands on, and the rule in plain words."""

from typing import NamedTuple

from engine.errors import RefusedError


class Refusal(NamedTuple):
    """`words` is a format string; `rule` the ids in the table of rules."""

    rule: str
    words: str


REFUSALS: dict[str, Refusal] = {
    "field": Refusal("{rule}", "{do}: {field}: {what}"),
    "code": Refusal("A1", "{code} is no {what}; one is {prefix} and 8 letters or digits"),
    "code-taken": Refusal("A1", "{code} is taken; a code is never given twice"),
    "codes-out": Refusal("A1", "no {what} is left: the numbers up to 99999999 are all given"),
    "no-contract": Refusal("A1", "{mio_id} has no contract {code}"),
    "no-line": Refusal("A1", "{mio_id} has no line {code}"),
    "account-known": Refusal("A1", "{mio_id} is in the book already; it is imported once only"),
    "time": Refusal(
        "U2", "{at_ns} ns is no time that the book can keep; allowed: the years 1970 to 2200"
    ),
    "past": Refusal(
        "U2",
        "{mio_id} was changed at {changed_ns} ns, after the {at_ns} ns asked for; nothing is entered"
        " before what is there",
    ),
    "contracts-max": Refusal(
        "A2",
        "{mio_id} has {most} contracts of {service}; one mioID may have no more of one service",
    ),
    "voice-max": Refusal("A2", "{mio_id} has {most} voice lines; one mioID may have no more"),
    "service": Refusal("S5", "no service is called {service}; allowed: {known}"),
    "plan": Refusal("S5", "no plan is called {plan}; allowed: {known}"),
    "no-plans": Refusal("S5", "{service} has neither plans nor lines"),
    "lapsed": Refusal("A3", "{mio_id} has lapsed and is good for nothing more; register anew"),
    "complete": Refusal("A3", "the application of {mio_id} is complete already"),
    "nothing-applied": Refusal(
        "A3", "{mio_id} has applied for nothing, so that nothing can be complete"
    ),
    "incomplete": Refusal(
        "A3", "the application of {mio_id} is not complete; use begins after that"
    ),
    "contract-state": Refusal(
        "A4", "contract {contract} is {state}; {do} needs one that is {allowed}"
    ),
    "option-cancelled": Refusal("A4", "option {option} of {contract} is cancelled already"),
    "line-cancelled": Refusal("A4", "line {line} is cancelled already"),
    "nothing-reserved": Refusal(
        "A4", "contract {contract} has no cancellation that could be taken back"
    ),
    "take-back-late": Refusal(
        "A4",
        "contract {contract}: a cancellation can be taken back until {until} of its last day, {day},"
        " and not later",
    ),
    "take-back-plan": Refusal(
        "A4",
        "contract {contract}: a cancellation cannot be taken back when a plan change was ordered in"
        " the same month",
    ),
    "take-back-sims": Refusal(
        "A10",
        "contract {contract}: with that it had {lines} lines, and plan {plan} is ordered, for {most}",
    ),
    "document": Refusal("A6", "contract {contract} has its document already; its day counts once"),
    "rescind-late": Refusal(
        "A6",
        "contract {contract}: it could be rescinded within {days} days of the contract document,"
        " until 24:00 of {day}",
    ),
    "no-number": Refusal("A7", "line {line} has no telephone number that could move"),
    "port-out-there": Refusal(
        "A7", "line {line} has a reservation already, good until 24:00 of {day}"
    ),
    "port-out-none": Refusal(
        "A7",
        "line {line} has no reservation that is good; one is good for {days} days from its issue",
    ),
    "port-in-future": Refusal("A7", "the reservation of {msisdn} is issued later than now"),
    "port-in-days": Refusal(
        "A7",
        "the reservation of {msisdn} has {left} days left; coming in with a number needs {least}",
    ),
    "last-line": Refusal(
        "A8",
        "line {line} is the last of {contract}; a contract keeps 1 line at least: cancel the contract",
    ),
    "freeze": Refusal(
        "A9", "{customer}: nothing can be changed from 00:00 of {first} until the move on {last}"
    ),
    "not-yet": Refusal("A9", "IIJ4U contracts are moved on {day}, not before"),
    "not-carried": Refusal(
        "A9",
        "{customer}: option {option} of {contract} does not migrate; it must be ended before the move",
    ),
    "migrated": Refusal(
        "A9", "{customer}: contract {contract} has been moved already, to {mio_id}"
    ),
    "no-account": Refusal("A9", "{customer}: the book has no {mio_id} to move the contracts to"),
    "legacy-none": Refusal("A9", "{customer} has no {what} {name}"),
    "plan-same": Refusal("A10", "contract {contract} has plan {plan}"),
    "plan-sims": Refusal(
        "A10", "contract {contract} has {lines} lines, and plan {plan} is for {most}"
    ),
    "plan-after-end": Refusal(
        "A10",
        "contract {contract} ends on {day}; another plan would be in force from the next day on",
    ),
    "option": Refusal("O2", "no option is called {option}; allowed: {known}"),
    "option-service": Refusal(
        "O1", "option {option} is for contracts of {services}, not of {service}"
    ),
    "option-there": Refusal("O2", "contract {contract} has the option {option} already"),
    "option-none": Refusal("O2", "contract {contract} does not have the option {option}"),
    "option-included": Refusal(
        "O2", "option {option} comes with {service} and cannot be ended alone"
    ),
    "option-charging": Refusal(
        "O2", "charging of option {option} starts when it is accepted, or later"
    ),
    "line-state": Refusal("L1", "line {line} is {state}; {do} needs one that is {allowed}"),
    "lost": Refusal(
        "L3",
        "line {line}: a card that was reported lost stays refused, found or not; replace it",
    ),
    "card-same": Refusal("L2", "line {line} has the card {iccid} already"),
    "card-refused": Refusal("L3", "card {name} was replaced, and stays refused"),
    "sims-max": Refusal("L4", "contract {contract} has {lines} lines; plan {plan} is for {most}"),
    "name-taken": Refusal("N6", "{kind} {name} is that of line {line}"),
    "no-details": Refusal("A1", "{mio_id}: neither a password nor an address is given"),
}


def refused(key: str, /, **values: object) -> RefusedError:
    """The exception to raise; its text is one printable line that ends in the rule's id."""
    rule, words = REFUSALS[key]
    shown = {name: _shown(value) for name, value in values.items()}
    return RefusedError(f"{words.format(**shown)} ({rule.format(**shown)})")


def _shown(value: object) -> str:
    """What was said by people may hold anything; a message is one short line."""
    text = str(value)
    safe = text if text.isprintable() and text.isascii() else ascii(text)[1:-1]
    return safe if len(safe) <= 160 else safe[:157] + "..."
