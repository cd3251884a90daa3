"""What is wrong with a job file, and where: for the log, and in full for people.

Not responsible for finding it (lexer.py, conditions.py, stanzas.py) nor for errors that callers of the daemon
get (errors.py). The messages are interface: configuration specification, section 2. What was found, what was
expected and what may have been meant are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EXPECTED_EVENT = "Expected event"
EXPECTED_OPERATOR = "Expected operator"
EXPECTED_TOKEN = "Expected token"
EXPECTED_VARIABLE = "Expected variable name before value"
MISMATCHED_PARENTHESES = "Mismatched parentheses"
TRAILING_SLASH = "Trailing slash in file"
UNEXPECTED_TOKEN = "Unexpected token"
UNKNOWN_STANZA = "Unknown stanza"
UNTERMINATED_BLOCK = "Unterminated block"
UNTERMINATED_QUOTE = "Unterminated quoted string"
# Ours: the reference takes a NUL byte in, but no process and no D-Bus client could be given it.
ILLEGAL_NUL = "Illegal NUL byte"

# More than this of a word says no more, and a wrong file can hold one of any length.
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One error of a job file. `line` and `column` count from 1; `found`, `expected` and `suggestion` may be empty."""

    path: str
    line: int
    column: int
    message: str
    found: str = ""
    expected: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        """The line for the log, as the reference writes it: PATH:LINE: MESSAGE."""
        return f"{self.path}:{self.line}: {self.message}"

    @property
    def detail(self) -> str:
        """What was found, and what was expected instead; empty where there is nothing to say."""
        parts = [f"found {self.found}" if self.found else "", f"expected {self.expected}" if self.expected else ""]
        meant = f"; did you mean {self.suggestion}?" if self.suggestion else ""
        return ", ".join(part for part in parts if part) + meant

    @property
    def in_full(self) -> str:
        """Everything that is known, in one line: PATH:LINE:COLUMN: MESSAGE (DETAIL)."""
        detail = self.detail
        return f"{self.path}:{self.line}:{self.column}: {self.message}" + (f" ({detail})" if detail else "")


class Fault(Exception):
    """An error in the text, on its way to become a Diagnostic. It never leaves `parser.parse`.

    `offset` is where it is; None is at the word read last. `candidates` are what may have been meant by the
    word there. `resume` is set where the rest of the stanza cannot be told from what follows: it is looked for
    the next stanza from there on; None is after the stanza.
    """

    def __init__(self, message: str, offset: int | None = None, *, found: str = "", expected: str = "",
                 candidates: Iterable[str] = (), resume: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.found = found
        self.expected = expected
        self.candidates = candidates
        self.resume = resume


def quoted(word: str) -> str:
    """A word of a job file as a message shows it: in quotes, not too long, and printable."""
    return repr(str(word) if len(word) <= _SHOWN else word[:_SHOWN] + "...")


def suggestion(word: str, candidates: Iterable[str]) -> str:
    """The candidate that `word` is most like, quoted; empty where it is like none."""
    if not word or len(word) > _SHOWN:
        return ""
    # Only a wrong file pays for this import.
    import difflib

    by_lower_case = {candidate.lower(): candidate for candidate in candidates}
    like = difflib.get_close_matches(word.lower(), by_lower_case, n=1)
    return quoted(by_lower_case[like[0]]) if like else ""
