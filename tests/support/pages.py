"""What pages of the documentation show, files and commands with their output, for the tests that play them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# A prompt, what is typed, and what stands below it until the next prompt.
_STEP = re.compile(r"^[$#] (.*)\n((?:(?![$#] ).*\n)*)", re.MULTILINE)


def blocks(page: str) -> list[str]:
    """The blocks of a page in Markdown that are indented, without the indent."""
    found = re.findall(r"(?:^    .*\n|^\n+(?=    ))+", page, flags=re.MULTILINE)
    return [re.sub(r"^    ", "", block.strip("\n") + "\n", flags=re.MULTILINE) for block in found]


def steps(block: str) -> Iterator[tuple[str, str]]:
    """Each command in a block, with the output that it shows."""
    for match in _STEP.finditer(block):
        yield match[1], match[2]


def section(page: str, title: str) -> str:
    """The part of a page from a title of the second rank to the next one."""
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL)
    return str(found)
