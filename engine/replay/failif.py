"""`--fail-if`: a condition on the figures of a report, such as `dropped_bytes > 0`."""

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast

from engine import verdict
from engine.errors import UsageError

_FORM = re.compile(
    r"\s*([A-Za-z_]\w*(?:\.\w+)*)\s*(<=|>=|==|!=|<|>)\s*(-?\d+(?:\.\d+)?)\s*", re.ASCII
)
_HELP = "write FIELD OP NUMBER, such as dropped_bytes > 0 or timing.packets_per_s < 1000000"


@dataclass(frozen=True, slots=True)
class Condition:
    """FIELD OP NUMBER. A field is a path in the JSON report; a bare name is one of `totals`.

    A number is compared exactly; a drop reason that did not occur counts as 0; what is null meets no
    condition.
    """

    text: str
    path: tuple[str, ...]
    operator: str
    bound: int | float

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Raises UsageError for anything else than FIELD OP NUMBER."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise UsageError(f"--fail-if {text!r}: {_HELP}")
        field, operator, number = match.groups()
        path = tuple(field.split("."))
        bound = float(number) if "." in number else int(number)
        condition = cls(text.strip(), path if len(path) > 1 else ("totals", *path), operator, bound)
        condition._check()
        return condition

    def _check(self) -> None:
        """UsageError unless the report's schema has a number there: before anything is done."""
        if self.path[0] == "drops" and self.path[1] not in verdict.NAMES.values():
            raise UsageError(
                f"--fail-if: no packet is dropped for {self.path[1]!r}; there are: "
                + ", ".join(
                    name for code, name in verdict.NAMES.items() if code > verdict.FORWARD_MAX
                )
            )
        schema = json.loads(files(__package__).joinpath("replay.schema.json").read_text("utf-8"))
        found = schema
        for step in self.path:
            found = schema["$defs"]["counters"] if "$ref" in found else found
            if step.isdecimal() and "items" in found:
                found = found["items"]
            else:
                found = found.get("properties", {}).get(step) or found.get("additionalProperties")
            if not found:
                raise UsageError(
                    f"--fail-if: the report has no field {'.'.join(self.path)}; {_HELP}"
                )
        kinds = found.get("type", [])
        if not {"integer", "number"} & set([kinds] if isinstance(kinds, str) else kinds):
            raise UsageError(f"--fail-if: {'.'.join(self.path)} is not a number; {_HELP}")

    def value(self, document: dict[str, Any]) -> int | float | None:
        """The field's value, None where there is none; UsageError for an entry that is not there."""
        found: Any = document
        if self.path[0] == "drops":
            found = {"drops": {self.path[1]: {"packets": 0, "bytes": 0}, **document["drops"]}}
        for step in self.path:
            if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, dict) and step in found:
                found = found[step]
            else:
                raise UsageError(
                    f"--fail-if: the report has no field {'.'.join(self.path)}; {_HELP}"
                )
        return cast(int | float | None, found)

    def holds(self, document: dict[str, Any]) -> bool:
        """True if the report meets the condition (and the command is to fail)."""
        value = self.value(document)
        if value is None:
            return False
        outcomes = {
            "<": value < self.bound,
            "<=": value <= self.bound,
            "==": value == self.bound,
            "!=": value != self.bound,
            ">=": value >= self.bound,
            ">": value > self.bound,
        }
        return outcomes[self.operator]
