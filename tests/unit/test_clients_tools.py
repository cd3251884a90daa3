"""What all programs beside initctl have in common: their help, their version, and that packaging knows them."""

from __future__ import annotations

import importlib
import io
import tomllib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.scripted_upstart import Ran
from upstartd_clients import initctl2dot, monitor, reboot, runlevel, shutdown, telinit, upstart_job
from upstartd_clients.options import COMMON_OPTIONS
from upstartd_clients.output import Output, guarded

if TYPE_CHECKING:
    from collections.abc import Callable

    from upstartd_clients.tool import Tool

ROOT = Path(__file__).parents[2]
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


def run_reboot(name: str, words: list[str], output: Output) -> int:
    return reboot.run(name, words, {}, output)


TOOLS: dict[str, tuple[Tool, Callable[[list[str], Output], int]]] = {
    "runlevel": (runlevel.TOOL, lambda words, output: runlevel.run(words, {}, output)),
    "telinit": (telinit.TOOL, lambda words, output: telinit.run(words, {}, output)),
    "shutdown": (shutdown.TOOL, lambda words, output: shutdown.run(words, {}, output)),
    **{name: (tool, partial(run_reboot, name)) for name, tool in reboot.TOOLS.items()},
    "upstart-job": (upstart_job.TOOL, lambda words, output: upstart_job.run("/x/upstart-job", words, {}, output)),
    "initctl2dot": (initctl2dot.TOOL, lambda words, output: initctl2dot.run(words, {}, output)),
    "upstart-monitor": (monitor.TOOL, lambda words, output: monitor.run(words, {}, output)),
}


def run(program: str, *words: str) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    code = guarded(lambda output: TOOLS[program][1](list(words), output), Output(program, out, err))
    return Ran(code, out.getvalue(), err.getvalue())


@pytest.mark.parametrize("program", TOOLS)
def test_help_names_every_option_and_fits_a_terminal(program: str) -> None:
    tool = TOOLS[program][0]
    code, out, err = run(program, "--help")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"Usage: {program} {tool.usage[0]}"
    assert lines[len(tool.usage)] == tool.synopsis
    for option in (*tool.options, *COMMON_OPTIONS):
        shown = [line for line in lines if line.startswith(f"  {option.spelling} ")]
        assert len(shown) == bool(option.help), option
    names = [name for option in tool.all_options for name in (f"--{option.long}" * bool(option.long),
                                                              f"-{option.short}" * bool(option.short)) if name]
    assert len(names) == len(set(names))
    text = lines[len(lines) - lines[::-1].index(""):]
    assert text
    assert max(map(len, text)) <= 80


@pytest.mark.parametrize("program", TOOLS)
def test_version_and_help_are_asked_of_nobody_and_what_follows_is_not_looked_at(program: str) -> None:
    assert run(program, "--version", "--frob").out.splitlines()[0] == f"{program} (upstart 1.13.2)"
    assert run(program, "-q", "--help", "--frob").out == run(program, "--help").out
    assert run(program, "--frob", "--help") == (
        1, "", f"{program}: invalid option: --frob\nTry `{program} --help' for more information.\n")


@pytest.mark.parametrize(("name", "target"), SCRIPTS.items())
def test_every_program_that_is_installed_exists(name: str, target: str) -> None:
    module, _, function = target.partition(":")
    assert callable(getattr(importlib.import_module(module), function)), name


def test_every_tool_is_installed_and_packaging_says_where_every_program_goes() -> None:
    assert TOOLS.keys() <= SCRIPTS.keys()
    text = (ROOT / "packaging" / "README.md").read_text().partition("## The programs")[2]
    first_cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert sorted(name.strip(" `") for cell in first_cells for name in cell.split(",")) == sorted(SCRIPTS)
