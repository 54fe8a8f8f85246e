"""`pktoll subscribers …`: the actions on one account, each a change of the contract book by its rules."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from engine.cli.pool_database import (
    DatabaseCommand,
    DatabaseGroup,
    at_time,
    in_format,
    instant,
    on_database,
    opened,
    quietly,
    write,
)

if TYPE_CHECKING:
    from engine.cli.subscribers_desk import Change, Desk, Found
    from engine.subscribers.actions import Action

Do = Callable[["Desk"], "Change"]
"""what a command has done at the desk of the contract book"""
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

configured = click.option(
    "--config", metavar="FILE", help="Configuration (TOML); default: the packaged one."
)
contract_argument = click.argument("contract")
line_argument = click.argument("line")
imsi_option = click.option("--imsi", metavar="DIGITS", help="The SIM's IMSI.")
form_option = click.option(
    "--form", "form_", type=click.Choice(["standard", "micro", "nano"]), help="Form of the card."
)


def _example(words: str) -> str:
    return f"\b\nExample:\n  pktoll subscribers {words} --pool sqlite:///coupons.db"


def _command(example: str, *parameters: Decorator) -> Callable[[Callable[..., Do]], click.Command]:
    """A command named by the first words of its `example`; its function says what is to be done."""
    first, second, *_ = example.split()
    group = GROUPS.get(first)

    def decorate(function: Callable[..., Do]) -> click.Command:
        @functools.wraps(function)
        def run(
            url: str, config: str | None, at_ns: int, form: str, quiet: bool, **given: Any
        ) -> None:
            _run(function(**given), url, config, at_ns, form, quiet)

        wrapped: Callable[..., Any] = run
        common: tuple[Decorator, ...] = (on_database, configured, at_time, in_format, quietly)
        for decorator in reversed((*parameters, *common)):
            wrapped = decorator(wrapped)
        name = first if group is None else second
        command = click.command(name, cls=DatabaseCommand, epilog=_example(example))(wrapped)
        if group is None:
            COMMANDS.append(command)
        else:
            group.add_command(command)
        return command

    return decorate


def _run(do: Do, url: str, config: str | None, at_ns: int, form: str, quiet: bool) -> None:
    """Change one account, enter the lines that are new by it, and say what followed."""
    from engine import config as configuration
    from engine.cli import subscribers_files, subscribers_tables, subscribers_views
    from engine.cli.subscribers_desk import Desk

    settings = configuration.load(config)
    with opened(url) as store:
        made = do(Desk(store, settings, at_ns))
        subscribers_files.enter(url, store, [made.account], at_ns)
    document = subscribers_views.change(made, at_ns)
    write(document, form, subscribers_tables.show_change, quiet)


def _on(name: str, of: str, word: str, **given: Any) -> Do:
    """Do the action of that word to the account ("mio"), contract or line that bears the name."""

    def make(found: "Found", _: "Desk") -> "Action":
        from engine.subscribers.actions import ACTIONS

        who: dict[str, Any] = {} if of == "mio" else {of: found.code(of)}
        return ACTIONS[word](**who, **given)

    return lambda desk: desk.change(name, _kinds(of), make)


def _kinds(of: str) -> tuple[str, ...]:
    from engine.cli.subscribers_desk import LINE_KINDS

    return LINE_KINDS if of == "line" else (of,)


@click.group(cls=DatabaseGroup, epilog=_example("add line hdd00000001"))
def add() -> None:
    """Add a contract to an account, or a line to a contract."""


@click.group(cls=DatabaseGroup, epilog=_example("option add hdd00000001 ipv6"))
def option() -> None:
    """Order an option for a contract, or end it."""


COMMANDS: list[click.Command] = [add, option]
"""every command of this module, as it is defined"""
GROUPS: dict[str, click.Group] = {"add": add, "option": option}


# --- actions that need no more than a name ----------------------------------------------------------


class Simple(NamedTuple):
    """A command on an account, contract or line, and the word of its action."""

    name: str
    of: str
    word: str
    help: str


SIMPLE = (
    Simple("complete", "mio", "complete", "Say that the application of MIO is complete."),
    Simple(
        "send-document",
        "contract",
        "send-document",
        "Say that the customer of CONTRACT has its document: the days of rescission begin.",
    ),
    Simple("start", "contract", "start", "Begin the use of CONTRACT; its bundle is credited."),
    Simple(
        "take-back",
        "contract",
        "take-back",
        "Take back every cancellation reserved in CONTRACT; until 20:00 JST of the last day.",
    ),
    Simple(
        "rescind", "contract", "rescind", "End CONTRACT at once, within 8 days of its document."
    ),
    Simple("suspend", "line", "suspend", "Take LINE out of service; its session is cut at once."),
    Simple("resume", "line", "resume", "Put a suspended LINE into service again."),
    Simple(
        "lost",
        "line",
        "report-lost",
        "Report the SIM of LINE as lost: it is refused, even when it is found.",
    ),
    Simple("remove", "line", "remove-line", "Remove LINE at once; what is on its SIM is gone."),
    Simple("port-in", "line", "complete-port-in", "Say that the number of LINE came: it serves."),
)
_EXAMPLES = {"mio": "MA00000001", "contract": "hdd00000001", "line": "hdo00000001"}


def _simple(entry: Simple) -> None:
    def act(**given: str) -> Do:
        return _on(given[entry.of], entry.of, entry.word)

    act.__doc__ = entry.help
    _command(f"{entry.name} {_EXAMPLES[entry.of]}", click.argument(entry.of))(act)


for _entry in SIMPLE:
    _simple(_entry)


# --- actions with more to say -----------------------------------------------------------------------


@_command("cancel hdd00000001", click.argument("name"))
def cancel(name: str) -> Do:
    """Cancel NAME, a contract or one of its lines, as of the end of the month.

    Within the minimum term: as of the term's end.
    """

    def make(found: "Found", _: "Desk") -> "Action":
        from engine.subscribers.actions import Cancel, CancelLine

        return CancelLine(found.code("line")) if found.line else Cancel(found.code("contract"))

    return lambda desk: desk.change(name, ("contract", *_kinds("line")), make)


@_command("change-plan hdd00000001 family-share", contract_argument, click.argument("plan"))
def change_plan(contract: str, plan: str) -> Do:
    """Order another PLAN for CONTRACT, from the first of the next month on."""
    return _on(contract, "contract", "change-plan", plan=plan)


@_command(
    "replace-sim hdo00000001 --iccid 8981100000000000002",
    line_argument,
    click.option("--iccid", metavar="DIGITS", required=True, help="The new card."),
    imsi_option,
    form_option,
)
def replace_sim(line: str, iccid: str, imsi: str | None, form_: str | None) -> Do:
    """Give LINE a new card; number, balance and history stay, the old card is refused."""
    return _on(line, "line", "replace-sim", iccid=iccid, imsi=imsi, form=form_)


@_command(
    "port-out hdo00000001",
    line_argument,
    click.option("--complete", is_flag=True, help="The number has gone: end the line."),
)
def port_out(line: str, complete: bool) -> Do:
    """Reserve the number of LINE for taking it elsewhere; with --complete: it has gone."""
    return _on(line, "line", "complete-port-out" if complete else "reserve-port-out")


def _apply(
    mio: str | None, contract: str | None, plan: str | None, service: str | None, completed: bool
) -> Do:
    """Apply for a contract; codes that are not given are the next free ones (A1)."""

    def make(_: "Found", desk: "Desk") -> "Action":
        from engine.subscribers import codes
        from engine.subscribers.actions import Apply

        code = contract if contract is not None else desk.next_code(codes.CONTRACT)
        return Apply(code, plan, service, completed)

    return lambda desk: desk.apply(mio, make)


contract_option = click.option(
    "--contract", metavar="CODE", help="Its service code; default: the next free one."
)
plan_option = click.option("--plan", help="A plan of the configuration; default: its default plan.")
service_option = click.option("--service", help="A service of the configuration.")


@_command(
    "apply --plan light-start",
    click.argument("mio", required=False),
    contract_option,
    plan_option,
    service_option,
    click.option("--incomplete", is_flag=True, help="It is to be completed within a month."),
)
def apply(
    mio: str | None, contract: str | None, plan: str | None, service: str | None, incomplete: bool
) -> Do:
    """Apply for a contract, under the mioID MIO or a new one."""
    return _apply(mio, contract, plan, service, not incomplete)


@_command(
    "add contract MA00000001 --plan light-start",
    click.argument("mio"),
    contract_option,
    plan_option,
    service_option,
)
def add_contract(mio: str, contract: str | None, plan: str | None, service: str | None) -> Do:
    """Add a contract to the account MIO."""
    return _apply(mio, contract, plan, service, True)


@_command(
    "add line hdd00000001 --imsi 440100000000002",
    contract_argument,
    click.option("--line", metavar="CODE", help="Its code; default: the next free one."),
    imsi_option,
    click.option("--iccid", metavar="DIGITS", help="The card."),
    click.option("--msisdn", metavar="DIGITS", help="The telephone number."),
    form_option,
    click.option("--voice", is_flag=True, help="A voice line."),
    click.option("--address", "addresses", multiple=True, help="An address of its; repeatable."),
    click.option(
        "--port-in",
        "port_in_issued_ns",
        metavar="TIME",
        callback=instant,
        help="Its number comes from elsewhere, by a reservation issued then.",
    ),
)
def add_line(contract: str, line: str | None, form_: str | None, **given: Any) -> Do:
    """Add a line to CONTRACT."""
    if form_ is not None:
        given["form"] = form_

    def make(found: "Found", desk: "Desk") -> "Action":
        from engine.subscribers import codes
        from engine.subscribers.actions import AddLine

        code = line if line is not None else desk.next_code(codes.LINE)
        return AddLine(found.code("contract"), code, **given)

    return lambda desk: desk.change(contract, ("contract",), make)


@_command(
    "option add hdd00000001 ipv6",
    contract_argument,
    click.argument("name"),
    click.option("--quantity", type=click.IntRange(min=1), default=1, show_default=True),
    click.option(
        "--charging-from",
        "charging_from_ns",
        metavar="TIME",
        callback=instant,
        help="When its monthly price begins; default: at once.",
    ),
)
def option_add(contract: str, name: str, quantity: int, charging_from_ns: int | None) -> Do:
    """Order the option NAME for CONTRACT."""
    given = {"option": name, "quantity": quantity, "charging_from_ns": charging_from_ns}
    return _on(contract, "contract", "add-option", **given)


@_command("option remove hdd00000001 ipv6", contract_argument, click.argument("name"))
def option_remove(contract: str, name: str) -> Do:
    """Cancel the option NAME of CONTRACT, as of the end of the month."""
    return _on(contract, "contract", "cancel-option", option=name)
