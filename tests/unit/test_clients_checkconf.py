"""init-checkconf (clients specification, section 4; configuration specification, section 12; design, 22)."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING

import pytest

from support.scripted_upstart import Ran
from upstartd_clients.checkconf import run
from upstartd_clients.output import Output

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(*arguments: str) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    code = run(arguments, Output("init-checkconf", out, err))
    return Ran(code, out.getvalue(), err.getvalue())


@pytest.mark.parametrize("arguments", [["web.conf"], ["-f", "web.conf"], ["--file=web.conf", "ignored.txt"],
                                       ["-s", "web.conf"], ["-i", "/no", "-x", "/such", "web.conf"],
                                       ["web.conf", "ignored"],
                                       ["--initctl-path=/no", "--upstart-path=/no", "web.conf"]])
def test_a_file_that_is_right_is_said_to_be(here: Path, arguments: list[str]) -> None:
    (here / "web.conf").write_text("start on startup\nexec true\n")
    assert check(*arguments) == (0, "File web.conf: syntax ok\n", "")
    assert os.listdir(here) == ["web.conf"]


def test_the_file_is_named_as_it_was_given(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "web.conf").write_text("frob\n")
    code, out, err = check("sub/../sub/web.conf")
    assert (code, out) == (1, "")
    assert err.splitlines()[:2] == [
        "ERROR: File sub/../sub/web.conf: syntax invalid:", "init:web.conf:1: Unknown stanza"]


def test_every_mistake_is_told_with_its_line_its_column_and_what_would_be_right(here: Path) -> None:
    (here / "web.conf").write_text("start on a or\nkill timeout five\nexec true\nnice 3\nexpct fork\n")
    code, out, err = check("web.conf")
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert lines[0::2][:1] == ["ERROR: File web.conf: syntax invalid:"]
    assert lines[1::2] == [
        "init:web.conf:1: Expected event",
        "init:web.conf:2: Illegal interval, expected number of seconds",
        "init:web.conf:5: Unknown stanza",
    ]
    details = lines[2::2]
    assert details[0].startswith("  column 12, ")
    assert details[1].startswith("  column 14, found 'five', expected ")
    assert details[2].startswith("  column 1, found 'expct'")
    assert "did you mean 'expect'?" in details[2]


SCRIPTS = """\
pre-start script
  if true
end script
post-start exec if this were a script
script
  fi
end script
post-stop script
  echo fine
end script
"""


def test_scripts_are_read_by_the_shell_unless_that_is_not_wanted(here: Path) -> None:
    (here / "web.conf").write_text(SCRIPTS)
    code, out, err = check("web.conf")
    assert (code, out) == (1, "")
    headings = [line for line in err.splitlines() if line.startswith("ERROR: ")]
    assert headings == ["ERROR: File web.conf: shell syntax invalid in pre-start section:",
                        "ERROR: File web.conf: shell syntax invalid in script section:"]
    assert len(err.splitlines()) > len(headings)  # with what the shell says
    assert check("-s", "web.conf") == (0, "File web.conf: syntax ok\n", "")
    assert check("web.conf", "--noscript") == (0, "File web.conf: syntax ok\n", "")


def test_the_shell_reads_no_scripts_of_a_file_with_a_mistake(here: Path) -> None:
    (here / "web.conf").write_text(SCRIPTS + "frob\n")
    code, _, err = check("web.conf")
    assert code == 1
    headings = [line for line in err.splitlines() if line.startswith("ERROR: ")]
    assert headings == ["ERROR: File web.conf: syntax invalid:"]


def test_scripts_may_hold_any_bytes(here: Path) -> None:
    (here / "web.conf").write_bytes(b"script\n  echo \xff '\xfe\n  '\nend script\n")
    assert check("web.conf").code == 0


def test_debug_says_what_is_done(here: Path) -> None:
    (here / "web.conf").write_text("script\n  true\nend script\n")
    code, out, err = check("-d", "web.conf")
    assert (code, err) == (0, "")
    *debug, result = out.splitlines()
    assert result == "File web.conf: syntax ok"
    assert debug
    assert all(line.startswith("DEBUG: ") for line in debug)


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "Must specify configuration file"),
    (["-s"], "Must specify configuration file"),
    (["--file="], "Must specify configuration file"),
    (["no.conf"], "File no.conf does not exist"),
    (["web.txt"], "File must end in .conf"),
    (["dir.conf"], "cannot read dir.conf: Not a regular file"),
    (["fifo.conf"], "cannot read fifo.conf: Not a regular file"),
])
def test_what_cannot_be_checked_is_an_error(here: Path, arguments: list[str], message: str) -> None:
    (here / "web.txt").write_text("")
    (here / "dir.conf").mkdir()
    os.mkfifo(here / "fifo.conf")
    assert check(*arguments) == (1, "", f"ERROR: {message}\n")


@pytest.mark.parametrize(("arguments", "message"), [
    (["--frob", "web.conf"], "invalid option: --frob"), (["-z", "web.conf"], "invalid option: -z"),
    (["-f"], "missing argument: -f"), (["--noscript=yes", "web.conf"], "unexpected argument: --noscript=yes"),
])
def test_a_wrong_option_is_an_error(here: Path, arguments: list[str], message: str) -> None:
    (here / "web.conf").write_text("")
    assert check(*arguments) == (
        1, "", f"ERROR: {message}\nTry `init-checkconf --help' for more information.\n")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_succeeds(option: str) -> None:
    code, out, err = check(option)
    assert (code, err) == (0, "")
    assert out.startswith("Description: ")
    assert "\nUsage: init-checkconf [options] -f <conf_file>\n" in out
    for long in ("file", "noscript", "debug", "initctl-path", "upstart-path", "help"):
        assert f"--{long}" in out


def test_an_override_is_read_on_top_of_its_file(here: Path) -> None:
    (here / "web.conf").write_text("start on startup\nscript\n  if\nend script\n")
    (here / "web.override").write_text("manual\nnice 3\n")
    # The script with the mistake is not in the override, so it is not the override's mistake.
    assert check("web.override") == (0, "File web.override: syntax ok\n", "")
    (here / "web.override").write_text("pre-start script\n  fi\nend script\nnice 100\n")
    assert check("web.override").err.splitlines()[:2] == [
        "ERROR: File web.override: syntax invalid:",
        "init:web.override:4: Illegal nice value, expected -20 to 19"]
    (here / "web.override").write_text("pre-start script\n  fi\nend script\n")
    assert check("web.override").err.startswith(
        "ERROR: File web.override: shell syntax invalid in pre-start section:\n")


@pytest.mark.parametrize("conf", [None, "frob\n"])
def test_an_override_without_a_file_that_is_right_is_checked_alone(here: Path, conf: str | None) -> None:
    if conf is not None:
        (here / "web.conf").write_text(conf)
    (here / "web.override").write_text("manual\n")
    assert check("web.override") == (0, "File web.override: syntax ok\n", "")
    (here / "web.override").write_text("manual\nfrob\n")
    assert check("web.override").err.splitlines()[1] == "init:web.override:2: Unknown stanza"


def test_as_json_every_mistake_has_its_place(here: Path) -> None:
    (here / "web.conf").write_text("exec true\nkill timeout five\n  frob\n")
    code, out, err = check("web.conf", "--json", "-d")
    assert (code, err) == (1, "")
    told = json.loads(out)
    details = [problem.pop("detail") for problem in told["problems"]]
    assert told == {"file": "web.conf", "ok": False, "problems": [
        {"section": None, "line": 2, "column": 14, "message": "Illegal interval, expected number of seconds"},
        {"section": None, "line": 3, "column": 3, "message": "Unknown stanza"}]}
    assert details[0].startswith("found 'five', expected ")


def test_as_json_the_shell_s_complaints_have_their_section_and_what_is_right_has_none(here: Path) -> None:
    (here / "web.conf").write_text(SCRIPTS)
    code, out, err = check("web.conf", "--json")
    assert (code, err) == (1, "")
    told = json.loads(out)
    assert {problem["section"] for problem in told["problems"]} == {"pre-start", "script"}
    assert all(problem["message"] and problem["line"] is None for problem in told["problems"])
    assert check("web.conf", "--json", "-s") == (0, '{"file": "web.conf", "ok": true, "problems": []}\n', "")
    assert check("missing.conf", "--json") == (1, "", "ERROR: File missing.conf does not exist\n")
