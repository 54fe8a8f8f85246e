"""What every command on a coupon database shares: how it is named, opened, and written about.

The database is `--pool URL`, the environment variable PKTOLL_POOL, or simply the URL as an argument
anywhere: an argument that has "://" in it is the database.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from engine import clock
from engine.cli.main import printing
from engine.errors import PoolError, UsageError

if TYPE_CHECKING:
    from engine.pool import CouponStore
    from engine.pool.store import StoreOptions

ENVIRONMENT = "PKTOLL_POOL"
IN_MEMORY = "sqlite://"
IN_FILE = "sqlite:///"
_KNOWN = ("sqlite://", "postgresql://", "postgres://")
_HOW = f"--pool URL, the URL as an argument, or {ENVIRONMENT} in the environment"
_EXAMPLE = "such as sqlite:///coupons.db or postgresql://user@host/database"

_F = TypeVar("_F", bound=Callable[..., Any])


def lift_url(arguments: Sequence[str], valued: Collection[str]) -> list[str]:
    """The arguments with the database's URL, wherever it stands, as `--pool URL` in front.

    `valued`: options that are followed by a value, which is nobody's argument. UsageError (click's)
    where the database is named twice.
    """
    urls: list[str] = []
    rest: list[str] = []
    named = is_value = only_arguments = False
    for text in arguments:
        is_option = text.startswith("-") and not (only_arguments or is_value)
        named = named or (is_option and text.partition("=")[0] == "--pool")
        if "://" in text and not is_value and not is_option:
            urls.append(text)
        else:
            rest.append(text)
        only_arguments = only_arguments or (is_option and text == "--")
        is_value = is_option and text in valued
    if len(urls) + named > 1:
        raise click.UsageError(f"the database is named twice; give one of: {_HOW}")
    return [*(part for url in urls for part in ("--pool", url)), *rest]


class DatabaseCommand(click.Command):
    """A command on a coupon database."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        valued = {
            name
            for option in self.params
            if isinstance(option, click.Option) and not option.is_flag
            for name in option.opts
        }
        try:
            args = lift_url(args, valued)
        except click.UsageError as error:
            error.ctx = ctx
            if not ctx.resilient_parsing:  # a shell that completes a word wants no complaints
                raise
        return super().parse_args(ctx, args)


class DatabaseGroup(click.Group):
    """Commands on a coupon database, which may be named before the command as well."""

    command_class = DatabaseCommand
    group_class = type

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = next((at for at, text in enumerate(args) if "://" not in text), len(args))
        return super().parse_args(
            ctx, [*args[first : first + 1], *args[:first], *args[first + 1 :]]
        )


def instant(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    """An option's time as ns since 1970: ISO 8601 with its offset from UTC, or ns; None without it."""
    if text is None:
        return None
    # Imported here: it brings the whole model of subscribers, which `--help` need not wait for.
    from engine.subscribers import moment
    from engine.subscribers.model import TIME_NS_MAX

    if text.isascii() and text.isdigit():
        # More digits than the last instant has are not even worth an integer.
        if len(text) > len(str(TIME_NS_MAX)) or int(text) > TIME_NS_MAX:
            raise click.BadParameter(
                f"{text[:40]} is out of range; allowed: 0 to {TIME_NS_MAX} ns since 1970"
            )
        return int(text)
    try:
        return moment.parse(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}; or ns since 1970") from None


def _instant_or_now(ctx: click.Context, param: click.Parameter, text: str | None) -> int:
    at_ns = instant(ctx, param, text)
    return clock.now_ns() if at_ns is None else at_ns


def _named(ctx: click.Context, _: click.Parameter, url: str | None) -> str | None:
    if url is None and not ctx.resilient_parsing:
        raise click.UsageError(f"no database; name it by {_HOW}, {_EXAMPLE}")
    return url


def on_database(function: _F) -> _F:
    """Option `--pool`, handed over as `url`."""
    return click.option(
        "--pool",
        "url",
        metavar="URL",
        envvar=ENVIRONMENT,
        callback=_named,
        help=f"The coupon database, {_EXAMPLE}; may also be an argument, or {ENVIRONMENT}.",
    )(function)


def at_time(function: _F) -> _F:
    """Option `--at`, handed over as `at_ns`; now, where it is not given."""
    return click.option(
        "--at",
        "at_ns",
        metavar="TIME",
        callback=_instant_or_now,
        help="As of this time (ISO 8601 with offset, or ns since 1970); default: now.",
    )(function)


def in_format(function: _F) -> _F:
    """Option `--format`, handed over as `form`."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="Tables for people, or one JSON document with raw figures.",
    )(function)


def quietly(function: _F) -> _F:
    """Option `--quiet`."""
    return click.option("-q", "--quiet", is_flag=True, help="Say nothing but what went wrong.")(
        function
    )


def shown_url(url: str) -> str:
    """The URL for people: without what may be a password."""
    if url.startswith(IN_MEMORY):
        return url
    scheme, mark, rest = url.partition("?")[0].partition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}{mark}{user.partition(':')[0]}{at}{place}"


def file_of(url: str) -> Path | None:
    """The file in which an SQLite database lies; None for a database on a server.

    UsageError for one in memory, which no two commands could share.
    """
    if url == IN_MEMORY:
        raise UsageError(
            f"pool {url}: a database in memory is gone when the command ends; name a file, "
            "as in sqlite:///coupons.db"
        )
    return Path(url.removeprefix(IN_FILE)) if url.startswith(IN_FILE) else None


@contextlib.contextmanager
def opened(
    url: str, create: bool = False, options: "StoreOptions | None" = None
) -> "Iterator[CouponStore]":
    """The coupon database, open as an operator: beside gateways that are at work, without a run.

    `options`: open it with these instead. Only with `create` is a file made where there is none; else
    PoolError. Also raises what `engine.pool.open_store` raises.
    """
    from engine.pool.store import StoreOptions, open_store

    path = file_of(url)
    if path is not None and not create:
        _check_file(path, url)
    if not url.startswith(_KNOWN):
        url = shown_url(url)  # to be refused: what is said of it must not hold a password
    store = open_store(url, options or StoreOptions(gateway=None))
    try:
        yield store
    except BaseException:
        store.close(clean=False)
        raise
    store.close()


def _check_file(path: Path, url: str) -> None:
    """PoolError where a question would make a database, and answer that nothing was ever in it (B81)."""
    hint = f"make it with: pktoll pool init {url}"
    if not path.exists():
        raise PoolError(f"{path}: no such coupon database; {hint}")
    if path.is_file() and path.stat().st_size == 0:
        raise PoolError(f"{path}: 0 bytes long, no coupon database yet; restore it, or {hint}")


def write(
    document: dict[str, Any],
    form: str,
    show: "Callable[[dict[str, Any]], None]",
    quiet: bool = False,
) -> None:
    """Write a document as JSON, or by `show` for people; nothing with `quiet`."""
    if quiet:
        return
    with printing():
        if form == "json":
            json.dump(document, sys.stdout, indent=2)
            sys.stdout.write("\n")
        else:
            show(document)
