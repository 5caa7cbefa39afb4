"""Prints the documented public objects of this interpreter's standard library as one JSON list.

`pydocs` runs this file in a fresh interpreter, which sees neither the packages nor the patches of
the calling process, so that the list depends on the build of Python alone. It imports nothing but
the standard library itself.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import json
import pkgutil
import re
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

# Modules that act when imported (print, open a browser or a window, hook the terminal), that hold
# no documentation
# of their own (tests, codecs, demos, another platform's paths), or that many builds of Python lack.
SKIPPED = frozenset(
    "antigravity curses distutils encodings ensurepip idlelib lib2to3 msilib nt ntpath nturl2path "
    "posix readline "
    "rlcompleter sre_compile sre_constants sre_parse test this tkinter turtle turtledemo".split()
)
SKIPPED_PARTS = frozenset({"test", "tests", "idle_test"})
# module -> the name its users write
RENAMED = {"posixpath": "os.path", "genericpath": "os.path", "builtins": ""}


def main() -> None:
    """Writes [[name, [parameter, ...], documentation], ...] to standard output, sorted by name."""
    # pdb imports readline from Python 3.13 on, if it is there; None is documented to prevent that
    sys.modules["readline"] = None  # pyright: ignore[reportArgumentType]
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        objects = documented()
    json.dump(objects, sys.stdout)


def documented() -> list[tuple[str, list[str], str]]:
    """(name, parameters, documentation) of each object, sorted by name.

    Of objects that say the same the shortest name.
    """
    objects = named_objects()
    kept: dict[str, str] = {}
    for name in sorted(objects, key=_length):
        documentation = documentation_of(objects[name])
        if documentation:
            kept.setdefault(documentation, name)
    return sorted(
        (name, _parameters(objects[name]), documentation) for documentation, name in kept.items()
    )


def named_objects() -> dict[str, object]:
    """Public functions, classes and methods by name, each object once however often it is
    re-exported.
    """
    names: dict[int, list[str]] = {}
    objects: dict[int, object] = {}
    for module in _modules():
        for name, value in _members(module):
            names.setdefault(id(value), []).append(name)
            objects[id(value)] = value  # also keeps the object alive, so that its id stays its own
    return {
        _own_name(objects[key], alternatives): objects[key] for key, alternatives in names.items()
    }


def documentation_of(value: object) -> str:
    """Docstring of an object, for a class followed by that of its own constructor.

    "" where there is none.
    """
    parts = [value.__doc__]
    if inspect.isclass(value):
        constructor = vars(value).get("__init__")
        parts = [
            vars(value).get("__doc__"),
            constructor.__doc__ if isinstance(constructor, types.FunctionType) else None,
        ]
    cleaned = [inspect.cleandoc(part) for part in parts if isinstance(part, str)]
    return re.sub(r" at 0x[0-9a-fA-F]+", "", "\n\n".join(part for part in cleaned if part))


def _modules() -> Iterator[types.ModuleType]:
    for name in sorted(sys.stdlib_module_names - SKIPPED):
        module = None if name.startswith("_") else _imported(name)
        if module is None:
            continue
        yield module
        for found in pkgutil.walk_packages(
            getattr(module, "__path__", []), name + ".", onerror=lambda _: None
        ):
            if not any(
                part.startswith("_") or part in SKIPPED_PARTS for part in found.name.split(".")
            ):
                module = _imported(found.name)
                if module is not None:
                    yield module


def _imported(name: str) -> types.ModuleType | None:
    try:
        return importlib.import_module(name)
    except Exception:  # a module of another platform, or of a library that this build lacks
        return None


def _members(module: types.ModuleType) -> Iterator[tuple[str, object]]:
    """(name, object) of the public functions and classes of a module and of the public methods of
    its classes.
    """
    prefix = RENAMED.get(module.__name__, module.__name__)
    for name, value in sorted(vars(module).items()):
        if name.startswith("_") or not (inspect.isclass(value) or inspect.isroutine(value)):
            continue
        qualified = f"{prefix}.{name}" if prefix else name
        yield qualified, value
        for attribute, member in sorted(vars(value).items()) if inspect.isclass(value) else ():
            if isinstance(member, (staticmethod, classmethod)):
                member = member.__func__
            if not attribute.startswith("_") and inspect.isroutine(member):
                yield f"{qualified}.{attribute}", member


def _own_name(value: object, names: list[str]) -> str:
    """The shortest name in the package that defines the object, or the shortest of all if it is
    defined in a hidden one.
    """
    home = (
        getattr(value, "__module__", None)
        or getattr(getattr(value, "__objclass__", None), "__module__", None)
        or ""
    )
    package = RENAMED.get(home, home).lstrip("_").partition(".")[0]
    return min([name for name in names if name.partition(".")[0] == package] or names, key=_length)


def _length(name: str) -> tuple[int, int, str]:
    return name.count("."), len(name), name


def _parameters(value: Any) -> list[str]:
    try:
        return [name for name in inspect.signature(value).parameters if name not in ("self", "cls")]
    # written in C without a signature, or with a default that cannot be evaluated
    except Exception:
        return []


if __name__ == "__main__":
    main()
