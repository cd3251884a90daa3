"""Starting a process: from what the engine asks for to a child that is on its way to its program.

Not responsible for what the child does (setup.py), nor for what becomes of it (supervisor.py).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from upstartd.conf.model import Console
from upstartd.proc import command
from upstartd.proc.setup import Setup, carry_out, console_of, has_settings, is_traced, needs_no_fork, steps, umask

if TYPE_CHECKING:
    from upstartd.engine.effects import Spawn
    from upstartd.proc.control_groups import ControlGroups
    from upstartd.proc.job_logs import JobLogs
    from upstartd.proc.kernel import Kernel
    from upstartd.proc.setup import Defaults

_UNKNOWN_ERRNO = 255


class OutOfResources(Exception):
    """No process or no descriptor is to be had at present. `error` is the system's."""

    def __init__(self, what: str, error: OSError) -> None:
        super().__init__(f"unable to {what}: {error.strerror}")
        self.error = error


class Child(NamedTuple):
    """A new process. `report` is where it tells why its set-up failed; it closes when its program is executed.

    None: its program has been executed already.
    """

    pid: int
    report: int | None = None


class Spawner:
    """Starts processes, each with `defaults` for what its job does not say.

    `logs` None: no output is kept. `control_groups` None: the stanza means nothing.
    """

    def __init__(
        self, kernel: Kernel, defaults: Defaults, logs: JobLogs | None = None,
        control_groups: ControlGroups | None = None,
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._defaults = defaults
        self._logs = logs
        self._control_groups = control_groups
        self._null: int | None = None

    def start(self, effect: Spawn) -> Child:
        """Start the process that `effect` describes. OutOfResources, or SetupFailed for what can never be run."""
        invocation = command.invocation(effect.command, effect.files)
        env = command.environment(effect.env)
        with contextlib.ExitStack() as closing:
            try:
                if self._null is None:
                    self._null = self._kernel.open_null()
                setup = Setup(self._kernel, effect, self._defaults, invocation, env, self._null)
                if invocation.script is not None:
                    setup.script = self._kernel.make_script_file(invocation.script)
                    closing.callback(self._kernel.close, setup.script)
                if self._logs is not None and console_of(effect, self._defaults) is Console.LOG:
                    setup.terminal = self._logs.open(effect)
                    if setup.terminal is not None:
                        closing.callback(self._kernel.close, setup.terminal)
                if self._control_groups is not None and effect.settings.cgroups and has_settings(effect):
                    setup.membership = self._control_groups.prepare(effect)
                    for directory in setup.membership.directories.values():
                        closing.callback(self._kernel.close, directory)
                self._kernel.close_all_on_exec()
            except OSError as error:
                raise OutOfResources("create pipe", error) from error
            pid = self._start_quick(setup)
            return self._fork(setup, closing) if pid is None else Child(pid)

    def _start_quick(self, setup: Setup) -> int | None:
        """Start the process without a fork; None where it needs more than that, or where that fails."""
        argv = setup.invocation.argv
        if not argv or not needs_no_fork(setup):
            return None
        program = self._kernel.find_quick(command.candidates(argv[0], setup.env))
        if program is None:
            return None
        descriptors = [(setup.null, 0), (setup.output, 1), (setup.output, 2)]
        if setup.script is not None:
            descriptors.append((setup.script, setup.invocation.script_fd))
        descriptors += [(file, file) for file in setup.effect.files]
        settings = has_settings(setup.effect)
        try:
            return self._kernel.start_quick(
                program, argv, setup.env, descriptors,
                umask(setup) if settings else None, self._defaults.directory if settings else None,
            )  # fmt: skip
        except OSError:
            return None  # The slow way meets the same obstacle, and tells it in the right words.

    def _fork(self, setup: Setup, closing: contextlib.ExitStack) -> Child:
        """Start the process with a fork, which can do everything."""
        kernel = self._kernel
        with contextlib.ExitStack() as closing_on_error:
            try:
                report, setup.report = kernel.pipe()
                closing_on_error.callback(kernel.close, report)
                closing.callback(kernel.close, setup.report)
                kernel.set_blocking(report, False)
                if is_traced(setup.effect):
                    setup.trace = kernel.pipe()
                    for end in setup.trace:
                        closing.callback(kernel.close, end)
            except OSError as error:
                raise OutOfResources("create pipe", error) from error
            todo = steps(setup)
            try:
                pid = kernel.fork()
            except OSError as error:
                raise OutOfResources("fork", error) from error
            if pid == 0:
                carry_out(kernel, todo, setup.report)
            if setup.trace is not None:
                kernel.write(setup.trace[1], bytes([self._seize(pid)]))
            closing_on_error.pop_all()
            return Child(pid, report)

    def _seize(self, pid: int) -> int:
        """Trace the process, which waits for the answer: 0, or the errno of the refusal."""
        try:
            self._kernel.seize(pid)
        except OSError as error:
            return error.errno or _UNKNOWN_ERRNO
        return 0
