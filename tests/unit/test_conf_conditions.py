"""Conditions: configuration specification, section 4."""

from __future__ import annotations

import subprocess
import sys

import pytest

from upstartd.conf.model import Condition, EventPattern, JobConfig, Operator
from upstartd.conf.parser import parse


def postfix(text: str) -> list[list[str]]:
    """The condition of a text, as D-Bus shows it."""
    config = parse(f"start on {text}", "job.conf").config
    assert config is not None
    return [[str(item)] if isinstance(item, Operator) else [item.name, *item.args] for item in config.start_on]


def error(text: str) -> tuple[int, int, str]:
    """Line, column and message of what is wrong with `start on TEXT`."""
    first = parse(f"start on {text}", "job.conf").diagnostics[0]
    return first.line, first.column, first.message


AND, OR = ["/AND"], ["/OR"]


@pytest.mark.parametrize(("text", "expected"), [
    ("a", [["a"]]),
    ("a b K=v L!=w", [["a", "b", "K=v", "L!=w"]]),
    ("K=v w", [["K=v", "w"]]),
    ("a or b and c", [["a"], ["b"], OR, ["c"], AND]),
    ("a or (b and c)", [["a"], ["b"], ["c"], AND, OR]),
    ("(a)and(b or c X=1)", [["a"], ["b"], ["c", "X=1"], OR, AND]),
    ("((((a))))", [["a"]]),
    ("((a or b) and (c or (d and e)))", [["a"], ["b"], OR, ["c"], ["d"], ["e"], AND, OR, AND]),
    ("a AND b", [["a", "AND", "b"]]),
    ("\"and\" or 'or'", [["and"], ["or"], OR]),
    ("an\\d or b", [["an\\d"], ["b"], OR]),
    ("a '#' N=\"(x)\"", [["a", "#", "N=(x)"]]),
    ("a\\(b", [["a\\(b"]]),
    ("a X= Y=''", [["a", "X=", "Y="]]),
    ("a \\\n or \\\n b # c", [["a"], ["b"], OR]),
    ("(a # one\n and b) # two\n", [["a"], ["b"], AND]),
    ("(\na\nand b\n)", [["a"], ["b"], AND]),
    ("a and (b\n or c) or d", [["a"], ["b"], ["c"], OR, AND, ["d"], OR]),
    ("a\\\nb", [["a b"]]),
    ("(a\\\n)", [["a"]]),
])
def test_a_condition_is_in_postfix_order(text: str, expected: list[list[str]]) -> None:
    assert postfix(text) == expected


def test_blank_and_comment_lines_in_parentheses_are_ignored() -> None:
    assert postfix("(a\n\n  # the other\n  and b\n  \n)") == [["a"], ["b"], AND]


@pytest.mark.parametrize(("text", "line", "column", "message"), [
    ("", 1, 10, "Expected token"),
    ("# x", 1, 10, "Expected token"),
    ("and a", 1, 10, "Expected event"),
    ("a and", 1, 12, "Expected event"),
    ("a and \\\n", 1, 12, "Expected event"),
    ("a and or b", 1, 16, "Expected event"),
    ("a and (or b)", 1, 17, "Expected event"),
    ("(a or) and b", 1, 15, "Expected event"),
    ("()", 1, 11, "Expected event"),
    ("a and ()", 1, 17, "Expected event"),
    (")", 1, 10, "Expected event"),
    ("(a\nand\nand b)", 3, 1, "Expected event"),
    ("a (b)", 1, 12, "Expected operator"),
    ("(a) b", 1, 14, "Expected operator"),
    ("(a) b \\\n c", 2, 2, "Expected operator"),
    ("(a) (b)", 1, 16, "Expected operator"),
    ("a)", 1, 11, "Mismatched parentheses"),
    ("(a))", 1, 13, "Mismatched parentheses"),
    ("(a", 1, 12, "Mismatched parentheses"),
    ("(a\nb\n", 3, 1, "Mismatched parentheses"),
    ("(", 1, 11, "Mismatched parentheses"),
    ("a and (", 1, 17, "Mismatched parentheses"),
    ("a K=v w", 1, 16, "Expected variable name before value"),
    ("a K=v w \\\n X=1", 2, 2, "Expected variable name before value"),
    ("a N='(x)' '#' b", 1, 20, "Expected variable name before value"),
    ("a ''", 1, 12, "Expected token"),
    ("a and and ''", 1, 16, "Expected event"),
    ("(a or and\n", 1, 16, "Expected event"),
    ("a '", 1, 13, "Unterminated quoted string"),
    ("a \\", 1, 12, "Trailing slash in file"),
])
def test_an_error_in_a_condition_has_its_place(text: str, line: int, column: int, message: str) -> None:
    assert error(text) == (line, column, message)


def test_a_condition_ends_with_its_line() -> None:
    parsed = parse("start on a\nor b\n", "job.conf")
    assert [str(diagnostic) for diagnostic in parsed.diagnostics] == ["job.conf:2: Unknown stanza"]


def test_the_error_that_comes_first_in_the_text_is_the_one() -> None:
    assert error("a and (b and) c")[1:] == (22, "Expected event")
    assert error("a (b and)")[1:] == (12, "Expected operator")


@pytest.mark.parametrize(("text", "length"), [
    ("(" * 20_000 + "a" + ")" * 20_000, 1),
    ("a and (" * 10_000 + "b" + ")" * 10_000, 20_001),
    ("(" * 10_000 + "a" + " or b)" * 10_000, 20_001),
    ("a" + " and b" * 20_000, 40_001),
    ("a" + " b" * 50_000, 1),
])
def test_neither_depth_nor_length_is_too_much(text: str, length: int) -> None:
    assert len(postfix(text)) == length


@pytest.mark.parametrize("text", ["(" * 20_000, ")" * 20_000, "(" * 20_000 + "and", "(a) " * 10_000, "a and " * 10_000])
def test_a_deep_or_long_mistake_is_a_mistake(text: str) -> None:
    assert error(text)


def test_conditions_of_one_shape_are_told_apart() -> None:
    texts = [f"(a{number} X={number} or b{number}) and c{number}" for number in range(100)]
    assert [postfix(text) for text in texts] == [
        [[f"a{number}", f"X={number}"], [f"b{number}"], OR, [f"c{number}"], AND] for number in range(100)]


def test_no_condition_is_empty() -> None:
    nothing: Condition = ()
    assert JobConfig().start_on == nothing
    parsed = parse("start on a\nmanual", "job.conf")
    assert parsed.config is not None
    assert parsed.config.start_on == nothing


def test_an_operand_is_an_event_pattern() -> None:
    parsed = parse("stop on a b", "job.conf")
    assert parsed.config is not None
    assert parsed.config.stop_on == (EventPattern("a", ("b",)),)


def test_a_file_without_conditions_needs_no_grammar() -> None:
    program = ("import sys; from upstartd.conf.parser import parse; parse('exec true', 'job.conf'); "
               "sys.exit('pyparsing' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
