"""The only door to numba: decorators for kernels, the prefetch intrinsic, and the cache folder.

numba's own cache does not notice a change in a function that a kernel calls from another file, so the
folder is named after a hash of all kernel sources: a changed source means a fresh folder. It lies in the
user's own cache folder, is made for that user alone (0700), and is passed over where somebody else owns
or may write it (a cache file is unpickled when it is read).
"""

import ctypes
import hashlib
import importlib
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

DISABLED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
"""True where kernels run as plain Python (for branch coverage)"""


def source_hash() -> str:
    """Hex digest of the sources that kernels are made of: the cache folder's name.

    Kernels with bounds checks are others, which numba's own cache does not tell apart.
    """
    digest = hashlib.sha256(os.environ.get("NUMBA_BOUNDSCHECK", "").encode())
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _own_folder(path: Path) -> bool:
    """Make `path` for this user alone; False if that fails or others could have put files there."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = path.stat()
    except OSError:
        return False
    ours = info.st_uid == os.geteuid() and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return ours and os.access(path, os.W_OK | os.X_OK)


def cache_folder() -> Path | None:
    """Folder for compiled kernels, or None where no safe one is to be had (then nothing is kept)."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(base) / "pktoll" / source_hash()
    return folder if os.path.isabs(base) and _own_folder(folder) else None


CACHE = None if DISABLED else cache_folder()
if CACHE is not None:
    os.environ["NUMBA_CACHE_DIR"] = str(CACHE)

import numba  # noqa: E402  (its cache folder is read from the environment when it is imported)
import numpy as np  # noqa: E402
from numba import types  # noqa: E402
from numba.core import cgutils  # noqa: E402
from numba.core.compiler_lock import global_compiler_lock  # noqa: E402
from numba.core.registry import CPUDispatcher  # noqa: E402
from numba.extending import intrinsic  # noqa: E402

Kernel = Callable[..., Any]

# Without numba's run-time (`_nrt`) kernels cannot allocate, and arrays that are handed from function to
# function are not reference-counted: those atomic operations would cost more than a packet does.
_OPTIONS = {"_nrt": False}
Declared = tuple[Any, tuple[Any, ...]]
"""a kernel and its argument types"""
_kernels: list[Declared] = []
_aside: list[Any] = []
"""those that a process of its own compiles, while this one compiles the others"""

i8 = types.int64
i8s = types.int64[::1]
i8s2 = types.int64[:, ::1]
u1s = types.uint8[::1]


def rows(dtype: "np.dtype[Any]") -> Any:
    """The numba type of a C-contiguous array of records."""
    return numba.from_dtype(dtype)[::1]


def tuple_of(*members: Any) -> Any:
    """The numba type of a tuple of arrays: tables that belong together are handed over as one."""
    return types.Tuple(members)


def kernel(*arguments: Any, aside: bool = False) -> Callable[[Kernel], Kernel]:
    """Compile a batch kernel for exactly these argument types; `warm` does it ahead of the first call.

    No GIL is held, no exception may leave it (kernels return codes), integer wrap-around is C's. `aside` is
    for one that takes as long to compile as all others together.
    """

    def decorate(function: Kernel) -> Kernel:
        compiled = numba.njit(nogil=True, cache=CACHE is not None, **_OPTIONS)(function)
        if not DISABLED:
            _kernels.append((compiled, arguments))
            _aside.extend([compiled] * aside)
        return compiled  # type: ignore[no-any-return]

    return decorate


class _Leaf(CPUDispatcher):  # type: ignore[misc]
    """A function that kernels call. It is compiled without a cache and without what Python calls it by, as
    kernels hold its code: that was a quarter of the time that all of them take to compile.

    Python may call it all the same: then it runs as Python does, which takes integers of any size (and
    refuses `prefetch` and `apart`).
    """

    in_python: Kernel | None = None

    def __call__(self, *arguments: Any) -> Any:
        return (self.in_python or self.py_func)(*arguments)


def _for_kernels(function: Kernel, **options: Any) -> Kernel:
    bare = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    made: Kernel = numba.njit(nogil=True, **bare, **options, **_OPTIONS)(function)
    if not DISABLED:
        made.__class__ = _Leaf
    return made


def leaf(function: Kernel) -> Kernel:
    """Compile a function that kernels call; its types come from them, and it is inlined by LLVM."""
    return _for_kernels(function)


def inlined(function: Kernel) -> Kernel:
    """Like `leaf`, but LLVM has to inline it: for the path that nearly every packet takes.

    A call that is not inlined passes every array as seven words on the stack.
    """
    return _for_kernels(function, forceinline=True)


def cached() -> bool:
    """Whether compiled kernels of these very sources lie in the cache."""
    return CACHE is not None and any(CACHE.rglob("*.nbi"))


def warm() -> int:
    """Compile (or load from the cache) every kernel declared so far; returns the ns that it took."""
    begin_ns = time.perf_counter_ns()
    missing = [each for each in _kernels if each[1] not in each[0].overloads and not _loaded(*each)]
    with _compiled_aside(missing) as elsewhere:
        for compiled, arguments in missing:
            if compiled not in elsewhere:
                compiled.compile(arguments)
    for compiled, arguments in missing:
        if arguments not in compiled.overloads and not _loaded(compiled, arguments):
            compiled.compile(arguments)
    return time.perf_counter_ns() - begin_ns


@contextmanager
def _compiled_aside(missing: list[Declared]) -> Iterator[list[Any]]:
    """The kernels that other processes compile into the cache meanwhile; waited for at the end.

    None where it would gain nothing: a single core, nothing else to compile, no cache.
    """
    elsewhere = [compiled for compiled, _ in missing if compiled in _aside]
    if CACHE is None or len(elsewhere) == len(missing) or not _spare_core():
        elsewhere = []
    running: list[subprocess.Popen[bytes]] = []
    try:
        with suppress(OSError):  # then there is none, and this one compiles all
            running += map(_start_to_compile, elsewhere)
        yield elsewhere[: len(running)]
        for process in running:
            process.wait()
    finally:
        for process in running:
            process.kill()
            process.wait()


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _spare_core() -> bool:
    """Whether another process could run beside this one; and that Python itself can be started."""
    return usable_cores() > 1 and Path(sys.executable or "").name.startswith("python")


def _start_to_compile(compiled: Any) -> "subprocess.Popen[bytes]":
    """What it says is for nobody: a kernel that it does not leave in the cache is compiled here."""
    function = compiled.py_func
    path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
    code = "import sys; from engine import jit; jit.compile_alone(*sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code, function.__module__, function.__qualname__],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def compile_alone(module: str, name: str) -> None:
    """Compile one kernel into the cache, and nothing else: see `warm`."""
    importlib.import_module(module)
    for compiled, arguments in _kernels:
        function = compiled.py_func
        if (function.__module__, function.__qualname__) == (module, name):
            compiled.compile(arguments)


def _loaded(compiled: Any, arguments: tuple[Any, ...]) -> bool:
    """Load a kernel from the cache as `compile` does, but without what only compiling needs.

    numba first makes all that it knows of Python and numpy known to the compiler, which takes longer than
    to load all kernels. What this relies on is not documented: without it `compile` does the whole.
    """
    with global_compiler_lock:
        try:
            context = compiled.targetctx
            context.refresh = _nothing
            try:
                found = compiled._cache.load_overload(arguments, context)
            finally:
                del context.refresh
            if found is not None:
                compiled._cache_hits[arguments] += 1
                known = found.entry_point, found.fndesc, [found.library]
                context.insert_user_function(*known)  # for those that call this one
                compiled.add_overload(found)
        except AttributeError:
            return False
    return found is not None


def _nothing() -> None:
    """What there is to do before a kernel is loaded."""


def kernels() -> list[tuple[str, int, int]]:
    """(name, compiled signatures, loaded from the cache) of every kernel, for `doctor` and tests."""
    return [
        (k.py_func.__qualname__, len(k.signatures), sum(k.stats.cache_hits.values()))
        for k, _ in _kernels
    ]


def load(octets: int, order: str) -> Callable[[Kernel], Kernel]:
    """Of a function (array of bytes, index) -> int64 that says in Python what is loaded: one instruction.

    `octets` are 2, 4 or 8 in the `order` "big" or "little", none of them negative but 8. Where bounds are
    checked, and where Python calls it, the function itself is what runs.
    """

    def decorate(function: Kernel) -> Kernel:
        if DISABLED or os.environ.get("NUMBA_BOUNDSCHECK", "0") not in ("", "0"):
            return inlined(function)
        raw = _raw_load(octets * 8, order != sys.byteorder)
        made = inlined(lambda buf, at: raw(buf, at))
        made.in_python = function  # type: ignore[attr-defined]
        return made

    return decorate


def _raw_load(bits: int, swapped: bool) -> Any:
    """LLVM pieces a load together from single bytes by itself, but not where some of them are not used or
    used twice: parsing a plain packet took 205 instructions."""

    @intrinsic  # type: ignore[untyped-decorator]
    def raw(typing_context: Any, buf: Any, at: Any) -> Any:
        del typing_context

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, args[0])
            word = cgutils.ir.IntType(bits)
            place = builder.bitcast(builder.gep(array.data, [args[1]]), word.as_pointer())
            value = builder.load(place, align=1)
            value = builder.bswap(value) if swapped else value
            return builder.zext(value, context.get_value_type(i8)) if bits < 64 else value

        return types.int64(buf, types.int64), generate

    return raw


@inlined
def unsigned(index: Any) -> Any:
    """An index that is known not to be negative: numba then allows for no wrap-around."""
    return np.uint64(index)


# Calls of the C library that kernels make by themselves: a turn of a TUN device's packets needs no Python
# in between. Addresses are numbers, which the caller vouches for; all are int64, which the C types on
# 64-bit systems take from the same registers. Below 0: it failed, or would have had to wait.
if DISABLED:
    _libc = ctypes.CDLL(None)
    _word = ctypes.c_ssize_t

    def _external(name: str, words: int = 3) -> Any:
        function = getattr(_libc, name)
        function.restype, function.argtypes = _word, (_word,) * words
        return function

else:

    def _external(name: str, words: int = 3) -> Any:
        return types.ExternalFunction(name, types.intp(*(types.int64,) * words))


read_file = _external("read")
"""read(descriptor, address, bytes) -> bytes read"""
read_at = _external("pread", 4)
"""pread(descriptor, address, bytes, offset) -> bytes read"""
write_file = _external("write")
"""write(descriptor, address, bytes) -> bytes written"""
move_bytes = _external("memmove")
"""memmove(to address, from address, bytes)"""

if DISABLED:

    def prefetch(table: Any, index: Any) -> None:
        """Ask for the cache line of `table[index]`; without the JIT there is nothing to ask."""

    def apart() -> None:
        """Keep the function that calls this out of its callers; without the JIT it is."""

else:

    @intrinsic  # type: ignore[untyped-decorator]
    def apart(typing_context: Any) -> Any:
        """Keep the function that calls this out of its callers: what is rare there leaves the registers to
        what is not. For leaves that kernels call; what an inlined function calls is inlined with it."""
        del typing_context

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            del signature, args
            builder.function.attributes.add("noinline")
            return context.get_dummy_value()

        return types.void(), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def prefetch(typing_context: Any, table: Any, index: Any) -> Any:
        """Ask for the cache line at which `table[index]` begins, for writing, and do not wait."""
        del typing_context

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array_type, _ = signature.args
            array = context.make_array(array_type)(context, builder, args[0])
            pointer = cgutils.get_item_pointer(
                context, builder, array_type, array, [args[1]], wraparound=False
            )
            byte = context.get_value_type(types.voidptr)
            word = context.get_value_type(types.int32)
            signature_ = cgutils.ir.FunctionType(cgutils.ir.VoidType(), [byte, word, word, word])
            function = cgutils.get_or_insert_function(
                builder.module, signature_, "llvm.prefetch.p0"
            )
            builder.call(
                function,
                [builder.bitcast(pointer, byte), word(1), word(3), word(1)],
            )
            return context.get_dummy_value()

        return types.void(table, types.intp), generate
