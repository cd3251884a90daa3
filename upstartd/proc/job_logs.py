"""The output of all processes with `console log`: from their terminals to the logs of their instances.

Each process has a pseudo-terminal of its own. What is written to it is read as it comes, a bounded part in each turn
of the event loop, so that no amount of output delays anything else; who writes faster than that waits. Not
responsible for what becomes of output on disk (job_log.py, log_file.py), nor for starting processes. Source:
runtime specification, 6; design, 24, 25 and 39; pty(7), epoll(7).
"""

from __future__ import annotations

import errno
import os
import select
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upstartd import root_directory
from upstartd.conf.model import ProcessName  # noqa: TC001 - state/codec.py reads the annotations
from upstartd.proc.job_log import Common, JobLog
from upstartd.proc.log_file import LogFile, LogPath, log_path

if TYPE_CHECKING:
    from upstartd.engine.effects import Spawn
    from upstartd.log import Log
    from upstartd.proc.kernel import Kernel
    from upstartd.proc.supervisor import Loop

_READS_A_TURN = 16  # shared by the terminals that have something
_READ_SIZE = 1 << 16
_READS_TO_EMPTY = 64  # far more than a full terminal takes, of which each gives 4 KiB at least


@dataclass(slots=True, eq=False)
class Output:
    """The output of one process, and of what it leaves behind. `terminal` is the daemon's side of it."""

    instance: int
    process: ProcessName
    terminal: int
    log: JobLog
    file: LogFile

    @property
    def key(self) -> tuple[int, ProcessName]:
        """The process."""
        return self.instance, self.process


@dataclass(frozen=True, slots=True)
class OutputState:
    """An Output over a re-execution. `has_process`: the process itself has not ended. The descriptors stay open."""

    instance: int
    process: ProcessName
    has_process: bool
    terminal: int
    file: int | None = None


@dataclass(frozen=True, slots=True)
class LogState:
    """A JobLog over a re-execution. `held` has a character for each byte; `error` is its errno."""

    job: str
    where: LogPath
    outputs: tuple[OutputState, ...]
    held: str = ""
    error: int | None = None


@dataclass(frozen=True, slots=True)
class JobLogsState:
    """What JobLogs hands on over a re-execution."""

    logs: tuple[LogState, ...]
    disk_is_writeable: bool

    def descriptors(self) -> set[int]:
        """What has to stay open."""
        outputs = [output for log in self.logs for output in log.outputs]
        return {fd for output in outputs for fd in (output.terminal, output.file) if fd is not None}


class JobLogs:
    """Reads the terminals of processes and writes their logs into `directory`; None: no process gets a terminal.

    The directory of a chroot session is the one that is called so from its root directory.
    """

    def __init__(self, kernel: Kernel, *, directory: str | None, log: Log, loop: Loop) -> None:
        self._kernel = kernel
        self._directory = directory
        self._log = log
        self._loop = loop
        self._common = Common(log)
        self._disk_is_writeable = False
        self._disabled: set[tuple[str, str]] = set()  # the jobs, with their roots, for which there was no terminal
        self._logs: dict[str, JobLog] = {}  # by their paths
        self._outputs: dict[int, Output] = {}  # by their terminals
        self._of_process: dict[tuple[int, ProcessName], Output] = {}  # those whose processes have not ended
        # Terminals have a poll of their own, as it gives no more at once than is asked for, and each its turn.
        self._poll: select.epoll | None = None

    # -- processes ------------------------------------------------------------------------------------------

    def open(self, effect: Spawn) -> int | None:
        """A terminal for the process that is about to be started: the process's side, for the caller to close.

        None where its output is not kept. The rest needs no word: a terminal that nobody has open is forgotten.
        """
        root, job = effect.root, effect.job_name
        if self._directory is None or (root, job) in self._disabled:
            return None
        try:
            directory = root_directory.resolve(root, self._directory) if root else self._directory
        except OSError as error:
            self._log.error(f"cannot log the output of {job}: {error.filename}: {error.strerror}")
            return None
        try:
            terminal, theirs = self._open_terminal()
        except OSError:
            self._log.error("Failed to create pty - disabling logging for job")
            self._disabled.add((root, job))
            return None
        where = log_path(directory, job, effect.instance_name)
        log = self._logs.setdefault(where.path, JobLog(job, where, self._common))
        output = Output(effect.instance, effect.process, terminal, log, LogFile(self._kernel, where, self._log))
        self._of_process[output.key] = output
        self._add(output)
        return theirs

    def _open_terminal(self) -> tuple[int, int]:
        """A new terminal that is watched: our side, the process's."""
        terminal, theirs = self._kernel.open_terminal()
        try:
            self._watch(terminal)
        except OSError:
            self._kernel.close(terminal)
            self._kernel.close(theirs)
            raise
        return terminal, theirs

    def _watch(self, terminal: int) -> None:
        if self._poll is None:
            self._poll = select.epoll()
            self._loop.add_reader(self._poll.fileno(), self.read_some)
        self._poll.register(terminal, select.EPOLLIN)

    def _add(self, output: Output) -> None:
        self._outputs[output.terminal] = output
        output.log.writers += 1

    def job_was_read(self, job: str, root: str = "") -> None:
        """The file of a job was read again: a job that had to do without a terminal may have one."""
        self._disabled.discard((root, job))

    def process_ended(self, instance: int, process: ProcessName) -> None:
        """A process has ended: read all that it has written. What it left behind may go on writing."""
        output = self._of_process.pop((instance, process), None)
        if output is not None and self._read(output, _READS_TO_EMPTY) and output.log.held:
            output.log.write(output.file)

    # -- reading --------------------------------------------------------------------------------------------

    def read_some(self) -> None:
        """Read a part of what the terminals have; the loop calls this again as long as there is more."""
        assert self._poll is not None
        ready = self._poll.poll(0, _READS_A_TURN)
        for terminal, _ in ready:
            self._read(self._outputs[terminal], _READS_A_TURN // len(ready))

    def _read(self, output: Output, times: int) -> bool:
        """Read so often, if there is so much, and write that; whether anybody has the terminal open still."""
        parts: list[bytes] = []
        is_open = True
        try:
            while is_open and len(parts) < times:
                parts.append(self._kernel.read(output.terminal, _READ_SIZE))
                is_open = bool(parts[-1])
        except BlockingIOError:
            pass
        except OSError:  # EIO: nobody has
            is_open = False
        if parts:
            output.log.write(output.file, b"".join(parts))
        if not is_open:
            self._close(output)
        return is_open

    def _close(self, output: Output) -> None:
        """Nobody will write to this terminal any more."""
        assert self._poll is not None
        self._poll.unregister(output.terminal)
        self._kernel.close(output.terminal)
        del self._outputs[output.terminal]
        if self._of_process.get(output.key) is output:
            del self._of_process[output.key]
        log = output.log
        log.writers -= 1
        if log.held:
            log.write(output.file)
        output.file.close()
        if not log.writers:
            self._settle(log)

    def _settle(self, log: JobLog) -> None:
        """Forget a log that nobody writes to, unless what it holds may be written some day."""
        if log.held:
            if log.may_be_kept and not self._disk_is_writeable:
                return
            log.lose()
        del self._logs[log.where.path]

    # -- the whole ------------------------------------------------------------------------------------------

    def write_held(self) -> OSError | None:
        """The disk is writeable now: write all that is held. The first error there is with output of ended processes.

        Without one, nothing is held any more beyond the end of its process.
        """
        error = None
        for log in [log for log in self._logs.values() if log.held]:
            file = LogFile(self._kernel, log.where, self._log)
            log.write(file)
            file.close()
            if not log.writers:
                error = error or log.error
                if not log.held:
                    self._settle(log)
        self._disk_is_writeable = self._disk_is_writeable or error is None
        return error

    def close(self) -> None:
        """Read what the terminals hold, and forget them."""
        for output in list(self._outputs.values()):
            if self._read(output, _READS_TO_EMPTY):
                self._close(output)
        if self._poll is not None:
            self._loop.remove_reader(self._poll.fileno())
            self._poll.close()
            self._poll = None

    # -- over a re-execution --------------------------------------------------------------------------------

    def take_state(self) -> JobLogsState:
        """All that another one needs to go on."""
        outputs: dict[JobLog, list[OutputState]] = {log: [] for log in self._logs.values()}
        for output in self._outputs.values():
            has_process = self._of_process.get(output.key) is output
            outputs[output.log].append(OutputState(*output.key, has_process, output.terminal, output.file.fd))
        logs = tuple(
            LogState(log.job, log.where, tuple(its_outputs), bytes(log.held).decode("latin-1"),
                     None if log.error is None else log.error.errno)
            for log, its_outputs in outputs.items()
        )  # fmt: skip
        return JobLogsState(logs, self._disk_is_writeable)

    def put_state(self, state: JobLogsState) -> None:
        """Go on from what another one has handed on."""
        self._disk_is_writeable = state.disk_is_writeable
        for old in state.logs:
            log = self._logs[old.where.path] = JobLog(old.job, old.where, self._common)
            log.held.add(old.held.encode("latin-1", "replace"))
            if old.error is not None and old.error in errno.errorcode:
                log.error = OSError(old.error, os.strerror(old.error))
            for one in old.outputs:
                self._put_output(log, one)
            if not log.writers:
                self._settle(log)

    def _put_output(self, log: JobLog, state: OutputState) -> None:
        file = LogFile(self._kernel, log.where, self._log, state.file)
        output = Output(state.instance, state.process, state.terminal, log, file)
        try:
            self._kernel.set_blocking(output.terminal, False)
            self._watch(output.terminal)
        except OSError as error:
            self._log.warn(f"cannot go on reading the output of {log.job}: {error.strerror}")
            return
        self._add(output)
        if state.has_process:
            self._of_process[output.key] = output
