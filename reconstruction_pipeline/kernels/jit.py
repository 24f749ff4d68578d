"""How this package compiles: decorators around numba with a cache keyed by source content.

Numba's on-disk cache looks only at the modification time of the file that holds the function, so an edit of a
helper module (the SIMD type, say) would leave stale machine code in use.  `kernel` keys the cache by a digest of
the function's own file and of every file of this package it imports, directly or not.  As the digest is of contents,
a fresh checkout or an installed wheel with the same sources finds the same cache.

The cache lives where numba puts it: `NUMBA_CACHE_DIR` if set, else next to the source, else (read-only installs)
in the user's cache folder; where nothing is writable, kernels compile again in each process.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache

PACKAGE = __package__
F = TypeVar("F", bound=Callable[..., Any])

# `contract` lets LLVM fuse multiply and add; nothing that may reorder sums or assume the absence of NaN is allowed,
# because the exponent tricks in simd_math and the NaN guards depend on exact IEEE behaviour.
_OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "boundscheck": False,
    "nogil": True,
    "fastmath": {"contract", "nsz"},
}

_SUMS: dict[str, Any] = {**_OPTIONS, "fastmath": {"contract", "nsz", "reassoc", "arcp"}}


def kernel(*, parallel: bool = False, reassociate: bool = False) -> Callable[[F], F]:
    """Decorator for an entry point called from Python: compiled on first call, cached on disk.

    reassociate lets LLVM reorder sums, which the auto-vectoriser needs for plain loops that add up a row.
    """

    def decorate(function: F) -> F:
        dispatcher = numba.njit(parallel=parallel, **(_SUMS if reassociate else _OPTIONS))(function)
        with contextlib.suppress(RuntimeError):  # nowhere to write: numba compiles in every process
            dispatcher._cache = _SourceKeyedCache(function)
        return dispatcher

    return decorate


def inline(function: F) -> F:
    """Decorator for a helper used inside kernels; always inlined, compiled with its caller."""
    return numba.njit(forceinline=True, **_OPTIONS)(function)


def device(function: F) -> F:
    """Decorator for a larger function called from kernels, kept as a call."""
    return numba.njit(**_OPTIONS)(function)


def row_sum(function: F) -> F:
    """Like `device`, with sums that may be reordered (see `kernel`)."""
    return numba.njit(**_SUMS)(function)


class _SourceKeyedCache(FunctionCache):
    """Numba's function cache, with the digest of all sources involved as its freshness stamp."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file._source_stamp = source_digest(function.__module__)


def source_digest(module: str) -> str:
    """SHA-256 over the sources of `module` and all modules of this package that it imports, in name order."""
    digest = hashlib.sha256()
    for name in sorted(_dependencies(module, frozenset())):
        digest.update(name.encode() + b"\0" + _source(name) + b"\0")
    return digest.hexdigest()


def _dependencies(module: str, seen: frozenset[str]) -> frozenset[str]:
    seen = seen | {module}
    for name in _imports(module):
        if name not in seen:
            seen = _dependencies(name, seen)
    return seen


@cache
def _imports(module: str) -> tuple[str, ...]:
    """Modules of this package that `module` imports by `from package.x import y` or `from package import x`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(_source(module))):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            found |= {f"{PACKAGE}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{PACKAGE}."):
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith(f"{PACKAGE}.")}
    return tuple(sorted(found))


@cache
def _source(module: str) -> bytes:
    loaded = sys.modules.get(module)
    spec = None if loaded else importlib.util.find_spec(module)
    origin = getattr(loaded, "__file__", None) or (spec.origin if spec else None)
    return Path(origin).read_bytes() if origin and origin.endswith(".py") and Path(origin).is_file() else b""
