"""From the Markdown that the documentation is written in to the macros of man(7).

Knows headings, paragraphs, lists, tables, code, and what stands within a line. Not responsible for what a page says
(make.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_INLINE = re.compile(r"``(?P<double>.+?)``|`(?P<code>[^`]+)`|\*\*(?P<strong>.+?)\*\*|\*(?P<emphasis>[^*\s][^*]*)\*"
                     r"|\[(?P<text>[^\]]+)\]\((?P<target>[^)]+)\)")


def escape(text: str) -> str:
    """Text as it stands, for any place but the beginning of a line."""
    return text.replace("\\", "\\e").replace("-", "\\-")


def prose(text: str) -> str:
    """Text with code, emphasis and links in it. A hyphen of a word is one, and not an option's."""
    found, at = "", 0
    for match in _INLINE.finditer(text):
        found += text[at:match.start()].replace("\\", "\\e")
        if code := match["double"] or match["code"]:
            found += f"\\fB{escape(code)}\\fP"
        elif match["strong"]:
            found += f"\\fB{prose(match['strong'])}\\fP"
        elif match["emphasis"]:
            found += f"\\fI{prose(match['emphasis'])}\\fP"
        else:
            outside = match["target"].startswith("https://")
            found += prose(match["text"]) + (f" ({escape(match['target'])})" if outside else "")
        at = match.end()
    return found + text[at:].replace("\\", "\\e")


def line(text: str) -> str:
    """A line of a page: one that would be read as a request is kept from that."""
    return f"\\&{text}" if text.startswith((".", "'")) else text


def code(lines: Iterable[str]) -> Iterator[str]:
    """Lines as they stand, set off."""
    yield from (".PP", ".RS 4", ".EX")
    for each in lines:
        yield line(escape(each))
    yield from (".EE", ".RE")


def page(text: str, *, without: frozenset[str] = frozenset()) -> Iterator[str]:
    """A Markdown document from its first heading of the second rank on; what is before that is the description.

    Sections whose titles are in `without` are left out.
    """
    blocks = re.split(r"\n{2,}", re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).strip("\n"))
    begun, skipping = False, False
    for block in _whole(blocks):
        first = block.splitlines()[0]
        if first.startswith("# "):
            continue
        if first.startswith("## "):
            begun, skipping = True, first[3:] in without
        if skipping:
            continue
        if not begun:
            begun = True
            yield ".SH DESCRIPTION"
        yield from _block(block)


def _whole(blocks: Iterable[str]) -> Iterator[str]:
    """The blocks, with fenced code that has empty lines in it put together again."""
    open_fence = ""
    for block in blocks:
        open_fence = f"{open_fence}\n\n{block}" if open_fence else block
        if open_fence.startswith("```") and not open_fence.rstrip().endswith("```", 3):
            continue
        if open_fence.strip():
            yield open_fence
        open_fence = ""


def _block(block: str) -> Iterator[str]:
    lines = block.splitlines()
    if match := re.match(r"(#{2,}) (.*)", lines[0]):
        yield f".SH {prose(match[2]).upper()}" if match[1] == "##" else f".SS {prose(match[2])}"
        if lines[1:]:
            yield from _block("\n".join(lines[1:]))
    elif lines[0].startswith("```"):
        yield from code(lines[1:-1])
    elif lines[0].startswith("    "):
        yield from code(each.removeprefix("    ") for each in lines)
    elif lines[0].startswith("|"):
        yield from _table(lines)
    elif re.match(r"(-|\d+\.) ", lines[0]):
        yield from _list(lines)
    else:
        yield ".PP"
        yield from (line(prose(each)) for each in _sentences(" ".join(each.strip() for each in lines)))


def _sentences(text: str) -> list[str]:
    """A paragraph, a line for each sentence: as pages are written."""
    return re.split(r"(?<=[.!?]) (?=[A-Z])", text)


def _list(lines: list[str]) -> Iterator[str]:
    items: list[tuple[str, str]] = []
    for each in lines:
        if match := re.match(r"(-|\d+\.) (.*)", each):
            items.append(("\\(bu" if match[1] == "-" else match[1], match[2]))
        else:
            mark, text = items.pop()
            items.append((mark, f"{text} {each.strip()}"))
    for mark, text in items:
        yield f".IP {mark} 4"
        yield from (line(prose(each)) for each in _sentences(text))


def _table(lines: list[str]) -> Iterator[str]:
    """Names and what they are; where that is in several columns, each has its title before it.

    A last column that is called what something is comes first, and needs no title.
    """
    head, _, *rows = map(_cells, lines)
    for name, *cells in rows:
        if len(cells) == 1:
            yield from definition(prose(name), cells[0])
            continue
        told = [f"{title[:1].upper()}{title[1:]}: {cell}" for title, cell in zip(head[1:], cells, strict=True) if cell]
        if head[-1].startswith("what "):
            told = [cells[-1], *told[:-1]]
        yield from (".TP", line(prose(name)))
        for number, text in enumerate(told):
            yield from ((".br",) if number else ())
            yield line(prose(text))


def _cells(row: str) -> list[str]:
    """The cells of a table's row."""
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def definition(name: str, text: str) -> Iterator[str]:
    """A name, which is roff already, and what it is."""
    yield ".TP"
    yield line(name)
    yield from (line(prose(each)) for each in _sentences(text))
