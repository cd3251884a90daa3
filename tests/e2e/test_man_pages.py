"""The manual pages: made of what is there, and in agreement with what the programs accept."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.waiting import LIMIT
from upstartd.cli import EarlyEnd, parse
from upstartd_clients.commands import COMMANDS

if TYPE_CHECKING:
    from types import ModuleType

MAN = Path(__file__).parents[2] / "packaging" / "man"
# What no help shows: what is for those who look for a fault, and what a daemon gives itself when it executes anew.
UNSHOWN = {"--debug", "--restart", "--state-fd"}
# Programs by the page that they are on.
ON_PAGE = {path.stem: path.read_text().split("/")[1][:-3] if path.read_text().startswith(".so ") else path.stem
           for path in MAN.glob("*.8")}

# Calls a program in turn with each of the options that come in as JSON, and prints those that it knows.
WHICH_ARE_KNOWN = """
import contextlib, importlib, io, json, sys
target, program, before, candidates = json.load(sys.stdin)
module, _, function = target.partition(":")
main = getattr(importlib.import_module(module), function)
known = []
for option in candidates:
    sys.argv = [program, *before, option, "--help"]
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        main()
    said.seek(0)
    if "invalid option" not in said.read():
        known.append(option)
print(json.dumps(known))
"""


@cache
def make() -> ModuleType:
    """The program that writes the pages."""
    sys.path.insert(0, str(MAN))
    try:
        return importlib.import_module("make")
    finally:
        sys.path.remove(str(MAN))


@cache
def made() -> dict[str, str]:
    pages: dict[str, str] = make().pages()
    return pages


def plain(roff: str) -> str:
    """A page's text without fonts, and with hyphens as they are typed."""
    return re.sub(r"\\f[BIPR]|\\&", "", roff).replace("\\-", "-").replace("\\e", "\\")


def options_in(text: str) -> set[str]:
    """The options that a text has a paragraph for."""
    found = re.findall(r"^\.TP\n(-.*)$", plain(text), flags=re.MULTILINE)
    return {re.split(r"[= ]", name)[0] for spelled in found for name in spelled.split(", ")}


def section(page: str, title: str) -> str:
    """A section of a page."""
    match = re.search(rf"^\.SH {title}\n(.*?)(?=^\.SH |\Z)", page, flags=re.MULTILINE | re.DOTALL)
    assert match, title
    return match[1]


def options_of(program: str) -> set[str]:
    """The options that a program's page has for it."""
    text = section(made()[f"{ON_PAGE[program]}.8"], "OPTIONS")
    common, *others = re.split(r"^\.SS Of (.*)\n", text, flags=re.MULTILINE)
    return options_in(common) | options_in(dict(zip(others[::2], others[1::2], strict=True)).get(program, ""))


def candidates() -> list[str]:
    """Every option that any page has, and every letter."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    found = {f"-{letter}" for letter in letters + letters.upper()}
    return sorted(found.union(UNSHOWN, *map(options_in, made().values())))


def known_to(program: str, *before: str) -> set[str]:
    """The options that a program accepts after these words."""
    question = json.dumps([make().SCRIPTS[program], program, before, candidates()])
    done = subprocess.run([sys.executable, "-c", WHICH_ARE_KNOWN], input=question, capture_output=True, text=True,
                          timeout=4 * LIMIT, check=True)
    return set(json.loads(done.stdout))


def test_the_pages_are_what_the_programs_and_the_reference_say() -> None:
    assert {path.name: path.read_text() for path in MAN.glob("*.[0-9]")} == made(), "run `make docs`"


def test_every_program_has_a_page_and_so_have_job_files_and_events() -> None:
    assert {f"{name}.8" for name in make().SCRIPTS} | {"init.5", "upstart-events.7"} == set(made())
    for name, page in ON_PAGE.items():
        assert name in section(made()[f"{page}.8"], "NAME").replace("\\-", "-").partition(" - ")[0].split(", "), name


@pytest.mark.parametrize("program", sorted(set(ON_PAGE) - {"upstartd"}))
def test_a_program_accepts_the_options_of_its_page_and_no_others(program: str) -> None:
    expected = options_of(program)
    if program in COMMANDS:
        expected |= command_options(program)
    assert known_to(program) - UNSHOWN == expected - UNSHOWN
    assert expected


def command_options(name: str) -> set[str]:
    """The options that the page of initctl has for a command."""
    text = section(made()["initctl.8"], "COMMANDS")
    match = re.search(rf"^\.TP\n{re.escape(name)}(?: [^\n]*)?\n(?P<about>.*?)(?=^\.TP\n[a-z]|^\.SS|\Z)", plain(text),
                      flags=re.MULTILINE | re.DOTALL)
    assert match, name
    return options_in(match["about"])


@pytest.mark.parametrize("name", [command.name for command in COMMANDS.values()])
def test_a_command_of_initctl_accepts_its_options_and_those_of_all(name: str) -> None:
    assert known_to("initctl", name) - UNSHOWN == command_options(name) | options_of("initctl")


def test_the_daemon_accepts_the_options_of_its_page_and_no_others() -> None:
    known = set()
    for option in candidates():
        try:
            parse([option], {}, uid=0, pid=200)
        except EarlyEnd as end:
            if "invalid option" in end.text:
                continue
        known.add(option)
    assert known - UNSHOWN == options_of("upstartd")


def test_a_page_is_right_for_those_who_show_it(tmp_path: Path) -> None:
    mandoc, man = shutil.which("mandoc"), shutil.which("man")
    if not (mandoc or man):
        pytest.skip("neither mandoc nor man is installed")
    for name, text in made().items():
        if text.startswith(".so "):
            continue
        page = tmp_path / name
        page.write_text(text)
        show = [mandoc, "-T", "lint", "-W", "error", str(page)] if mandoc else [
            str(man), "--local-file", "--warnings", "-E", "UTF-8", str(page)]
        done = subprocess.run(show, capture_output=True, text=True, timeout=LIMIT, check=False)
        assert (done.returncode, done.stderr) == (0, ""), name
        if mandoc:
            assert done.stdout == "", name


def test_a_page_says_nothing_that_man_would_take_for_a_request() -> None:
    requests = {"TH", "SH", "SS", "PP", "TP", "IP", "RS", "RE", "EX", "EE", "br", "so"}
    for name, text in made().items():
        for each in text.splitlines():
            if each.startswith((".", "'")):
                assert re.split(r"[ \\]", each[1:])[0] in requests or each.startswith('.\\"'), (name, each)
