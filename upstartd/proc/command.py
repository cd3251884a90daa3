"""From what a job file says is run to what the kernel is told to execute. Pure.

Not responsible for starting it (spawn.py). Source: runtime specification, 5.1; lifecycle specification, 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from upstartd.conf.model import Command

SHELL = "/bin/sh"
SCRIPT_FD = 9
_SHELL_CHARACTERS = frozenset("~`!$^&*()=|\\{}[];\"'<>?")
_BLANKS = str.maketrans("\t\n", "  ")
_DEFAULT_PATH = b"/bin:/usr/bin"  # what execvp(3) searches where there is no PATH


class SetupFailed(Exception):
    """A process cannot be set up; the text is the reason that the log gives (runtime specification, 5.4)."""


class Invocation(NamedTuple):
    """What is executed, and the script that it reads from its descriptor `script_fd`, if any."""

    argv: tuple[bytes, ...]
    script: bytes | None = None
    script_fd: int = SCRIPT_FD


def encoded(text: str) -> bytes:
    """The bytes of the job file that became `text`: not by the locale, which is the daemon's own affair."""
    return text.encode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """The same for what is to be executed. SetupFailed for a text that no process can be given: it has a zero byte."""
    data = encoded(text)
    if b"\0" in data:
        raise SetupFailed("unable to execute: Invalid argument")
    return data


def invocation(command: Command, taken: Iterable[int] = ()) -> Invocation:
    """How `command` is run. `taken` are descriptors that the process gets for other purposes.

    SetupFailed as for to_bytes(), and where the script finds no descriptor.
    """
    text = command.text.rstrip("\n")
    if not command.script and not _SHELL_CHARACTERS.intersection(text):
        return Invocation(tuple(to_bytes(word) for word in text.translate(_BLANKS).split(" ") if word))
    if not command.script:
        text = f"exec {text}"
    if "\n" not in text:
        return Invocation(tuple(map(to_bytes, (SHELL, "-e", "-c", text, SHELL))))
    number = _script_fd(frozenset(taken))
    argv = (SHELL, "-e", f"/proc/self/fd/{number}")
    return Invocation(tuple(map(to_bytes, argv)), to_bytes(f"exec {number}<&-\n{text}\n"), number)


def _script_fd(taken: frozenset[int]) -> int:
    """9, unless an event's file has that number (design, 15): then one below, as shells close no others."""
    for number in range(SCRIPT_FD, 2, -1):
        if number not in taken:
            return number
    raise SetupFailed("unable to move script fd: Too many open files")


def environment(entries: Iterable[str]) -> dict[bytes, bytes]:
    """KEY=VALUE strings as exec takes them; KEY may be empty. SetupFailed as for to_bytes()."""
    pairs = (to_bytes(entry).partition(b"=") for entry in entries)
    return {name: value for name, _, value in pairs}


def candidates(program: bytes, env: Mapping[bytes, bytes]) -> tuple[bytes, ...]:
    """The paths at which execvp(3) looks for `program`, in order; an empty directory is the present one."""
    if b"/" in program or not program:
        return (program,)
    path = env.get(b"PATH", _DEFAULT_PATH)
    return tuple(directory + b"/" + program if directory else program for directory in path.split(b":"))
