"""What reading a text costs: in proportion to its length, whatever is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.calls import counted_calls
from upstartd.conf.model import JobConfig
from upstartd.conf.parser import parse

if TYPE_CHECKING:
    from upstartd.conf.parser import Parsed

LENGTH = 20_000


def read(text: str) -> tuple[Parsed, int]:
    """What a text means, and the number of calls that it takes to find out."""
    parse("start on a", "job.conf")  # which makes the grammar
    with counted_calls() as calls:
        # A base of its own is not looked up among the texts that have been read before.
        parsed = parse(text, "job.conf", JobConfig())
    return parsed, calls.count


@pytest.mark.parametrize("text", [
    "start on (a\n",
    "start on (net-up\n  and filesystem\n",
    "start on ((((((((a\n",
    "start on (a\nstart on b it's\n",
    "start on (a\nexec 'b\n",
    "stop on (a and\n",
    "start on (a\n''\n",
    "start on (a\n \0\n",
    "start on (a) b\n",
    "start on (\n",
    "stop on a or )\n",
    "exec it's\n",
    "description \"a\n",
    "script x\n a\n",
    "pre-strat script\n a\n",
    "script\n\0\nend script\n",
    "bogus\\\n",
    "manual bogus\n",
    "\0\n",
])
def test_mistake_upon_mistake_costs_no_more_than_a_few_readings_of_the_text(text: str) -> None:
    parsed, calls = read(text * (LENGTH // len(text) | 1))
    assert parsed.diagnostics
    assert calls < 12 * LENGTH


@pytest.mark.parametrize(("begin", "repeated", "end"), [
    ("start on ", "(", ""),
    ("start on ", ")", ""),
    ("start on a", " and b", ""),
    ("start on a", " or (b and c)", ""),
    ("start on a", " or (b and)", ""),
    ("start on a", " K=v b", ""),
    ("start on ", "(a and ", ""),
    ("start on a ", "(", " b"),
    ("", "start on a and b\n", ""),
    ("emits", " a", ""),
    ("normal exit", " 1 TERM", " x"),
    ("", "env A=1\n", ""),
    ("", "script\nend script\n", ""),
    ("", "debug ", "bogus"),
    ("description ", "''", ""),
    ("exec a", " \\\n", " 'b"),
])
def test_a_long_text_costs_in_proportion(begin: str, repeated: str, end: str) -> None:
    count = LENGTH // len(repeated)
    _, calls = read(begin + repeated * count + end)
    assert calls < 12 * LENGTH
    assert read(begin + repeated * 2 * count + end)[1] < 2.1 * calls


@pytest.mark.parametrize(("argument", "end"), [(" b", "(c and d)"), (" K=b", "(c and)")])
def test_conditions_of_one_shape_are_understood_once_be_it_right_or_wrong(argument: str, end: str) -> None:
    costs = [read("start on " + "".join(f"a{number}{argument * count} or " for count in range(3, 14)) + end)[1]
             for number in range(2)]
    assert costs[1] < costs[0] / 2
