"""Files of text and TOML, read so that whatever is wrong is a fault with its place."""

import re
import tomllib
from pathlib import Path as FilePath
from typing import Any

from engine.config.faults import Fault, Path, Place
from engine.errors import ConfigError

_AT_LINE = re.compile(r"^(.*) \(at line ([0-9]+), column ([0-9]+)\)$", re.DOTALL)
_AT_END = " (at end of document)"


def read_text(path: str | FilePath) -> str:
    """The file's text; ConfigError where it cannot be read, or (with the place) is not UTF-8."""
    try:
        raw = FilePath(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path}: cannot be read: {reason}; name a file that is there") from None
    try:
        # A byte order mark is what Windows editors leave; TOML 1.0 does not know it.
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = len(raw[: error.start].rpartition(b"\n")[2].decode(errors="replace")) + 1
        raise ConfigError(
            f"{path}:{line}:{column}: not UTF-8 (byte offset {error.start}); save it as UTF-8"
        ) from None


def parse_toml(text: str, name: str) -> tuple[dict[str, Any], list[Fault]]:
    """The document, or an empty one and the fault at which the parser stopped."""
    try:
        return tomllib.loads(text), []
    except tomllib.TOMLDecodeError as error:
        place, what = _syntax(str(error), text)
        return {}, [Fault(name, *place, "", f"not TOML: {what}")]
    except (ValueError, RecursionError) as error:
        # An integer of more digits than Python converts, or lists nested past its stack.
        deep = isinstance(error, RecursionError)
        what = "values nested too deeply" if deep else "an integer of too many digits"
        return {}, [Fault(name, 1, 1, "", f"{what}; nothing in this file needs that")]


def _syntax(message: str, text: str) -> tuple[Place, str]:
    match = _AT_LINE.match(message)
    if match is not None:
        return Place(int(match[2]), int(match[3])), _ascii(match[1])
    lines = text.split("\n")
    return Place(len(lines), len(lines[-1]) + 1), _ascii(message.removesuffix(_AT_END))


def _ascii(message: str) -> str:
    return message.encode("ascii", "backslashreplace").decode()


class TomlPlaces:
    """Places in a TOML text, found when the first one is asked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: Any = None

    def locate(self, path: Path, at_key: bool = False) -> Place:
        """See `engine.config.faults.Locate`."""
        if self._found is None:
            # A second parser, needed for faults only.
            from engine.config.positions import Positions

            self._found = Positions(self._text)
        place: Place = self._found.locate(path, at_key)
        return place
