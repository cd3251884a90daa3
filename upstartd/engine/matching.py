"""Whether one operand of a condition matches one event.

Source: events specification, section 6; fnmatch(3) for the patterns; design, 16.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from upstartd.engine.expansion import ExpansionError, expand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from upstartd.conf.model import EventPattern

_CLASSES = {
    "alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f", "digit": "0-9",
    "graph": "!-~", "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~", "space": " \\t-\\r",
    "upper": "A-Z", "xdigit": "0-9a-fA-F",
}
_ELEMENT = re.compile(r"\[(?::(?P<name>[a-y]*):|=(?P<equal>.)=)\]", re.DOTALL)  # what a set may have beside ranges
_NOTHING = "(?!)"  # a regular expression that matches nothing


class _Argument(NamedTuple):
    """One argument of an operand, read once. `key` None is a positional one."""

    key: str | None
    negated: bool
    value: str


@lru_cache(maxsize=8192)
def _argument(text: str) -> _Argument:
    key, equals, value = text.partition("=")
    if not equals:
        return _Argument(None, False, text)
    if key.endswith("!"):
        return _Argument(key[:-1], True, value)
    return _Argument(key, False, value)


def _bracket(pattern: str, at: int) -> tuple[str, int] | None:
    """The set whose `[` stands before `at`, as a regular expression, and where it ends; None if it does not end.

    What comes after a class that does not exist is not looked at, and whoever gets as far matches nothing.
    """
    negated = pattern[at : at + 1] in ("!", "^")
    at += negated
    items: list[str] = []
    first = known = True
    while at < len(pattern):
        if pattern[at] == "]" and not first:
            if negated and not known:
                return _NOTHING, at + 1
            if not items:
                return ("(?s:.)" if negated else _NOTHING), at + 1
            return f"[{'^' if negated else ''}{''.join(items)}]", at + 1
        first = False
        if element := _ELEMENT.match(pattern, at):
            at = element.end()
            item = re.escape(element["equal"]) if element["equal"] else _CLASSES.get(element["name"], "")
            known = known and item != ""
        else:
            item, at = _range(pattern, at)
        if known and item:
            items.append(item)
    return None


def _range(pattern: str, at: int) -> tuple[str, int]:
    """One character or one range of a set, as a part of one, and where the next begins; a range may be empty."""
    low, at = _member(pattern, at)
    if pattern[at : at + 1] != "-" or pattern[at + 1 : at + 2] in ("", "]"):
        return re.escape(low), at
    high, at = _member(pattern, at + 1)
    return (f"{re.escape(low)}-{re.escape(high)}" if low <= high else ""), at


def _member(pattern: str, at: int) -> tuple[str, int]:
    """One character of a set, and where the next begins; a backslash quotes, and so do `[.` and `.]`."""
    if pattern[at] == "\\" and at + 1 < len(pattern):
        at += 1
    elif pattern[at : at + 2] == "[." and pattern[at + 3 : at + 5] == ".]":
        return pattern[at + 2], at + 5
    return pattern[at], at + 1


class _Segment(NamedTuple):
    """What stands between two `*` of a pattern: an expression for exactly `length` characters."""

    expression: re.Pattern[str]
    length: int


@lru_cache(maxsize=8192)
def _segments(pattern: str) -> tuple[_Segment, ...] | None:
    """`pattern`, cut at each `*`; None where it is plain text."""
    if not any(special in pattern for special in "*?[\\"):
        return None
    found: list[_Segment] = []
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            found.append(_Segment(re.compile("".join(parts)), len(parts)))
            parts = []
        elif char == "?":
            parts.append("(?s:.)")
        elif char == "[" and (bracket := _bracket(pattern, at)):
            parts.append(bracket[0])
            at = bracket[1]
        elif char == "\\":
            # A backslash that quotes nothing makes the pattern match nothing.
            parts.append(re.escape(pattern[at]) if at < len(pattern) else _NOTHING)
            at += 1
        else:
            parts.append(re.escape(char))
    found.append(_Segment(re.compile("".join(parts)), len(parts)))
    return tuple(found)


def glob_matches(pattern: str, value: str) -> bool:
    """Whether the whole of `value` matches `pattern` as fnmatch(3) without flags reads it.

    The leftmost place for each segment is as good as any later one, so the time is at most the product of
    both lengths: no pattern in a job file can hold the daemon up.
    """
    segments = _segments(pattern)
    if segments is None:
        return pattern == value
    first, last = segments[0], segments[-1]
    if len(segments) == 1:
        return first.expression.fullmatch(value) is not None
    tail = len(value) - last.length
    if not first.expression.match(value) or tail < first.length or not last.expression.match(value, tail):
        return False
    at = first.length
    for segment in segments[1:-1]:
        match = segment.expression.search(value, at, tail)
        if match is None:
            return False
        at = match.end()
    return True


def operand_matches(operand: EventPattern, env: Sequence[str], variables: Mapping[str, str]) -> bool:
    """Whether the arguments of `operand` match an event of its name with the environment `env`.

    `variables` are those that references in the operand see. One that cannot be expanded does not match.
    """
    position = 0
    for text in operand.args:
        key, negated, value = _argument(text)
        if key is None:
            if position >= len(env):
                return False
            actual = env[position].partition("=")[2]
            position += 1
        else:
            prefix = key + "="
            for entry in env:
                if entry.startswith(prefix):
                    actual = entry[len(prefix) :]
                    break
            else:
                return False
        try:
            wanted = expand(value, variables)
        except ExpansionError:
            return False
        if glob_matches(wanted, actual) is negated:
            return False
    return True
