"""From a TOML file to validated settings."""

from pathlib import Path as FilePath
from typing import Any

from pydantic import TypeAdapter

from engine.config import access_rules, exempt_rules, rules
from engine.config.document import TomlPlaces, parse_toml, read_text
from engine.config.faults import Fault, located, refuse, structural
from engine.config.model import Exempt, Settings
from engine.errors import ConfigError

FILE_NAME = "iijmio.toml"
PARTIAL = (
    *("Speed", "Limit", "SlowLimit", "Police", "Restriction", "Exempt"),
    *("Pool", "Terms", "Migration", "Access"),
)
"""tables that are laid over the default ones key by key, so that no key of theirs is needed"""
ADAPTER: TypeAdapter[Settings] = TypeAdapter(Settings)


def default_path(package: FilePath | None = None) -> FilePath:
    """The default configuration: beside this module if installed, in `configs` in a checkout."""
    folder = package or FilePath(__file__).parent
    for path in (folder / FILE_NAME, folder.parents[1] / "configs" / FILE_NAME):
        if path.is_file():
            return path
    raise ConfigError(f"{folder / FILE_NAME}: the default configuration is missing; install again")


def example() -> str:
    """The default configuration with its comments: a start for one's own."""
    return read_text(default_path())


def _overlay(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid on `under`: tables key by key, everything else replaced whole."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = _overlay(below, value) if both else value  # type: ignore[arg-type]
    return merged


def _defaults() -> dict[str, Any]:
    path = default_path()
    raw, faults = parse_toml(read_text(path), str(path))
    refuse(faults)
    return raw


def _examine(text: str, name: str) -> tuple[Settings | None, list[Fault]]:
    raw, faults = parse_toml(text, name)
    if faults:
        return None, faults
    whole = _overlay(_defaults(), raw)
    places = TomlPlaces(text)
    settings, wrong = structural(ADAPTER, whole)
    for room in (rules, exempt_rules, access_rules):
        wrong += room.findings(whole, raw, places.locate)
    return settings, located(wrong, name, places.locate)


def check(text: str, name: str) -> list[Fault]:
    """All that is wrong with a configuration, in the order of the text; `name` is the file's."""
    return _examine(text, name)[1]


def _settings(text: str, name: str) -> Settings:
    settings, faults = _examine(text, name)
    refuse(faults)
    assert settings is not None
    return settings


def load(path: str | FilePath | None) -> Settings:
    """The settings in the file laid over the default ones; None: the default ones.

    ConfigError with one line for each fault: file, line, column, key, what is allowed.
    """
    where = default_path() if path is None else FilePath(path)
    return _settings(read_text(where), str(where))


def load_exempt(path: str | FilePath) -> Exempt:
    """The exempt list of a configuration file; all of it is checked, and nothing else is taken.

    What the file's [exempt] leaves out is as in the default configuration. ConfigError as by `load`, and
    for a file without that table: it would be another one than was meant.
    """
    text = read_text(path)
    settings = _settings(text, str(path))
    if "exempt" not in parse_toml(text, str(path))[0]:
        raise ConfigError(f"{path}:1:1: exempt: is missing; write [[exempt.endpoint]] entries")
    return settings.exempt


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a configuration file; it may leave out what the default one has."""
    schema = ADAPTER.json_schema()
    for table in (schema, *(schema["$defs"][name] for name in PARTIAL)):
        table.pop("required", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def show(settings: Settings) -> dict[str, Any]:
    """The settings as a table with the names that files use; `json.dumps` takes it."""
    shown: dict[str, Any] = ADAPTER.dump_python(settings, mode="json", by_alias=True)
    for table in (*shown["plan"], *shown["option"]):
        # TOML has no null: what is not known is not written.
        for key in [key for key, value in table.items() if value is None]:
            del table[key]
    return shown
