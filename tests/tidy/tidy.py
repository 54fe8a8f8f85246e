"""The house rules that a machine can check: each check takes (path, source), names what it finds.

`path` is relative to the project, with forward slashes; a finding reads `path:line: words`. The
checks are themselves tested with planted violations in test_tidy.py.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

Check = Callable[[str, str], list[str]]

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
KERNEL_PARAMETERS_MAX = 8

Function = ast.FunctionDef | ast.AsyncFunctionDef
_CLOCK_MODULE_FREE = {"sleep"}
_CLOCK_CALLS = {"now", "today", "utcnow"}
_SQL_ROOMS = ("engine/pool/sqlite", "engine/pool/postgres", "engine/pool/checks.py")
_SQL = re.compile(
    r"\s*(SELECT\s|INSERT\s+(OR\s+\w+\s+)?INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|CREATE\s+TABLE\s"
    r"|PRAGMA\s+\w+|BEGIN\s+IMMEDIATE)"
)
# Put together from pieces, so that this file does not find itself.
_HOSTS = re.compile(
    "|".join((r"pypi\." + "org", r"python" + r"hosted\.org", "registry" + r"\.npmjs"))
)
_PATHS = re.compile(r"(?<![\w./\-])/(work|root|" + r"tmp|home/\w+)/")
_PRAGMA = re.compile(r"#\s*pragma:\s*no\s*(cover|branch)(?P<rest>.*)")
_REASON = re.compile(r"\s*[-:(,;]\s*\w{2,}\W+\w{2,}")


def _find(path: str, line: int, words: str) -> str:
    return f"{path}:{line}: {words}"


def _in_packages(path: str) -> bool:
    return path.startswith(("engine/", "gateway_sim/"))


def _functions(tree: ast.AST) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _decorated(function: Function) -> set[str]:
    names = set()
    for decorator in function.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(target, ast.Attribute):
            names.add(target.attr)
        elif isinstance(target, ast.Name):
            names.add(target.id)
    return names


def _kernels(tree: ast.AST) -> Iterator[Function]:
    for function in _functions(tree):
        if _decorated(function) & {"kernel", "leaf"}:
            yield function


def clock(path: str, source: str) -> list[str]:
    """The wall clock is read in engine/clock.py alone, and by the LTE side in a module of its own;
    engine/jit.py may time its compiling."""
    if not _in_packages(path) or path in ("engine/clock.py", "gateway_sim/live/clock.py"):
        return []
    free = _CLOCK_MODULE_FREE | ({"perf_counter_ns"} if path == "engine/jit.py" else set())
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            if {alias.name for alias in node.names} - free:
                found.append(_find(path, node.lineno, "use engine.clock"))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            of_time = owner == "time" and isinstance(node.value, ast.Name) and node.attr not in free
            if of_time or (owner in {"datetime", "date"} and node.attr in _CLOCK_CALLS):
                found.append(_find(path, node.lineno, "use engine.clock"))
    return found


def _faults_of_kernel(kernel: Function, imported: set[str]) -> Iterator[tuple[int, str]]:
    for node in (inner for statement in kernel.body for inner in ast.walk(statement)):
        line = getattr(node, "lineno", kernel.lineno)
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield line, "no floats in a kernel"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield line, "no true division in a kernel: use //"
        elif isinstance(node, ast.Name) and node.id == "float":
            yield line, "no floats in a kernel"
        elif isinstance(node, ast.Raise | ast.Assert | ast.Try):
            yield line, "a kernel never raises: return a code"
        elif isinstance(node, ast.Attribute) and node.attr not in {"size", "shape"}:
            root = node.value
            if not (isinstance(root, ast.Name) and root.id in imported):
                yield line, f'write row["{node.attr}"]: row.{node.attr} fails with the JIT off'


def kernels(path: str, source: str) -> list[str]:
    """Kernels: integers only, no exceptions, fields by name in brackets, few parameters."""
    if not _in_packages(path):
        return []
    tree = ast.parse(source)
    imported = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    found = []
    for kernel in _kernels(tree):
        parameters = len(kernel.args.posonlyargs) + len(kernel.args.args)
        if parameters > KERNEL_PARAMETERS_MAX or kernel.args.kwonlyargs or kernel.args.vararg:
            words = f"{kernel.name}: a kernel has at most {KERNEL_PARAMETERS_MAX} parameters"
            found.append(_find(path, kernel.lineno, words))
        found += [_find(path, *fault) for fault in _faults_of_kernel(kernel, imported)]
    return found


def records(path: str, source: str) -> list[str]:
    """Records are declared in engine/layout.py, those of the live gateway in engine/live_layout.py."""
    if not _in_packages(path) or path in ("engine/layout.py", "engine/live_layout.py"):
        return []
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and node.args):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node.func, ast.Name) else name
        if name == "dtype" and isinstance(node.args[0], ast.List | ast.Dict | ast.Tuple):
            found.append(_find(path, node.lineno, "declare records in engine/layout.py"))
    return found


def exceptions(path: str, source: str) -> list[str]:
    """Exception classes are declared in engine/errors.py alone."""
    if not _in_packages(path) or path == "engine/errors.py":
        return []
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base) for base in node.bases]
            if any(base.endswith(("Error", "Exception")) for base in bases):
                found.append(_find(path, node.lineno, "declare exceptions in engine/errors.py"))
    return found


def sql(path: str, source: str) -> list[str]:
    """SQL is written in the modules of the two databases (and their migrations) alone."""
    if not _in_packages(path) or path.startswith(_SQL_ROOMS):
        return []
    return [
        _find(path, node.lineno, "SQL belongs to engine/pool/sqlite* or engine/pool/postgres*")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.match(node.value)
    ]


def sizes(path: str, source: str) -> list[str]:
    """Files and functions short enough to be read in one go."""
    lines = source.count("\n")
    found = []
    if lines > FILE_LINES_MAX:
        found.append(_find(path, lines, f"a file has at most {FILE_LINES_MAX} lines"))
    for function in _functions(ast.parse(source)):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        if length > FUNCTION_LINES_MAX:
            words = f"{function.name} has {length} lines, at most {FUNCTION_LINES_MAX}"
            found.append(_find(path, function.lineno, words))
    return found


def pragmas(path: str, source: str) -> list[str]:
    """What is left out of the coverage says why, on the same line."""
    found = []
    for number, line in enumerate(source.splitlines(), 1):
        match = _PRAGMA.search(line)
        if match and not _REASON.match(match["rest"]):
            found.append(_find(path, number, "say why after `pragma: no " + match[1] + "`"))
    return found


def places(path: str, source: str) -> list[str]:
    """No folder of one machine, no host of a package registry."""
    return [
        _find(path, number, words)
        for number, line in enumerate(source.splitlines(), 1)
        for pattern, words in (
            (_PATHS, "a path of one machine"),
            (_HOSTS, "a registry's host"),
        )
        if pattern.search(line)
    ]


OF_PYTHON: tuple[Check, ...] = (clock, kernels, records, exceptions, sql, sizes, pragmas, places)
OF_TEXT: tuple[Check, ...] = (places,)
_TEXT = {".md", ".toml", ".lock", ".sh", ".c", ".h", ".json", ".jsonl", ".sql", ".csv", ".txt", ""}
_FOLDERS = (".ci", "bench", "configs", "docs", "engine", "gateway_sim", "tests")
_PASSED_OVER = {"__pycache__", "build"}


def files(project: Path) -> Iterator[Path]:
    """Every text file of the project: what lies at its top, and all in its own folders."""
    tops = (e for e in project.iterdir() if e.is_file() and not e.name.startswith(".coverage"))
    yield from sorted(tops)
    for folder in _FOLDERS:
        for entry in sorted((project / folder).rglob("*")):
            if entry.is_file() and not _PASSED_OVER & set(entry.relative_to(project).parts):
                yield entry


def check_file(project: Path, entry: Path) -> list[str]:
    """All findings in one file; files that are neither Python nor text have none."""
    path = entry.relative_to(project).as_posix()
    checks = OF_PYTHON if entry.suffix == ".py" else OF_TEXT
    if entry.suffix != ".py" and entry.suffix not in _TEXT:
        return []
    source = entry.read_text(encoding="utf-8")
    return [finding for check in checks for finding in check(path, source)]
