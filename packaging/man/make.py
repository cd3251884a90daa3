"""Write the manual pages: of what a program's --help says, of the sections beside this file, and of the reference.

Run as `make docs`, or with a directory to write to. NAME.SECTION.md has what a --help has no room for. The pages about
the daemon, job files and events are those of docs/reference.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import roff

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REFERENCE = ROOT / "docs" / "reference"
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]

# Programs with a page of their own, and those that share it.
SHARED = {
    "initctl": ("start", "stop", "restart", "reload", "status"),
    "reboot": ("halt", "poweroff"),
}
# Pages that are no program's: their names, what they are, and the parts of the reference that they are made of.
DOCUMENTS = {
    "init.5": ("job files of upstartd", ("job-files.md", "stanzas.md")),
    "upstart-events.7": ("events and conditions of upstartd", ("events.md",)),
}
SEE_ALSO = (("initctl", 8), ("service", 8), ("init-checkconf", 8), ("upstartd", 8), ("init", 5), ("upstart-events", 7))
# The page of the daemon is that of its program, and has what the reference says as well.
DAEMON = ("upstartd", "daemon.md")


class Help(NamedTuple):
    """What a program says of itself: how it is called, what it is in a line, its options, and more about it."""

    usage: list[str]
    synopsis: str
    options: list[tuple[str, str]]
    text: list[str]


@cache
def help_of(program: str, *words: str) -> Help:
    """The help of a program, or of one of its commands."""
    module, _, function = SCRIPTS[program].partition(":")
    call = f"import sys; from {module} import {function}; sys.argv[0] = {program!r}; sys.exit({function}())"
    done = subprocess.run([sys.executable, "-c", call, *words, "--help"], capture_output=True, text=True, check=True)
    return read_help(done.stdout or done.stderr)


def read_help(text: str) -> Help:
    """Read a help: `Usage:` with further lines below it, lines of text, `Options:` with a line for each, text."""
    found = Help([], "", [], [])
    synopsis = ""
    blocks = [block.splitlines() for block in text.strip("\n").split("\n\n")]
    for number, lines in enumerate(blocks):
        for each in lines:
            if number and lines[0] == "Options:":
                if match := re.match(r"  +(-.*?)(?:  +| (?=[a-z`]))(.*)", each):
                    found.options.append((match[1], _as_markdown(match[2])))
            elif number == 0 and (match := re.match(r"(?:Usage: |       )(\S.*)", each)):
                found.usage.append(match[1])
            elif number == 0:
                synopsis = f"{synopsis} {each.removeprefix('Description: ')}".strip()
        if number and lines[0] != "Options:":
            found.text.append(_as_markdown(" ".join(lines)))
    return found._replace(synopsis=synopsis)


def _as_markdown(text: str) -> str:
    """A help's text, with the words that it quotes as code."""
    return re.sub(r"`([^`']+)'", r"`\1`", text)


def called(usage: str) -> str:
    """A way to call a program: its name bold, words that stand for others in italics."""
    name, _, rest = usage.partition(" ")
    rest = re.sub(r"[A-Z][A-Z_]*(?:=[A-Z]+)?|<\w+>", lambda match: f"\\fI{match[0]}\\fP", roff.escape(rest))
    return f"\\fB{roff.escape(name)}\\fP {rest}".rstrip()


def spelled(option: str) -> str:
    """The names of an option in bold, what they take in italics."""
    return ", ".join(re.sub(r"^(-[^ =]+)([ =]?)(.*)", lambda match: (
        f"\\fB{roff.escape(match[1])}\\fP{match[2]}" + (f"\\fI{match[3]}\\fP" if match[3] else "")), name)
        for name in option.split(", "))


def options(found: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A list of options."""
    for option, text in found:
        yield from roff.definition(spelled(option), text[:1].upper() + text[1:] + ".")


def head(name: str, section: str, what: str) -> Iterator[str]:
    """The beginning of each page."""
    yield '.\\" Made by `make docs`.'
    yield f".TH {roff.escape(name).upper()} {section} \"\" upstartd \"upstartd manual\""
    yield ".SH NAME"
    yield what


def summary(programs: Iterable[str], synopsis: str) -> str:
    """What whatis(1) knows of a page."""
    return f"{', '.join(map(roff.escape, programs))} \\- {synopsis[:1].lower()}{synopsis[1:].rstrip('.')}"


def program(name: str) -> Iterator[str]:
    """The page of a program."""
    found = help_of(name)
    programs = (name, *SHARED.get(name, ()))
    yield from head(name, "8", summary(programs, found.synopsis))
    yield ".SH SYNOPSIS"
    for number, each in enumerate(programs):
        for usage in help_of(each).usage if number else found.usage:
            yield from ((".br",) if number or usage is not found.usage[0] else ())
            yield called(usage.replace("init ", f"{name} ", 1) if name == DAEMON[0] else usage)
    if found.text:
        yield ".SH DESCRIPTION"
        for each in found.text:
            yield ".PP"
            yield from (roff.line(roff.prose(one)) for one in re.split(r"(?<=\.) (?=[A-Z])", each))
    yield ".SH OPTIONS"
    if name == "initctl":  # of which the other names are commands
        yield from options(found.options)
        yield from commands()
    else:
        shared = [one for one in found.options if all(one in help_of(each).options for each in programs)]
        yield from options(shared)
        for each in programs:
            if own := [one for one in help_of(each).options if one not in shared]:
                yield f".SS Of {each}"
                yield from options(own)
    if name == DAEMON[0]:
        yield from roff.page((REFERENCE / DAEMON[1]).read_text(), without=frozenset({"Options"}))
    yield from end(f"{name}.8")


def end(page: str) -> Iterator[str]:
    """The sections that stand beside this file, and where to read on."""
    extra = HERE / f"{page}.md"
    if extra.exists():
        yield from roff.page(extra.read_text())
    yield ".SH SEE ALSO"
    others = [(name, section) for name, section in SEE_ALSO if f"{name}.{section}" != page]
    yield ",\n".join(f"\\fB{roff.escape(name)}\\fP({section})" for name, section in others)


def commands() -> Iterator[str]:
    """The commands of initctl, each with its own options."""
    common = dict(help_of("initctl").options)
    module, _, function = SCRIPTS["initctl"].partition(":")
    call = f"import sys; from {module} import {function}; sys.argv[0] = 'initctl'; sys.exit({function}())"
    listed = subprocess.run([sys.executable, "-c", call, "help"], capture_output=True, text=True, check=True).stdout
    yield ".SH COMMANDS"
    for block in listed.strip().split("\n\n")[:-1]:
        title, *rows = block.splitlines()
        yield f".SS {title.removesuffix(':')}"
        for row in rows:
            name = row.split()[0]
            found = help_of("initctl", name)
            arguments = re.sub(r"^initctl (\S+)( \[OPTION\]\.\.\.)?", r"\1", found.usage[0])
            yield from roff.definition(called(arguments), f"{found.synopsis} {' '.join(found.text)}")
            if own := [one for one in found.options if one[0] not in common]:
                yield ".RS"
                yield from options(own)
                yield ".RE"


def document(name: str) -> Iterator[str]:
    """A page that is made of the reference."""
    what, parts = DOCUMENTS[name]
    title, _, section = name.rpartition(".")
    yield from head(title, section, f"{roff.escape(title)} \\- {what}")
    for number, part in enumerate(parts):
        made = roff.page((REFERENCE / part).read_text())
        if number:
            yield f".SH {part.removesuffix('.md').upper()}"
            next(made)  # its own DESCRIPTION
        yield from made
    yield from end(name)


def pages() -> dict[str, str]:
    """Every page by its file's name."""
    shared = {other: name for name, others in SHARED.items() for other in others}
    found = {f"{other}.8": f".so man8/{name}.8\n" for other, name in shared.items()}
    made = {f"{name}.8": program(name) for name in SCRIPTS if name not in shared}
    made |= {name: document(name) for name in DOCUMENTS}
    # After a title a paragraph begins anyway.
    return found | {name: re.sub(r"^(\.S[HS] .*\n)\.PP\n", r"\1", "\n".join(lines) + "\n", flags=re.MULTILINE)
                    for name, lines in made.items()}


if __name__ == "__main__":
    directory = Path(sys.argv[1]) if sys.argv[1:] else HERE
    for name, text in pages().items():
        (directory / name).write_text(text)
