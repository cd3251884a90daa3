"""Executing the daemon anew, in the same process, as it was started: with the same words, in the same directory.

Not responsible for the state that the next one goes on from (state/handover.py). Source: runtime specification, 9.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING, NoReturn

from upstartd.execve import execve

if TYPE_CHECKING:
    from collections.abc import Sequence

_PATIENCE = 10.0  # How long a trial may take, in seconds. The daemon stands still meanwhile.


class Program:
    """The program that this process executes. To be made before the process leaves the directory it was started in.

    `state_fd` is the option of that name; `path` is what messages call the program.
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
        file = os.path.normpath(os.path.join(self._directory, sys.argv[0]))
        self.path = file if os.path.exists(file) else sys.executable  # which has no file to read, as with `-c`

    def try_out(self, environ: Sequence[bytes]) -> None:
        """See whether the program could be executed with these variables: OSError where not.

        The system's word is not enough: it executes the interpreter, and what is missing after that ends the process,
        with all that it knows. So a child has to get as far as having all of the daemon's modules.
        """
        os.close(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        variables = (entry.partition(b"=") for entry in environ)
        env = {name: value for name, equals, value in variables if equals}
        try:
            with self._where_it_was_started():
                done = subprocess.run([*self._command, "--trial"], env=env, stdin=subprocess.DEVNULL, check=False,
                                      capture_output=True, start_new_session=True, timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            raise TimeoutError(errno.ETIMEDOUT, "a trial does not come to an end") from None
        # A program that was cut off in the middle, to nothing even, need not end with an error.
        if done.returncode or not done.stdout:
            said = done.stderr.decode("utf-8", "replace").split("\n")
            raise OSError(errno.ENOEXEC, next((line for line in reversed(said) if line.strip()), "a trial of it fails"))

    def execute(self, state_fd: int | None, environ: Sequence[bytes]) -> NoReturn:
        """Execute the program anew with these variables; it reads the state at `state_fd`, if there is any.

        Raises OSError, and nothing has changed then.
        """
        words = [*self._command, *next_arguments(self._arguments, self._state_fd, state_fd)]
        with self._where_it_was_started():
            execve(os.fsencode(sys.executable), map(os.fsencode, words), environ)

    def _where_it_was_started(self) -> contextlib.AbstractContextManager[None]:
        """Goes there, where the process has left it: the program's path may be relative, and so may PYTHONPATH."""
        has_left = not os.path.samestat(self._place, os.stat("."))
        return contextlib.chdir(self._directory) if has_left else contextlib.nullcontext()


def next_arguments(arguments: Sequence[str], state_fd: int | None, next_fd: int | None) -> list[str]:
    """The arguments for the next daemon, from those of this one, which had its state from `state_fd`, if from anywhere.

    What is added for the next one takes the place of what was added for this one, and of nothing else.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)  # No option comes after that.
    options = arguments[:end]
    added = [] if state_fd is None else _added(state_fd)
    if added and options[-len(added) :] == added:
        options = options[: -len(added)]
    return [*options, *_added(next_fd), *arguments[end:]]


def _added(state_fd: int | None) -> list[str]:
    return ["--restart"] if state_fd is None else ["--restart", "--state-fd", str(state_fd)]
