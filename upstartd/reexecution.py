"""Executing the daemon anew, in the same process, as it was started: with the same words, in the same directory.

Not responsible for the state that the next one goes on from (state/handover.py). Source: runtime specification, 9.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Program:
    """The program that this process executes. To be made before the process leaves the directory it was started in.

    `state_fd` is the option of that name.
    """

    def __init__(self, state_fd: int | None) -> None:
        self._state_fd = state_fd
        self._arguments = sys.argv[1:]
        # Python goes by the name that it is called by when it looks for its modules, and one without a directory is
        # looked up in PATH, which need not be what it was.
        self._command = [sys.executable, *sys.orig_argv[1 : len(sys.orig_argv) - len(self._arguments)]]
        self._place = os.stat(".")
        try:
            self._directory = os.getcwd()
        except FileNotFoundError:  # It has been removed: nothing was found by a path relative to it, or ever will be.
            self._directory = "."

    def execute(self, state_fd: int, environ: Mapping[str, str]) -> NoReturn:
        """Execute the program anew; it reads the state at `state_fd`. Raises OSError, and nothing has changed then."""
        words = [*self._command, *next_arguments(self._arguments, self._state_fd, state_fd)]
        with self._where_it_was_started():
            os.execve(sys.executable, words, environ)

    def _where_it_was_started(self) -> contextlib.AbstractContextManager[None]:
        """Goes there, where the process has left it: the program's path may be relative, and so may PYTHONPATH."""
        has_left = not os.path.samestat(self._place, os.stat("."))
        return contextlib.chdir(self._directory) if has_left else contextlib.nullcontext()


def next_arguments(arguments: Sequence[str], state_fd: int | None, next_fd: int) -> list[str]:
    """The arguments for the next daemon, from those of this one, which had its state from `state_fd`, if from anywhere.

    What is added for the next one takes the place of what was added for this one, and of nothing else.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)  # No option comes after that.
    options = arguments[:end]
    added = [] if state_fd is None else _added(state_fd)
    if added and options[-len(added) :] == added:
        options = options[: -len(added)]
    return [*options, *_added(next_fd), *arguments[end:]]


def _added(state_fd: int) -> list[str]:
    return ["--restart", "--state-fd", str(state_fd)]
