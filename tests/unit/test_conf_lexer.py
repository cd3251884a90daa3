"""Words, commands and blocks: configuration specification, section 1."""

from __future__ import annotations

import pytest

from upstartd.conf.diagnostics import Fault
from upstartd.conf.lexer import Lexer, unquoted
from upstartd.conf.model import Command, ProcessName
from upstartd.conf.parser import parse


def words(text: str) -> list[str]:
    """The words of the first stanza, its name included."""
    lexer = Lexer(text)
    found = []
    assert lexer.next_stanza()
    while lexer.has_word():
        found.append(lexer.word())
    lexer.end()
    return found


def command(text: str) -> str:
    """The command of `exec TEXT`."""
    config = parse(f"exec {text}", "job.conf").config
    assert config is not None
    return config.processes[ProcessName.MAIN].text


def script(text: str) -> str:
    """The text of a script block with these lines."""
    parsed = parse(f"script\n{text}end script\ntask\n", "job.conf")
    assert parsed.config is not None, parsed.diagnostics
    assert parsed.config.task
    block = parsed.config.processes[ProcessName.MAIN]
    assert block == Command(block.text, script=True)
    return block.text


@pytest.mark.parametrize(("text", "expected"), [
    ("a b\tc\rd", ["a", "b", "c", "d"]),
    ("a\f b\v \ufeffc", ["a\f", "b\v", "\ufeffc"]),
    ("a b#c d", ["a", "b"]),
    ("a b\r\n", ["a", "b"]),
    ("\r\n \t\n  # remark\n  a b", ["a", "b"]),
    ("a 'b c' \"d e\"", ["a", "b c", "d e"]),
    ("a x\" b\"'c'", ["a", "x bc"]),
    ("a \"it's\" 'say \"x\"'", ["a", "it's", 'say "x"']),
    ("a '#' \"(\"", ["a", "#", "("]),
    ("a 'b \t\n\n  c'", ["a", "b c"]),
    ("a 'b \\\n c'", ["a", "b c"]),
    ("a \\\n  b", ["a", "b"]),
    ("a b\\\nc", ["a", "b c"]),
    ("a b\\\n\\\nc", ["a", "b c"]),
    ("a b\\\n c", ["a", "b", "c"]),
    ("a b\\\n'c d'", ["a", "b c d"]),
    ("a b\\\n# remark", ["a", "b"]),
    ("a b\\ c d\\\te", ["a", "b c", "d\te"]),
    ("a b\\\\ c", ["a", "b\\", "c"]),
    ("a b\\#c b\\\"c b\\nc", ["a", "b\\#c", "b\\\"c", "b\\nc"]),
    ("a 'b\\\\c\\ d\\x\\'e'", ["a", "b\\c d\\x\\'e"]),
    ("a KEY=\"\" \"  \"", ["a", "KEY=", "  "]),
    ("a b\\\r\nc", ["a", "b\r"]),
    ("a \udcff\udcfe é", ["a", "\udcff\udcfe", "é"]),
])
def test_words_are_told_apart_and_unquoted(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_white_space_before_a_backslash_stays_as_it_is_written() -> None:
    assert words('a "he said \\"no\\" again" \' \\x\'') == ["a", 'he said \\"no\\" again', " \\x"]


def test_a_line_that_begins_with_a_continuation_is_the_next_line() -> None:
    assert words("\\\na b") == ["a", "b"]
    assert words("  \\\n\\\n  a b") == ["a", "b"]


def test_an_empty_word_is_no_argument() -> None:
    for text in ('""', "''", "''\"\""):
        with pytest.raises(Fault, match="Expected token"):
            words(f"a {text}")


def test_a_word_without_quotes_and_escapes_is_itself() -> None:
    assert unquoted("plain") == "plain"


@pytest.mark.parametrize(("text", "expected"), [
    ("sleep 5", "sleep 5"),
    ("  sleep   5  \t\r\n", "sleep   5"),
    ("echo 'a b' \"$c\" # remark", "echo 'a b' \"$c\""),
    ("echo a#b 'c", "echo a"),
    ("echo a\\#b", "echo a\\#b"),
    ("echo '#' \"# x\" y", "echo '#' \"# x\" y"),
    ("sleep \\\n   5\\\n6", "sleep 5 6"),
    ("sleep \\\n # remark", "sleep"),
    ("sh -c \"echo a\n\n  echo b\"", "sh -c \"echo a echo b\""),
    ("sh -c 'a \\\n b'", "sh -c 'a b'"),
    ("echo a\\ b\\\\", "echo a\\ b\\\\"),
    ("echo a\\ ", "echo a\\ "),
    ("echo a\\\\ ", "echo a\\\\"),
    ("\\\n  true", "true"),
    ("\"\"", "\"\""),
    ("kill -9 \\$PID (x)", "kill -9 \\$PID (x)"),
])
def test_a_command_is_taken_verbatim_but_in_one_line(text: str, expected: str) -> None:
    assert command(text) == expected


def test_white_space_before_a_backslash_in_a_command_stays() -> None:
    assert command("echo \\$HOME \" \\$HOME\"") == "echo \\$HOME \" \\$HOME\""


@pytest.mark.parametrize(("text", "expected"), [
    ("", ""),
    ("  a\n  b\n", "a\nb\n"),
    ("    one\n      two\n", "one\n  two\n"),
    ("    one\n  two\n", "  one\ntwo\n"),
    ("\ta\n        b\n", "\ta\n        b\n"),
    ("\t  a\n\t\tb\n", "  a\n\tb\n"),
    ("  a\n\n  b\n", "  a\n\n  b\n"),
    ("  a\n  \n  b\n", "a\n\nb\n"),
    ("\n", "\n"),
    ("  end scripts\n  end script now\n  echo end script\n  endscript\n  'end\n",
     "end scripts\nend script now\necho end script\nendscript\n'end\n"),
    ("it's \"odd \\\n", "it's \"odd \\\n"),
    ("a\r\n", "a\r\n"),
])
def test_a_block_loses_the_white_space_that_all_its_lines_begin_with(text: str, expected: str) -> None:
    assert script(text) == expected


@pytest.mark.parametrize("end", ["end script", " \tend  script", "end\tscript # done", "end script#", "end script\r"])
def test_a_block_ends_at_a_line_of_end_script(end: str) -> None:
    parsed = parse(f"script\n  a\n{end}", "job.conf")
    assert parsed.config is not None
    assert parsed.config.processes[ProcessName.MAIN] == Command("a\n", script=True)
    parsed = parse(f"script # remark\n'\n{end}\ntask\n", "job.conf")
    assert parsed.config is not None
    assert parsed.config.task


def test_places_are_counted_from_one() -> None:
    lexer = Lexer("ab\ncd\n")
    assert [lexer.place(offset) for offset in (0, 1, 3, 6)] == [(1, 1), (1, 2), (2, 1), (3, 1)]


@pytest.mark.parametrize("text", [
    "description " + "'" + " " * 200_000,
    "description " + "'" + "\\" * 200_000,
    "description '" + " \n" * 100_000 + "'",
    "exec x" + " " * 200_000 + "\\\n" * 1000,
    "script\n" + " " * 200_000 + "x\n" + " \n" * 1000 + "end script",
    "script\n" + "end\n" * 50_000,
    " \\\n" * 100_000,
    "#" * 200_000,
    "env A=1\n" * 20_000,
    "limit nofile 1 2\n" * 10_000,
    "normal exit " + " ".join(map(str, range(50_000))),
])
def test_a_long_text_takes_time_in_proportion(text: str) -> None:
    # A pattern that tries things twice would not come to an end here; nothing is measured.
    assert parse(text, "job.conf").diagnostics or parse(text, "job.conf").config
