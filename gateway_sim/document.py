"""A TOML file under strict reading: all its faults come out at once, each with its line."""

import re
import tomllib
from pathlib import Path

from engine.errors import ConfigError
from gateway_sim.places import find_lines, line_of
from gateway_sim.reader import Fault, Reader

FILE_BYTES_MAX = 64 << 20
FAULTS_SHOWN = 50
_AT_LINE = re.compile(r" \(at line ([0-9]+), column [0-9]+\)$")


class Document:
    """One file: `top` reads its outermost table, `finish` raises what was found on the way."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.faults: list[Fault] = []
        self._text = text
        self.top = Reader(tomllib.loads(text), (), self.faults)

    @classmethod
    def read(cls, path: str | Path) -> "Document":
        """Open and parse a file; ConfigError where it cannot be read or is not TOML."""
        path = Path(path)
        try:
            with open(path, "rb") as file:
                held = file.read(FILE_BYTES_MAX + 1)
            if len(held) > FILE_BYTES_MAX:
                raise ConfigError(f"{path}: is larger than {FILE_BYTES_MAX} bytes: no scenario")
            # A byte order mark is what Windows editors leave; TOML 1.0 does not know it.
            return cls(path, held.decode("utf-8-sig"))
        except OSError as error:
            place, what = "", str(error.strerror)
        except RecursionError:
            place, what = "", "tables or lists inside each other too deep"
        except UnicodeDecodeError as error:
            line = held.count(b"\n", 0, error.start) + 1
            place, what = f":{line}", f"not UTF-8 (byte offset {error.start})"
        except tomllib.TOMLDecodeError as error:
            place, what = _syntax(error)
        except ValueError:
            place, what = "", "an integer of too many digits"
        raise ConfigError(f"{path}{place}: cannot be read as TOML: {what}")

    def finish(self) -> None:
        """ConfigError with one line `FILE:LINE: key: what` a fault, where there is any."""
        if not self.faults:
            return
        lines = find_lines(self._text)
        shown = [
            f"{self.path}:{line_of(lines, fault.path)}: {fault.key}: {fault.what}"
            for fault in self.faults[:FAULTS_SHOWN]
        ]
        if len(self.faults) > FAULTS_SHOWN:
            shown.append(f"{self.path}: and {len(self.faults) - FAULTS_SHOWN} more faults")
        raise ConfigError("\n".join(shown))


def _syntax(error: tomllib.TOMLDecodeError) -> tuple[str, str]:
    """Where the parser stopped, as `:LINE` (at the end of the file: nothing), and what it says."""
    message = str(error).encode("ascii", "backslashreplace").decode()
    found = _AT_LINE.search(message)
    return (f":{found[1]}", message[: found.start()]) if found else ("", message)
