"""The engine is pure: nothing in it can reach the system, the clock or a bus, since nothing of that is imported."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import upstartd.engine

ENGINE = Path(upstartd.engine.__file__).parent
# Every module outside the project that the engine may import. What is not here does input, output, or waits.
PURE = {"__future__", "collections", "dataclasses", "enum", "functools", "heapq", "re", "typing"}
# Modules of the project that it may import at run time: values, and what is as pure as the engine.
OURS = {"upstartd.conf.model", "upstartd.engine", "upstartd.errors", "upstartd.log", "upstartd.signals"}


def imported(path: Path) -> set[str]:
    """The modules that a file imports anywhere in it, at run time or for types."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("path", sorted(ENGINE.glob("*.py")), ids=lambda path: path.stem)
def test_the_engine_imports_nothing_that_does_input_or_output(path: Path) -> None:
    for name in imported(path):
        ours = any(name == one or name.startswith(one + ".") for one in OURS)
        assert ours or name.partition(".")[0] in PURE, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", sorted(ENGINE.glob("*.py")), ids=lambda path: path.stem)
def test_the_engine_opens_nothing_and_prints_nothing(path: Path) -> None:
    calls = {node.func.id for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}
