"""A program that executes itself anew is what it was before, wherever it has gone meanwhile."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from upstartd.reexecution import Program, next_arguments

# Executes itself anew three times, each time from another directory and with another PATH, and says what it is then.
AGAIN = f"""#!{sys.executable}
import os, sys
from upstartd.reexecution import Program

count = int(os.environ.get("COUNT", 0))
program = Program(100 + count if count else None)
if count < 3:
    os.chdir("/")
    program.execute(101 + count, {{"PATH": "/nowhere", "COUNT": str(count + 1)}})
print(os.getcwd(), sys.prefix, *sys.argv[1:])
"""


@pytest.mark.parametrize("command", [
    ("./again",), ("python", "again"), ("python", "-m", "again"), ("python", "-u", "-W", "ignore", "./again"),
])
def test_a_program_that_left_its_directory_is_executed_anew_as_it_was(tmp_path: Path, command: tuple[str, ...]) -> None:
    for name in ("again", "again.py"):
        (tmp_path / name).write_text(AGAIN)
        (tmp_path / name).chmod(0o755)
    environ = {"PATH": f"{Path(sys.executable).parent}"}
    done = subprocess.run([*command, "--user", "--confdir", "jobs"], cwd=tmp_path, env=environ, capture_output=True,
                          text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == f"{tmp_path} {sys.prefix} --user --confdir jobs --restart --state-fd 103\n"


def test_a_program_whose_directory_was_removed_is_executed_anew_where_it_is(tmp_path: Path) -> None:
    program, gone = tmp_path / "again", tmp_path / "gone"
    program.write_text(AGAIN.replace('os.chdir("/")', f"os.path.exists('{gone}') and os.rmdir('{gone}')")
                       .replace("os.getcwd()", "len(os.listdir())"))
    gone.mkdir()
    done = subprocess.run([sys.executable, program], cwd=gone, env={}, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == f"0 {sys.prefix} --restart --state-fd 103\n"


def test_where_it_cannot_be_executed_the_process_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = Program(None)
    monkeypatch.chdir("/")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "removed"))
    with pytest.raises(FileNotFoundError):
        program.execute(7, {})
    assert os.getcwd() == "/"


def test_where_its_directory_is_gone_nothing_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "directory"
    directory.mkdir()
    monkeypatch.chdir(directory)
    program = Program(None)
    monkeypatch.chdir("/")
    directory.rmdir()
    with pytest.raises(OSError, match=str(directory)) as refused:
        program.execute(7, {})
    assert refused.value.errno == errno.ENOENT


@pytest.mark.parametrize(("arguments", "state_fd", "following"), [
    ([], None, ["--restart", "--state-fd", "7"]),
    (["--user"], None, ["--user", "--restart", "--state-fd", "7"]),
    (["--user", "--restart", "--state-fd", "5"], 5, ["--user", "--restart", "--state-fd", "7"]),
    # What somebody has given by hand is left alone: the last of several counts.
    (["--confdir", "a", "--restart"], None, ["--confdir", "a", "--restart", "--restart", "--state-fd", "7"]),
    (["--restart", "--state-fd=5"], 5, ["--restart", "--state-fd=5", "--restart", "--state-fd", "7"]),
    (["--state-fd", "5", "--restart"], 5, ["--state-fd", "5", "--restart", "--restart", "--state-fd", "7"]),
    (["--restart", "--state-fd", "5", "-v"], 5, ["--restart", "--state-fd", "5", "-v", "--restart", "--state-fd", "7"]),
    # What comes after `--` is no option.
    (["-v", "--", "quiet"], None, ["-v", "--restart", "--state-fd", "7", "--", "quiet"]),
    (["--restart", "--state-fd", "5", "--", "ro"], 5, ["--restart", "--state-fd", "7", "--", "ro"]),
])
def test_what_is_added_takes_the_place_of_what_was_added_before_and_of_nothing_else(
    arguments: list[str], state_fd: int | None, following: list[str]
) -> None:
    assert next_arguments(arguments, state_fd, 7) == following
