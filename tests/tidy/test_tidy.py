"""The house rules hold, and each check catches a planted violation."""

from pathlib import Path

import pytest

from tests.tidy import tidy

KERNEL = "import numpy as np\nfrom engine.jit import kernel, leaf\n"

PLANTED: list[tuple[tidy.Check, str, str, int]] = [
    (tidy.clock, "engine/shaper/x.py", "import time\n\nnow = time.time()\n", 3),
    (tidy.clock, "engine/shaper/x.py", "from time import monotonic_ns\n", 1),
    (tidy.clock, "engine/pool/x.py", "import datetime\na = datetime.datetime.now()\n", 2),
    (tidy.clock, "engine/pool/x.py", "from datetime import date\na = date.today()\n", 2),
    (tidy.clock, "engine/jit.py", "import time\na = time.time_ns()\n", 2),
    (tidy.kernels, "engine/wire/x.py", KERNEL + "@leaf\ndef f(a):\n    return a * 0.5\n", 5),
    (tidy.kernels, "engine/wire/x.py", KERNEL + "@leaf\ndef f(a):\n    return a / 2\n", 5),
    (tidy.kernels, "engine/wire/x.py", KERNEL + "@leaf\ndef f(a):\n    a /= 2\n", 5),
    (tidy.kernels, "engine/wire/x.py", KERNEL + "@leaf\ndef f(a):\n    return float(a)\n", 5),
    (tidy.kernels, "engine/wire/x.py", KERNEL + "@leaf\ndef f(a):\n    raise OSError\n", 5),
    (tidy.kernels, "engine/wire/x.py", KERNEL + "@leaf\ndef f(a):\n    assert a\n", 5),
    (tidy.kernels, "engine/wire/x.py", KERNEL + "@kernel(1)\ndef f(a):\n    a[0].row = 1\n", 5),
    (tidy.kernels, "engine/wire/x.py", KERNEL + "@kernel(1)\ndef f(a):\n    return a.row\n", 5),
    (
        tidy.kernels,
        "engine/wire/x.py",
        KERNEL + "@kernel()\ndef f(a, b, c, d, e, f, g, h, i):\n    return a\n",
        4,
    ),
    (tidy.records, "engine/pool/x.py", "import numpy as np\nA = np.dtype([('a', 'i8')])\n", 2),
    (tidy.exceptions, "engine/pool/x.py", "class Lost(RuntimeError):\n    pass\n", 1),
    (tidy.exceptions, "gateway_sim/x.py", "class Lost(errors.PktollError):\n    pass\n", 1),
    (tidy.sql, "engine/runtime/x.py", "ask = 'SELECT bytes FROM coupon'\n", 1),
    (tidy.sizes, "engine/x.py", "a = 1\n" * 401, 401),
    (tidy.sizes, "tests/x.py", "def f():\n" + "    a = 1\n" * 70, 1),
    (tidy.pragmas, "engine/x.py", "a = 1  # pragma: no " + "cover\n", 1),
    (tidy.pragmas, "engine/x.py", "a = 1  # pragma: no " + "cover - x\n", 1),
    (tidy.places, "docs/x.md", "see /wor" + "k/main\n", 1),
    (tidy.places, "x.lock", "--index-url https://py" + "pi.org/simple\n", 1),
]

ALLOWED: list[tuple[tidy.Check, str, str]] = [
    (tidy.clock, "engine/clock.py", "import time\na = time.time_ns()\n"),
    (tidy.clock, "engine/jit.py", "import time\na = time.perf_counter_ns()\n"),
    (tidy.clock, "tests/x.py", "import time\na = time.time()\n"),
    (tidy.clock, "engine/x.py", "def f(row):\n    return row.time.time_ns, a.now()\n"),
    (
        tidy.kernels,
        "engine/wire/x.py",
        KERNEL + "@kernel(1)\ndef f(a):\n    return np.int64(a['row']) // 2 + a.size\n",
    ),
    (tidy.kernels, "engine/wire/x.py", "def f(a):\n    return a.row / 2.0\n"),
    (tidy.records, "engine/layout.py", "import numpy as np\nA = np.dtype([('a', 'i8')])\n"),
    (tidy.sql, "engine/pool/sqlite.py", "ask = 'SELECT bytes FROM coupon'\n"),
    (tidy.sql, "engine/runtime/x.py", "'''Update the row and select the next one.'''\n"),
    (tidy.pragmas, "engine/x.py", "a = 1  # pragma: no cover - compiled kernels only\n"),
    (tidy.places, "docs/x.md", "a network/work/day, http://example.org/tmp/x\n"),
]


@pytest.mark.parametrize(("check", "path", "source", "line"), PLANTED)
def test_a_planted_violation_is_found(check: tidy.Check, path: str, source: str, line: int) -> None:
    found = check(path, source)
    assert len(found) == 1, found
    assert found[0].startswith(f"{path}:{line}: ")


@pytest.mark.parametrize(("check", "path", "source"), ALLOWED)
def test_what_is_allowed_is_not_found(check: tidy.Check, path: str, source: str) -> None:
    assert check(path, source) == []


def test_every_check_has_a_planted_violation() -> None:
    assert {check for check, *_ in PLANTED} == {*tidy.OF_PYTHON, *tidy.OF_TEXT}


def test_the_tree_is_tidy(project: Path) -> None:
    seen = list(tidy.files(project))
    assert {"pyproject.toml", "engine/jit.py", "tests/tidy/tidy.py", ".ci/run"} <= {
        entry.relative_to(project).as_posix() for entry in seen
    }
    assert [words for entry in seen for words in tidy.check_file(project, entry)] == []


def test_a_violation_planted_in_a_tree_is_found(tmp_path: Path) -> None:
    (tmp_path / "engine" / "wire").mkdir(parents=True)
    (tmp_path / "engine" / "wire" / "x.py").write_text("import time\na = time.time()\n")
    (tmp_path / "README.md").write_text("cd /wor" + "k/main\n")
    found = [w for entry in tidy.files(tmp_path) for w in tidy.check_file(tmp_path, entry)]
    assert found == [
        "README.md:1: a path of one machine",
        "engine/wire/x.py:2: use engine.clock",
    ]
