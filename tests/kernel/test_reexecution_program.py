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
    program.execute(101 + count, [b"PATH=/nowhere", b"COUNT=%d" % (count + 1)])
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
        program.execute(7, [])
    assert os.getcwd() == "/"


@pytest.mark.parametrize("command", [("./again",), ("python", "again"), ("python", "-m", "again")])
def test_the_program_is_called_by_its_whole_path_and_not_by_that_of_its_interpreter(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    name = "again.py" if "-m" in command else "again"
    (tmp_path / name).write_text(f"#!{sys.executable}\nfrom upstartd.reexecution import Program\n"
                                 "print(Program(None).path)\n")
    (tmp_path / name).chmod(0o755)
    environ = {"PATH": f"{Path(sys.executable).parent}"}
    assert subprocess.check_output([*command, "-v"], cwd=tmp_path, env=environ, text=True) == f"{tmp_path / name}\n"


def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Program:
    """A program with this text, started in tmp_path, where it has gone away from."""
    file = tmp_path / "program"
    file.write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["program", "-v"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-B", "program", "-v"])
    program = Program(None)
    monkeypatch.chdir("/")
    return program


def test_a_trial_is_the_same_program_in_the_same_directory_with_the_same_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = trial(tmp_path, monkeypatch, """if True:
        import os, sys
        environ = open("/proc/self/environ", "rb").read()
        print(os.getcwd(), sys.argv, sys.dont_write_bytecode, environ, file=open("out", "w"))
        print("here")
    """)
    program.try_out([b"A=x=y", b"=z", b"NO EQUALS"])
    assert (tmp_path / "out").read_text() == f"{tmp_path} ['program', '--trial'] True b'A=x=y\\x00=z\\x00'\n"
    assert os.getcwd() == "/"


@pytest.mark.parametrize(("text", "reason"), [
    ("import sys; sys.exit('no\\nway\\n\\n')", "way"), ("import sys; sys.exit(3)", "a trial of it fails"),
    ("", "a trial of it fails"), ("import os; os.kill(os.getpid(), 9)", "a trial of it fails"),
])
def test_a_trial_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str) -> None:
    with pytest.raises(OSError, match=reason) as refused:
        trial(tmp_path, monkeypatch, text).try_out([])
    assert refused.value.strerror == reason


def test_a_trial_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upstartd.reexecution._PATIENCE", 0.01)
    with pytest.raises(TimeoutError, match="a trial does not come to an end"):
        trial(tmp_path, monkeypatch, "import signal; signal.pause()").try_out([])


def test_a_program_that_cannot_be_read_is_not_even_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = trial(tmp_path, monkeypatch, "print('here')")
    (tmp_path / "program").unlink()
    with pytest.raises(FileNotFoundError):
        program.try_out([])


def test_where_its_directory_is_gone_nothing_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "directory"
    directory.mkdir()
    monkeypatch.chdir(directory)
    program = Program(None)
    monkeypatch.chdir("/")
    directory.rmdir()
    with pytest.raises(OSError, match=str(directory)) as refused:
        program.execute(7, [])
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


def test_without_a_state_the_next_one_is_told_only_that_it_is_the_next_one() -> None:
    assert next_arguments(["-v", "--restart", "--state-fd", "5"], 5, None) == ["-v", "--restart"]
