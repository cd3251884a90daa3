"""What a `start on` or `stop on` condition means: from its tokens to operands and operators in postfix order.

The grammar is pyparsing's, but it never sees a job's words. It parses the *shape* of an operand, a string with one
character for each token up to the operator or the end behind it, so that what it made of one shape serves every
operand of that shape:

    w  a word        k  a word with a = in it        &  |  and, or        (  )  parentheses
    .  the end       $  the end of the file inside parentheses            !  a broken word

Which parentheses belong together is all that is left to find out, in one pass: no depth of nesting needs recursion, and
no mistake is looked for twice. Not responsible for tokens (lexer.py) nor for matching events (engine/condition.py).
Source: configuration specification, sections 2 and 4.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from upstartd.conf.diagnostics import (
    EXPECTED_EVENT,
    EXPECTED_OPERATOR,
    EXPECTED_TOKEN,
    EXPECTED_VARIABLE,
    MISMATCHED_PARENTHESES,
    Fault,
    quoted,
)
from upstartd.conf.model import EventPattern, Operator

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyparsing

    from upstartd.conf.lexer import ConditionText, Lexer
    from upstartd.conf.model import Condition

_T = TypeVar("_T")

_JOINS = {"&": Operator.AND, "|": Operator.OR}
_pieces = re.compile(r"[^&|.$!]*+[&|.$!]").findall
_EXPECTED = {
    EXPECTED_EVENT: "an event or '('",
    EXPECTED_OPERATOR: "'and', 'or' or the end",
    EXPECTED_VARIABLE: "KEY=VALUE, as in the arguments before",
    MISMATCHED_PARENTHESES: "a '(' before",
}
# Longer shapes come from no hand and are not worth remembering.
_REMEMBERED = 200


def _remembered(function: Callable[[str], _T]) -> Callable[[str], _T]:
    """A function of a shape that remembers its results, errors too."""
    remembering = functools.lru_cache(maxsize=1024)(function)
    return lambda shape: remembering(shape) if len(shape) <= _REMEMBERED else function(shape)


class _Program(NamedTuple):
    """What a shape says, or `message`: what is wrong with it, as its token number `token` shows.

    The steps are in the order in which operands end, which is postfix order. Each is the tokens from the first number
    to before the second (none for a pair of parentheses: what is in it has come before), and the operator that joins
    them with what has come before.
    """

    steps: tuple[tuple[int, int, Operator | None], ...]
    message: str | None = None
    token: int = 0


class _Operand(NamedTuple):
    """What the shape of an operand says: so many `(`, then the words before number `end`, then so many `)`.

    `message` is what is wrong with the token behind these; None where that is an operator or the end, as it should.
    """

    opens: int
    end: int
    closes: int
    message: str | None


def read_condition(lexer: Lexer) -> Condition:
    """Read the condition that is next in the text. Fault where it is missing or makes no sense."""
    tokens = lexer.condition()
    if tokens.shape == ".":
        raise Fault(EXPECTED_TOKEN, tokens.offsets[0])
    program = _program(tokens.shape)
    if program.message is not None:
        raise _fault(lexer, tokens, program.message, program.token)
    words = tokens.words
    condition: list[EventPattern | Operator] = []
    for begin, end, operator in program.steps:
        if begin < end:
            condition.append(EventPattern(words[begin], tuple(words[begin + 1:end])))
        if operator is not None:
            condition.append(operator)
    return tuple(condition)


def _fault(lexer: Lexer, tokens: ConditionText, message: str, index: int) -> Fault:
    """The error that token number `index` shows. Its place is not always that token's (specification, section 2)."""
    last = len(tokens.shape) - 1
    if index == last and tokens.fault is not None:
        return tokens.fault
    found = tokens.offsets[index]
    offset = found
    if message == EXPECTED_VARIABLE:
        # The line is that of the next word; the column is the word's own, if it is on that line.
        following = tokens.offsets[index + 1]
        offset = found if lexer.place(following)[0] == lexer.place(found)[0] else following
    elif (message == EXPECTED_EVENT and index == last) or (
            message == EXPECTED_OPERATOR and tokens.shape[index - 1] == ")"):
        offset = tokens.offsets[last - 1]
    shown = lexer.found(found) if index == last else quoted(tokens.words[index])
    return Fault(message, offset, found=shown, expected=_EXPECTED[message],
                 resume=None if tokens.fault is None else tokens.fault.resume)


@_remembered
def _program(shape: str) -> _Program:
    """What a whole shape says, or the first mistake in it."""
    steps: list[tuple[int, int, Operator | None]] = []
    # For the condition and each pair of parentheses that is open: what joins its next operand with those before.
    joins: list[Operator | None] = [None]
    begin = 0
    for piece in _pieces(shape):
        opens, end, closes, message = _operand(piece)
        joins += [None] * opens
        if closes >= len(joins):
            return _Program((), MISMATCHED_PARENTHESES, begin + end + len(joins) - 1)
        if message is not None:
            return _Program((), message, begin + end + closes)
        steps.append((begin + opens, begin + end, joins[-1]))
        for _ in range(closes):
            joins.pop()
            if joins[-1] is not None:
                steps.append((0, 0, joins[-1]))
        joins[-1] = _JOINS.get(piece[-1])
        begin += len(piece)
    return _Program(tuple(steps)) if shape[-1] == "." else _Program((), MISMATCHED_PARENTHESES, begin - 1)


@_remembered
def _operand(shape: str) -> _Operand:
    """What the grammar makes of an operand and of what is behind it."""
    import pyparsing

    message, right = None, len(shape) - 1
    try:
        _grammar().parse_string(shape)
    except pyparsing.ParseBaseException as error:
        message, right = error.msg, error.loc
    end = len(shape[:right].rstrip(")"))
    return _Operand(end - len(shape[:end].lstrip("(")), end, right - end, message)


@functools.lru_cache(maxsize=1)
def _grammar() -> pyparsing.ParserElement:
    """The grammar of an operand's shape; its errors have the reference's messages.

    It is made, and pyparsing imported, when the first condition is read: what reads none need not pay for it.
    """
    import pyparsing as pp

    def named(message: str, element: pp.ParserElement) -> pp.ParserElement:
        return element.set_name(message.removeprefix("Expected "))

    return (pp.Regex(r"\(*+") + named(EXPECTED_EVENT, pp.Regex("[wk]w*+k*+")) - named(EXPECTED_VARIABLE, ~pp.Char("w"))
            - pp.Regex(r"\)*+") - named(EXPECTED_OPERATOR, pp.Char("&|.$!")))
