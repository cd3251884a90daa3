"""From the characters of a job file to its words, commands and blocks, each with its place.

Knows quotes, continuations, comments and where things end; does not know any stanza (stanzas.py) nor what a
condition means (conditions.py). Every pattern takes time linear in the text: the quantifiers are possessive,
so nothing is tried twice. Source: configuration specification, section 1; design, 9, 19, 20 and 38.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from os.path import commonprefix
from typing import TYPE_CHECKING, cast

from upstartd.conf.diagnostics import (
    EXPECTED_TOKEN,
    ILLEGAL_NUL,
    MISMATCHED_PARENTHESES,
    TRAILING_SLASH,
    UNEXPECTED_TOKEN,
    UNTERMINATED_BLOCK,
    UNTERMINATED_QUOTE,
    Fault,
    quoted,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def _always(pattern: str) -> Callable[[str, int], re.Match[str]]:
    """The match function of a pattern that matches the empty string too, and therefore anywhere."""
    return cast("Callable[[str, int], re.Match[str]]", re.compile(pattern).match)


# White space is space, tab and carriage return and nothing else, so that DOS line ends are harmless.
_GAP = r"(?:[ \t\r]++|\\\n)*+"
_LINES_GAP = r"(?:[ \t\r\n]++|\\\n|#[^\n]*+)*+"
_COMMENT = r"(?:#[^\n]*+)?+"
# What is inside quotes, up to the closing one or to where it goes wrong.
_INSIDE = {quote: rf"(?:[^{quote}\\\0]++|\\[^\0])*+" for quote in "\"'"}
_QUOTED = "|".join(quote + inside + quote for quote, inside in _INSIDE.items())


def _word(ends: str) -> str:
    """The pattern of a word that also ends at the characters `ends`. Groups: the word; what is bad behind it.

    A continuation directly behind a word joins it with a next line that starts with a word, and else ends it.
    Bad are a quote that is never closed, a backslash with nothing to escape, and a NUL byte.
    """
    return (rf"""((?:[^ \t\r\n\0"'\\#{ends}]++|\\[^\n\0]|(?:\\\n)++(?![ \t\r\n#{ends}]|\Z)|{_QUOTED})*+)"""
            r"""(["'\0]|\\(?!\n))?+""")


_next_stanza = _always(_LINES_GAP)
_next_word = _always(_GAP + _word(""))
_gap = _always(_GAP)
_command = _always(rf"""((?:[^\n\0"'\\#]++|\\[^\0]|{_QUOTED})*+)(["'\0\\])?+""")
_leading = _always(r"[ \t\r]*+")
_inside = {quote: _always(inside) for quote, inside in _INSIDE.items()}
# Groups: a parenthesis; or else a word, and what is bad behind it.
_next_in_condition = _always(rf"{_GAP}(?:([()])|{_word('()')})")
_next_in_group = _always(rf"{_LINES_GAP}(?:([()])|{_word('()')})")
_END_OF_STANZA = re.compile(rf"{_GAP}{_COMMENT}(?:\n|\Z)")
_END_OF_BLOCK = re.compile(rf"\n[ \t\r]*+end[ \t\r]++script[ \t\r]*+{_COMMENT}(?=\n|\Z)")

# Line breaks, escaped or not, with all white space round them; and (group 1) white space and escapes that are none.
_LINE_BREAKS = re.compile(r"(\\[^\n]|[ \t\r]++(?!\\?\n))|[ \t\r]*+(?:\\?\n[ \t\r]*+)++")
_ESCAPE = re.compile(r"\\([ \t\r\\])")
_PIECES = re.compile(r'''\\([ \t\r\\])|(\\.)|"((?:[^"\\]++|\\.)*+)"|'((?:[^'\\]++|\\.)*+)\'''', re.DOTALL)

_OPERATORS = {"and": "&", "or": "|"}


@dataclass(frozen=True, slots=True)
class ConditionText:
    """The tokens of a condition, not yet understood.

    `shape` has one character for each token, the last for how the condition ends (conditions.py says which);
    `words` and `offsets` have as many entries. `fault` is the error that ends it, where one does.
    """

    shape: str
    words: list[str]
    offsets: list[int]
    fault: Fault | None


class Lexer:
    """Reads a text from its beginning to its end. `start` is where the word read last begins."""

    __slots__ = ("position", "start", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.start = 0

    def next_stanza(self) -> bool:
        """Go on to the next stanza, over blank lines and comments; whether there is one."""
        self.position = _next_stanza(self.text, self.position).end()
        return self.position < len(self.text)

    def raw_word(self) -> str:
        """The next word of the stanza as it is written, with its quotes. Fault where it is missing or broken."""
        match = _next_word(self.text, self.position)
        self.start = match.start(1)
        if match.lastindex != 1:
            raise self._broken(match.start(2))
        self.position = match.end(1)
        word = match[1]
        if not word:
            raise Fault(EXPECTED_TOKEN)
        return word

    def word(self) -> str:
        """The next word of the stanza, without its quotes. Fault where it is missing, empty or broken."""
        word = unquoted(self.raw_word())
        if not word:
            raise Fault(EXPECTED_TOKEN)
        return word

    def has_word(self) -> bool:
        """Whether the stanza goes on with another word, which is then the next thing in the text."""
        self.position = _gap(self.text, self.position).end()
        return self.text[self.position:self.position + 1] not in ("", "\n", "#")

    def end(self) -> None:
        """Go over the end of the stanza. Fault where there is something else before it."""
        match = _END_OF_STANZA.match(self.text, self.position)
        if match is None:
            self.has_word()
            raise Fault(UNEXPECTED_TOKEN, self.position, expected="the end of the line")
        self.position = match.end()

    def command(self) -> str:
        """The rest of the stanza verbatim, since a shell reads it later, but as one line. Fault where it is empty."""
        if not self.has_word():
            raise Fault(EXPECTED_TOKEN, self.position)
        match = _command(self.text, self.position)
        if match.lastindex != 1:
            raise self._broken(match.start(2))
        self.position = match.end()
        command = match[1]
        if "\n" in command:
            command = _LINE_BREAKS.sub(_one_space, command)
        stripped = command.rstrip(" \t\r")
        if len(stripped) < len(command) and _escapes_next(stripped):
            return command[:len(stripped) + 1]
        return stripped

    def block(self) -> str:
        """The lines up to `end script`, without the white space with which all of them begin.

        The line that opens the block has been read to its end. Fault where there is no `end script`.
        """
        text, begin = self.text, self.position
        # The pattern begins with the line break before the line that ends the block, even where that is the first.
        match = _END_OF_BLOCK.search(text, begin - 1) if text[begin - 1] == "\n" else None
        if match is None:
            # The word read last is the one that opens the block.
            raise Fault(UNTERMINATED_BLOCK, len(text), resume=len(text),
                        expected=f"a line 'end script' for the 'script' {self._place_named(self.start)}")
        self.position = match.end()
        nul = text.find("\0", begin, match.start())
        if nul >= 0:
            raise Fault(ILLEGAL_NUL, nul, found="a NUL byte")
        return _without_shared_white_space(text[begin:match.start() + 1])

    def condition(self) -> ConditionText:
        """The tokens of a condition: up to the end of the line or, inside parentheses, over lines.

        A fault is not raised but kept: the words before it may make no sense either, and come first.
        """
        shape: list[str] = []
        words: list[str] = []
        offsets: list[int] = []
        text, depth, opened, kind = self.text, 0, self.position, ""
        fault = None
        while kind not in (".", "$", "!"):
            match = (_next_in_group if depth > 0 else _next_in_condition)(text, self.position)
            self.position = match.end()
            if match.lastindex == 1:
                word = kind = match[1]
                offset = match.start(1)
                depth += 1 if kind == "(" else -1
                opened = offset if kind == "(" and depth == 1 else opened
            elif match.lastindex == 3:
                word, offset, kind = match[2], match.start(2), "!"
                fault = self._broken(match.start(3))
            else:
                word, offset = match[2], match.start(2)
                if word in _OPERATORS:
                    kind = _OPERATORS[word]
                elif word:
                    word = unquoted(word)
                    kind = "k" if "=" in word else "w" if word else "!"
                    fault = None if word else Fault(EXPECTED_TOKEN, offset, resume=offset if depth > 0 else None)
                elif depth > 0:
                    # What follows the open parenthesis may well have been meant as stanzas.
                    kind, fault = "$", Fault(MISMATCHED_PARENTHESES, len(text), resume=opened,
                                             expected=f"')' for the '(' {self._place_named(opened)}")
                else:
                    kind = "."
            shape.append(kind)
            words.append(word)
            offsets.append(offset)
        return ConditionText("".join(shape), words, offsets, fault)

    def skip_stanza(self, begin: int, pattern: re.Pattern[str]) -> None:
        """After a fault in the stanza that begins there: go behind it, and behind the block it may have.

        Where a quote in it is never closed, it is anything up to a line that begins with `pattern`.
        """
        match = _command(self.text, begin)
        if match.lastindex != 1:
            self.skip_to_line(match.end(1), pattern)
            return
        end = self._next_line(match.end(1))
        if self.position > end:
            # It went on over more lines, or its block has been read.
            self.position = self._next_line(self.position - 1)
            return
        words = match[1].split()
        block = _END_OF_BLOCK.search(self.text, end - 1) if "script" in (*words[:2], *words[-1:]) else None
        self.position = end if block is None else block.end()

    def skip_to_line(self, offset: int, pattern: re.Pattern[str]) -> None:
        """Go on to the first line below that of `offset` which begins with `pattern`; to the end if none does."""
        match = pattern.search(self.text, self._next_line(offset))
        self.position = len(self.text) if match is None else match.start()

    def place(self, offset: int) -> tuple[int, int]:
        """The line and the column of a place in the text, both counted from 1."""
        return self.text.count("\n", 0, offset) + 1, offset - self.text.rfind("\n", 0, offset)

    def _place_named(self, offset: int) -> str:
        return "of line {}, column {}".format(*self.place(offset))

    def found(self, offset: int) -> str:
        """What is there, as a message shows it."""
        there = self.text[offset:offset + 1]
        if not there:
            return "the end of the file"
        return "the end of the line" if there in "\n#" else quoted(self.written(offset))

    def written(self, offset: int) -> str:
        """The word that begins there, as it is written; of one that is broken, what can be read of it."""
        return _next_word(self.text, offset)[1] or self.text[offset:offset + 1]

    def _next_line(self, offset: int) -> int:
        """Where the line after that of `offset` begins."""
        return self.text.find("\n", offset) + 1 or len(self.text)

    def _broken(self, offset: int) -> Fault:
        """The fault of the bad character there: a quote that is never closed, a last backslash or a NUL byte."""
        text, end = self.text, offset
        if text[end] in _inside:
            end = _inside[text[end]](text, end + 1).end()
        slash = text[end:end + 1] == "\\"
        if end + slash < len(text):
            return Fault(ILLEGAL_NUL, end + slash, found="a NUL byte")
        if slash:
            return Fault(TRAILING_SLASH, end, resume=offset)
        return Fault(UNTERMINATED_QUOTE, len(text), resume=offset,
                     expected=f"a closing {text[offset]} for that {self._place_named(offset)}")


def unquoted(word: str) -> str:
    """What a word means: its quotes go, its escapes are resolved, and each line break in it is one space."""
    if '"' not in word and "'" not in word and "\\" not in word:
        return word
    if "\n" in word:
        word = _LINE_BREAKS.sub(_one_space, word)
    return _PIECES.sub(_piece, word)


def _one_space(match: re.Match[str]) -> str:
    return match[1] or " "


def _piece(match: re.Match[str]) -> str:
    """What an escaped or a quoted piece of a word stands for."""
    escaped, kept, double, single = match.groups()
    return escaped or kept or _ESCAPE.sub(r"\1", single if double is None else double)


def _escapes_next(text: str) -> bool:
    """Whether a character behind `text` would be escaped: it ends in an odd number of backslashes."""
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def _without_shared_white_space(block: str) -> str:
    """The lines of `block` without the longest white space with which every one of them begins."""
    shared = _leading(block, 0)[0]
    lines = block.split("\n")[:-1]
    for line in lines:
        if not line.startswith(shared):
            shared = commonprefix((shared, line))  # noqa: RUF071  # it is characters that are compared
    return "".join([line[len(shared):] + "\n" for line in lines]) if shared else block
