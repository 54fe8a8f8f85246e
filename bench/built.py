"""The programs in C, built where they are wanted; what could not be built, and why."""

import subprocess
from collections.abc import Sequence

from bench import places
from bench.rounds import BUILD, Peer

NO_COMPILER = "no C compiler"


def build(names: Sequence[str]) -> dict[str, str]:
    """Build these, or take them as they lie there; name -> why it is left out.

    Raises PktollError where no folder can be made for them.
    """
    places.make(BUILD)
    script = places.HERE / "build.sh"
    done = subprocess.run(
        ["sh", str(script), "-o", str(BUILD), *names], capture_output=True, text=True, check=False
    )
    lines = [line.removeprefix("bench: ") for line in done.stderr.splitlines()]
    return {name: _why(name, lines) for name in names if not Peer.built(name)}


def _why(name: str, lines: Sequence[str]) -> str:
    """What the script said of it: of this program, of the library that it needs, or of the compiler."""
    for said in (name, NO_COMPILER):
        for line in lines:
            if said in line:
                return line
    return "does not build"
