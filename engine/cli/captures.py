"""What the commands that read captures have in common: the options that say who is who, and how to read."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

LARGE_BYTES = 24_000_000
"""a CSV subscriber file of some 200,000 lines"""

WHO = (
    click.option(
        "--config", metavar="FILE", help="Configuration (TOML); default: the packaged one."
    ),
    click.option(
        "--subscribers", metavar="FILE", help="Contracts and lines (TOML, CSV or a packed table)."
    ),
    click.option(
        "--events", metavar="FILE", help="Switches, charges, suspensions (JSON lines or TOML)."
    ),
    click.option(
        "--ue-net",
        "ue_nets",
        metavar="PREFIX",
        multiple=True,
        help="Every address in this prefix is a SIM of the default plan; may be repeated.",
    ),
    click.option(
        "--encapsulation",
        type=click.Choice(["auto", "gtp", "ip"]),
        default="auto",
        show_default=True,
        help="Bill G-PDUs or plain IP packets; auto: G-PDUs if the capture begins with any.",
    ),
    click.option(
        "--sessions",
        type=click.Choice(["auto", "ignore"]),
        default="auto",
        show_default=True,
        help="Follow the control messages (GTP-C) in the captures, and bill by the sessions they open.",
    ),
    click.option(
        "--allow-clock-leap",
        is_flag=True,
        help="Let a capture clock that leaps by over a day credit and expire coupons.",
    ),
)


def who_is_who(command: Command) -> Command:
    """The options of a replay that say who is who and how captures are to be read."""
    for option in reversed(WHO):
        command = option(command)
    return command


def check_prefixes(prefixes: tuple[str, ...]) -> None:
    """click.UsageError for a `--ue-net` that is no prefix."""
    from engine.wire.addresses import parse_prefix

    for prefix in prefixes:
        try:
            parse_prefix(prefix)
        except ValueError as error:
            raise click.UsageError(f"--ue-net {prefix}: {error}") from None


def announce(quiet: bool, subscribers: str | None = None) -> None:
    """Say why the first run takes a while, and how not to wait for a large subscriber file each time."""
    from engine import jit

    if subscribers is not None and _is_large(Path(subscribers)):
        said = f"{subscribers} is large; a table of it, made by `pktoll subscribers pack`, opens in seconds"
        tell([said], [], quiet)
    if not quiet and not jit.DISABLED and sys.stderr.isatty() and not jit.cached():
        sys.stderr.write("pktoll: compiling the kernels for this machine, once ...\n")


def _is_large(book: Path) -> bool:
    """Whether loading this file takes a while that packing it once would save."""
    is_csv = book.suffix.lower() == ".csv" and book.is_file()
    if not is_csv or book.stat().st_size < LARGE_BYTES:
        return False
    from engine.subscribers.table_format import is_table

    return not is_table(book)


def tell(remarks: list[str], warnings: list[str], quiet: bool) -> None:
    """Remarks and warnings on standard error; `quiet` leaves the remarks out."""
    for notice in [] if quiet else remarks:
        sys.stderr.write(f"pktoll: note: {notice}\n")
    for warning in warnings:
        sys.stderr.write(f"pktoll: warning: {warning}\n")
