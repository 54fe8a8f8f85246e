"""What tests of the benchmarks need: the programs in C, rows that were never measured, a schema."""

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bench import built
from bench.rounds import BUILD, Round, Row

SCHEMA = json.loads(files("bench").joinpath("bench.schema.json").read_text("utf-8"))


def need(*names: str) -> None:
    """Build these programs; where they cannot be, the test fails in CI, is skipped elsewhere."""
    lacking = built.build(names)
    if lacking:
        words = f"no comparison with programs in C: {'; '.join(lacking.values())}"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)


def program(name: str) -> Path:
    """Where a program in C lies."""
    return BUILD / name


def row(name: str, ns: list[float], cores: int = 1, **fields: Any) -> Row:
    """A row of `meter` at 1 000 SIMs that took so long."""
    rounds = [Round(one, **fields) for one in ns]
    return Row("meter", 1_000, name, rounds, cores, "uniform", "mix")


def check(document: Any) -> None:
    """The document is what its schema says."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(SCHEMA, format_checker=checker).validate(document)
