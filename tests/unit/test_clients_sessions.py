"""list-sessions (clients specification, section 2; design, 35)."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.scripted_upstart import run_initctl
from upstartd_clients.errors import LocalError
from upstartd_clients.sessions import Session, find_sessions

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    found = tmp_path / "upstart" / "sessions"
    found.mkdir(parents=True)
    return found


@pytest.fixture
def dead() -> int:
    """The pid of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def announce(directory: Path, name: str, text: str) -> str:
    (directory / name).write_text(text)
    return str(directory / name)


def test_sessions_are_those_of_well_formed_files_by_pid(tmp_path: Path, directory: Path, dead: int) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    mine = announce(directory, f"{os.getpid()}.session", "UPSTART_SESSION=unix:abstract=/mine\n")
    first = announce(directory, "1.session", "UPSTART_SESSION=unix:abstract=/a=b,c\nmore\n")
    stale = announce(directory, f"{dead}.session", "UPSTART_SESSION=unix:abstract=/stale")
    for name in ("1.conf", "1a.session", "2.session.old", ".session", "README", "-3.session", "\u0661.session"):
        announce(directory, name, "UPSTART_SESSION=unix:abstract=/no\n")
    others = ["", "UPSTART_SESSION=\n", "OTHER=x\n", "unix:abstract=/x\n", "\nUPSTART_SESSION=x\n"]
    for number, text in enumerate(others):
        announce(directory, f"{10 + number}.session", text)
    (directory / "20.session").mkdir()
    assert find_sessions(environ) == sorted([
        Session(1, "unix:abstract=/a=b,c", first, True),
        Session(os.getpid(), "unix:abstract=/mine", mine, True),
        Session(dead, "unix:abstract=/stale", stale, False),
    ])


@pytest.mark.parametrize("pid", ["0", "9" * 30])
def test_what_can_be_no_process_is_stale(tmp_path: Path, directory: Path, pid: str) -> None:
    announce(directory, f"{pid}.session", "UPSTART_SESSION=x\n")
    assert [session.alive for session in find_sessions({"XDG_RUNTIME_DIR": str(tmp_path)})] == [False]


@pytest.mark.parametrize("value", ["", "relative", "./x"])
def test_a_runtime_directory_that_is_no_absolute_path_has_no_sessions(value: str) -> None:
    assert find_sessions({"XDG_RUNTIME_DIR": value}) == []
    assert run_initctl("initctl", "list-sessions", environ={"XDG_RUNTIME_DIR": value}) == (0, "", "")


def test_what_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LocalError):
        find_sessions({})
    assert run_initctl("initctl", "list-sessions", environ={}) == (
        1, "", "initctl: Unable to query session directory\n")
    assert run_initctl("initctl", "list-sessions", environ={"XDG_RUNTIME_DIR": str(tmp_path)}) == (
        1, "", "initctl: unable to determine sessions\n")


def test_list_sessions_shows_the_living_and_if_asked_the_stale(tmp_path: Path, directory: Path, dead: int) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    stale = announce(directory, f"{dead}.session", "UPSTART_SESSION=unix:abstract=/stale\n")
    announce(directory, "1.session", "UPSTART_SESSION=unix:abstract=/one\n")
    living, ignored = "1 unix:abstract=/one\n", f"Ignoring stale session file: {stale}\n"
    assert run_initctl("initctl", "list-sessions", environ=environ) == (0, living, "")
    assert run_initctl("initctl", "list-sessions", "-v", environ=environ) == (0, living + ignored, "")
    assert run_initctl("initctl", "list-sessions", "-v", "-q", environ=environ) == (0, "", "")
    assert run_initctl("initctl", "-q", "list-sessions", "-v", "x", environ=environ) == (0, living + ignored, "")
