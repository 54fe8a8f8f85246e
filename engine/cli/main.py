"""Entry point: finds the command, turns every failure into one line and an exit status."""

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import click

from engine import __version__
from engine.errors import PktollError

COMMANDS = {
    "demo": (
        "engine.cli.demo",
        "A made-up morning of a family of three SIMs: generate, replay, show.",
    ),
    "replay": ("engine.cli.replay", "Bill captures: who would have been charged, slowed, dropped."),
    "explain": (
        "engine.cli.explain",
        "Why one packet was charged, exempt, slow, delayed or dropped.",
    ),
    "bases": (
        "engine.cli.bases",
        "Bill a capture on inner IP, outer IP, frame and L4 payload, side by side.",
    ),
    "gen": ("engine.cli.gen", "Write a scenario of the LTE side as a capture."),
    "sim": (
        "engine.cli.sim",
        "Drive a live gateway as the LTE side does, and check it from outside.",
    ),
    "serve": ("engine.cli.serve", "A live gateway: P-GW and GGSN over UDP."),
    "pool": (
        "engine.cli.pool",
        "The coupon database: buy, switch, look, and prove that it adds up.",
    ),
    "subscribers": (
        "engine.cli.subscribers",
        "The contract book: who may attach, with which plan and options, until when.",
    ),
    "service": (
        "engine.cli.service",
        "An engine for other programs over ZeroMQ and msgpack; keys for it.",
    ),
    "config": ("engine.cli.config", "Check, describe and show configurations."),
    "bench": ("engine.cli.bench", "Measure pktoll and its peers on this machine, side by side."),
    "doctor": ("engine.cli.doctor", "Look at what this machine has, and compile the kernels."),
}


class Lazy(click.Group):
    """A group whose commands are imported when needed, so that `--help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # seen here, because click would make it an error
            _quiet_exit()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 fine; 1 runtime error; 2 usage; 3 configuration or subscriber file; "
    "4 capture unreadable or cut; 5 --fail-if; 6 the ledger does not add up.",
)
@click.version_option(__version__, prog_name="pktoll")
def pktoll() -> None:
    """Exact packet accounting for a mobile packet gateway.

    \b
    pktoll demo
    pktoll replay capture.pcap --ue-net 10.45.0.0/16
    pktoll replay - --subscribers lines.toml --format json < capture.pcapng
    pktoll pool balance sqlite:///coupons.db

    Shell completion: eval "$(_PKTOLL_COMPLETE=bash_source pktoll)" (or zsh_source, fish_source).
    """


def fail(text: str) -> None:
    """Say on standard error what went wrong: a line for each line of `text`."""
    for line in text.splitlines() or [""]:
        sys.stderr.write(f"pktoll: {line}\n")


def _let_go() -> None:
    """The reader of standard output has gone: the interpreter must not flush to it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Around what prints a report that has more to tell: a reader that has gone (`| head`) takes nothing
    from what is said on standard error, nor from the exit status."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go()


def _quiet_exit() -> NoReturn:
    """Leave although the reader of standard output has gone."""
    _let_go()
    sys.exit(0)


def _open_outputs() -> None:
    """Python has no stream where the caller closed one (`>&-`): what is said there goes nowhere."""
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; ends the process with its exit status."""
    _open_outputs()
    try:
        status = pktoll.main(arguments, prog_name="pktoll", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(status if isinstance(status, int) else 0)
    except click.exceptions.Abort:
        fail("interrupted; nothing that was reported as durable is lost")
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stderr.write(f"{error.format_message()}\n")
        sys.exit(2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (try: {context.command_path} --help)" if context is not None else ""
        fail(f"{error.format_message()}{hint}")
        sys.exit(2)
    except PktollError as error:
        fail(str(error))
        sys.exit(error.exit_status)
    except BrokenPipeError:
        _quiet_exit()
    except MemoryError:
        fail("out of memory; give the process more, or split the run")
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else "writing the output: "
        fail(f"{where}{error.strerror or error}")
        sys.exit(1)


YOUNG_OBJECTS = 200_000
"""so many new objects before Python looks for cycles among them: importing makes half as many, that stay"""


def run() -> NoReturn:
    """The command in a process of its own, which starts and ends in two thirds of the time.

    numpy's linear algebra, which nothing here uses, would start a thread for each core that waits in a
    loop; and the last look for cycles, at the end, would go through all that was ever imported.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)
    try:
        main()
    finally:
        gc.freeze()


if __name__ == "__main__":
    run()
