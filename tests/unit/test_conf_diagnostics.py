"""What is said about wrong job files, and where: configuration specification, section 2; design, 23."""

from __future__ import annotations

import pytest

from upstartd.conf.diagnostics import Diagnostic
from upstartd.conf.parser import MOST_DIAGNOSTICS, parse


def errors(text: str) -> list[tuple[int, int, str]]:
    """Line, column and message of everything that is wrong with a text."""
    return [(error.line, error.column, error.message) for error in parse(text, "job.conf").diagnostics]


def first(text: str) -> Diagnostic:
    return parse(text, "job.conf").diagnostics[0]


@pytest.mark.parametrize(("text", "line", "column", "message"), [
    ("a\n", 1, 1, "Unknown stanza"),
    ("\n# x\n  a\n", 3, 3, "Unknown stanza"),
    ("start \\\n when a", 2, 2, "Unknown stanza"),
    ("description", 1, 12, "Expected token"),
    ("description\\\n\n", 2, 1, "Expected token"),
    ("description a \\\n \\\n b", 3, 2, "Unexpected token"),
    ("description a b", 1, 15, "Unexpected token"),
    ("kill timeout \\\n x", 2, 2, "Illegal interval, expected number of seconds"),
    ("task\nkill signal BOOM", 2, 13, "Illegal signal status, expected integer"),
    ("description x\\", 1, 14, "Trailing slash in file"),
    ("description a\\\nb\\", 2, 2, "Trailing slash in file"),
    ("exec 'a\\", 1, 8, "Trailing slash in file"),
    ("\\", 1, 1, "Trailing slash in file"),
    ("description 'a\n\n", 3, 1, "Unterminated quoted string"),
    ("exec a \"b", 1, 10, "Unterminated quoted string"),
    ("'", 1, 2, "Unterminated quoted string"),
    ("script\n'", 2, 2, "Unterminated block"),
    ("script", 1, 7, "Unterminated block"),
    ("pre-stop script # x\n", 2, 1, "Unterminated block"),
    ("task 'x", 1, 6, "Unexpected token"),
])
def test_an_error_has_its_place(text: str, line: int, column: int, message: str) -> None:
    assert errors(text)[0] == (line, column, message)


@pytest.mark.parametrize(("text", "line", "column"), [
    ("description a\0b", 1, 14),
    ("description\n'\0'", 2, 2),
    ("\0", 1, 1),
    ("exec a\n'b \0'", 2, 4),
    ("description 'b \\\0'", 1, 17),
    ("description b\\\0", 1, 15),
    ("start on (a\n\0)", 2, 1),
    ("script\n  a\n  b\0\nend script\n", 3, 4),
    ("task # \0\nexec a \0", 2, 8),
])
def test_a_nul_byte_is_an_error_at_its_place(text: str, line: int, column: int) -> None:
    assert (line, column, "Illegal NUL byte") in errors(text)


def test_a_nul_byte_in_a_comment_is_no_error() -> None:
    assert errors("# \0\ntask # \0\nstart on (a # \0\n)\nscript # \0\nend script # \0\n") == []


@pytest.mark.parametrize("text", ["kill signal BOOM", "author me\n\nreload signal term"])
def test_a_wrong_signal_is_told_with_its_line(text: str) -> None:
    assert str(first(text)) == f"job.conf:{text.count(chr(10)) + 1}: Illegal signal status, expected integer"


def test_the_log_gets_path_line_and_message() -> None:
    parsed = parse("task\nbogus\n", "/etc/init/a b.conf")
    assert [str(diagnostic) for diagnostic in parsed.diagnostics] == ["/etc/init/a b.conf:2: Unknown stanza"]


@pytest.mark.parametrize(("text", "detail"), [
    ("descripton x", "found 'descripton', expected the name of a stanza; did you mean 'description'?"),
    ("Task", "found 'Task', expected the name of a stanza; did you mean 'task'?"),
    ("qqqqqqq", "found 'qqqqqqq', expected the name of a stanza"),
    ("start onn a", "found 'onn', expected on; did you mean 'on'?"),
    ("respawn limits 1 2", "found 'limits', expected limit, or nothing; did you mean 'limit'?"),
    ("kill", "found the end of the file, expected timeout or signal"),
    ("kill timeout # x", "found the end of the line, expected 'kill timeout SECONDS'"),
    ("kill timeout soon", "found 'soon', expected 'kill timeout SECONDS'"),
    ("kill signal term", "found 'term', expected a signal's name or number; did you mean 'TERM'?"),
    ("kill signal sigterm", "found 'sigterm', expected a signal's name or number; did you mean 'SIGTERM'?"),
    ("expect forks", "found 'forks', expected none or stop or fork or daemon; did you mean 'fork'?"),
    ("oom scores 1", "found 'scores', expected 'oom N or never'"),
    ("oom ''", "found \"''\", expected 'oom N or never'"),
    ("normal exit hup", "found 'hup', expected an exit status or a signal's name; did you mean 'HUP'?"),
    ("task now", "found 'now', expected the end of the line"),
    ("description ''", "found \"''\", expected 'description TEXT'"),
    ("exec 'a", "found the end of the file, expected a closing ' for that of line 1, column 6"),
    ("task\nenv A=\"a\n\nb", "found the end of the file, expected a closing \" for that of line 2, column 7"),
    ("script", "found the end of the file, expected a line 'end script' for the 'script' of line 1, column 1"),
    ("task\npre-stop \\\n  script # x\nend scripts",
     "found the end of the file, expected a line 'end script' for the 'script' of line 3, column 3"),
    ("start on a and", "found the end of the file, expected an event or '('"),
    ("start on a and or b", "found 'or', expected an event or '('"),
    ("start on (a", "found the end of the file, expected ')' for the '(' of line 1, column 10"),
    ("start on (a) and (b\n or (c)\n and (d\n",
     "found the end of the file, expected ')' for the '(' of line 1, column 18"),
    ("end script", "found 'end', expected the name of a stanza, as no script is open here"),
    ("start on a\nor b",
     "found 'or', expected the name of a stanza, as conditions go on over lines only in parentheses"),
    ("start on a\n  and b",
     "found 'and', expected the name of a stanza, as conditions go on over lines only in parentheses"),
    ("start on a)", "found ')', expected a '(' before"),
    ("start on a K=v w", "found 'w', expected KEY=VALUE, as in the arguments before"),
    ("task \udcff\n", r"found '\udcff', expected the end of the line"),
    ("x" * 100, f"found '{'x' * 40}...', expected the name of a stanza"),
])
def test_the_detail_says_what_was_found_expected_and_perhaps_meant(text: str, detail: str) -> None:
    assert first(text).detail == detail
    assert first(text).in_full == f"job.conf:{first(text).line}:{first(text).column}: {first(text).message} ({detail})"


def test_without_anything_to_add_there_is_no_detail() -> None:
    assert Diagnostic("p", 1, 2, "M").in_full == "p:1:2: M"


@pytest.mark.parametrize(("text", "lines"), [
    ("bogus\nnice 99\ntask x\n", [1, 2, 3]),
    ("bogus 'a\n b' c \\\n d\nnice 99\n", [1, 4]),
    ("descripton \"a\nb\ntask x\n", [1, 3]),
    ("bogus a\nbogus \"b\nc\n", [1, 2]),
    ("exec echo it's\ntask x\n", [3, 2]),
    ("pre-strat script\n  a\n  exec\nend script\ntask x\n", [1, 5]),
    ("script sh\n  a\nend script\ntask x\n", [1, 4]),
    ("pre-stop script -x\n  a\nend script\ntask x\n", [1, 4]),
    ("script\n a\0\nend script\ntask x\n", [2, 4]),
    ("script\n exec\n task x\n", [4]),
    ("start on (a\n or b\nexec\ntask x\n", [5, 3, 4]),
    ("start on a or \\\nenv or (b\ntask x\n", [4, 3]),
    ("start on a (b\ntask x\n", [1, 2]),
    ("start on (a or\n b) c\n and d\ntask x\n", [2, 3, 4]),
    ("start on (a\n and and b\n or c)\ntask x\n", [2, 4]),
    ("start on (a\n ''\n or c)\ntask x\n", [2, 4]),
    ("manual yes\ntask x\n", [1, 2]),
    ("task \\", [1]),
    ("bogus script\ntask x\n", [1, 2]),
])
def test_all_errors_are_found_and_no_other(text: str, lines: list[int]) -> None:
    assert [line for line, _, _ in errors(text)] == lines


def test_what_is_no_job_file_at_all_is_not_told_line_by_line() -> None:
    assert len(errors("x\n" * 10_000)) == MOST_DIAGNOSTICS


def test_a_file_with_an_error_defines_nothing() -> None:
    assert parse("task\nbogus\n", "job.conf").config is None


def test_equal_texts_are_read_once_and_still_have_their_own_paths() -> None:
    assert parse("task # once\n", "a.conf").config is parse("task # once\n", "b.conf").config
    assert [parse("bogus # once\n", path).diagnostics[0].path for path in ("a.conf", "b.conf")] == ["a.conf", "b.conf"]
