"""The tutorial's own functions (docs/tutorial/run.py), for the tests that play it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial"


def _load(name: str) -> ModuleType:
    """A program of the tutorial as a module: they lie in no package."""
    spec = importlib.util.spec_from_file_location(f"tutorial_{name}", TUTORIAL / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_run = _load("run")
copy_job = _run.copy_job
copy_programs = _run.copy_programs
free_port = _run.free_port
fetch = _load("fetch").fetch
_transcript = _load("transcript")
play = _transcript.play
masked = _transcript.masked
TRANSCRIPT = _transcript.TRANSCRIPT
