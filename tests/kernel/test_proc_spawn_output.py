"""Where the output of a process goes as it is started, and that its end is told after its output was read."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, cast

import pytest

from support.scripted_kernel import InTurn, RecordedLog, ScriptedKernel, ScriptedLoop, exited, refusal, spawn_effect
from upstartd.conf.model import Console, Expect, ProcessName
from upstartd.engine.inputs import ProcessEnded
from upstartd.log import Priority
from upstartd.proc.setup import Defaults
from upstartd.proc.spawn import OutOfResources, Spawner
from upstartd.proc.supervisor import Supervisor

if TYPE_CHECKING:
    from upstartd.engine.effects import Spawn
    from upstartd.proc.job_logs import JobLogs

NULL, TERMINAL = 101, 90


class Logs:
    """In place of JobLogs: gives one terminal, or none, and remembers what it was told."""

    def __init__(self, terminal: int | None = TERMINAL) -> None:
        self.terminal = terminal
        self.told: list[object] = []

    def open(self, effect: Spawn) -> int | None:
        self.told.append(("open", effect.job_name))
        return self.terminal

    def process_ended(self, instance: int, process: ProcessName) -> None:
        self.told.append(("ended", instance, process))


def start(logs: Logs | None, default: Console = Console.LOG, *, kernel: ScriptedKernel, **options: Any) -> None:
    defaults = Defaults(default, 0o022, "/", debug=False)
    Spawner(kernel, defaults, cast("JobLogs | None", logs)).start(spawn_effect(**options))


def quickly(logs: Logs | None, default: Console = Console.LOG, **options: Any) -> list[tuple[int, int]]:
    """Start a process without a fork; gives the descriptors that it gets, as (ours, theirs)."""
    kernel = ScriptedKernel(find_quick=b"/one/program")
    start(logs, default, kernel=kernel, **options)
    ((_, _, _, _, descriptors, *_),) = kernel.named("start_quick")
    if logs is not None and ("open", "web") in logs.told and logs.terminal is not None:
        assert ("close", TERMINAL) in kernel.calls
    return cast("list[tuple[int, int]]", descriptors)


def by_fork(logs: Logs, **answers: Any) -> ScriptedKernel:
    kernel = ScriptedKernel(**answers)
    start(logs, kernel=kernel, nice=1)
    return kernel


def test_console_log_is_a_terminal_for_the_output_and_dev_null_for_the_input() -> None:
    for logs, default, options in (
        (Logs(), Console.LOG, {}), (Logs(), Console.NONE, {"console": Console.LOG}),
        (Logs(), Console.LOG, {"process": ProcessName.SECURITY}),
    ):  # fmt: skip
        assert quickly(logs, default, **options) == [(NULL, 0), (TERMINAL, 1), (TERMINAL, 2)]


@pytest.mark.parametrize(
    ("logs", "default", "options"),
    [(None, Console.LOG, {}), (Logs(None), Console.LOG, {}), (Logs(), Console.NONE, {}),
     (Logs(), Console.LOG, {"console": Console.NONE})],
)  # fmt: skip
def test_output_that_is_not_kept_goes_to_dev_null(logs: Logs | None, default: Console, options: dict[str, Any]) -> None:
    assert quickly(logs, default, **options) == [(NULL, 0), (NULL, 1), (NULL, 2)]


def test_only_console_log_takes_a_terminal() -> None:
    logs = Logs()
    for console in (Console.NONE, Console.OUTPUT, Console.OWNER):
        start(logs, kernel=ScriptedKernel(), console=console)
    assert logs.told == []


def test_a_forked_child_gets_the_terminal_at_the_console_s_place_in_the_order() -> None:
    kernel = ScriptedKernel(fork=0)
    with pytest.raises(BaseException, match="255"):
        start(Logs(), kernel=kernel, nice=1)
    assert [call for call in kernel.calls if call[0] in ("setsid", "dup2", "umask")] == [
        ("setsid",), ("dup2", NULL, 0), ("dup2", TERMINAL, 1), ("dup2", TERMINAL, 2), ("umask", 0o022)
    ]  # fmt: skip


def test_the_daemon_closes_the_process_s_side_of_the_terminal() -> None:
    kernel = by_fork(Logs())
    assert ("close", TERMINAL) in kernel.calls[kernel.calls.index(("fork",)) :]


@pytest.mark.parametrize("fails", ["fork", "close_all_on_exec"])
def test_a_process_that_cannot_be_started_leaves_no_terminal_open(fails: str) -> None:
    kernel = ScriptedKernel(**{fails: refusal(errno.EAGAIN)})
    with pytest.raises(OutOfResources):
        start(Logs(), kernel=kernel, expect=Expect.FORK)
    assert ("close", TERMINAL) in kernel.calls


def test_each_attempt_to_start_a_process_has_a_terminal_of_its_own() -> None:
    logs, loop = Logs(), ScriptedLoop()
    kernel = ScriptedKernel(fork=InTurn([refusal(errno.EAGAIN), 2001]))
    supervise(kernel, logs, [], loop).spawn(spawn_effect())
    loop.let_time_pass()
    assert logs.told == [("open", "web")] * 2
    assert len(kernel.named("close")) >= 2


def supervise(kernel: ScriptedKernel, logs: Logs, inputs: list[Any], loop: ScriptedLoop | None = None) -> Supervisor:
    return Supervisor(kernel, deliver=inputs.append, log=RecordedLog(Priority.DEBUG), loop=loop or ScriptedLoop(),
                      logs=cast("JobLogs", logs))


def test_all_output_is_read_before_the_end_of_a_process_is_told() -> None:
    logs = Logs()
    kernel = ScriptedKernel(find_quick=b"/one/program")
    supervisor = supervise(kernel, logs, logs.told)
    supervisor.spawn(spawn_effect(instance=7))
    logs.told.clear()
    kernel.news.append((kernel.last_pid, exited(3)))
    supervisor.reap()
    assert logs.told == [("ended", 7, ProcessName.MAIN), ProcessEnded(7, ProcessName.MAIN, status=3)]
