"""How process 1 ends the machine, on a scripted one: nothing runs, nothing is lost, and only then reboot(2)."""

from __future__ import annotations

import errno

import pytest

from support.scripted_machine import ScriptedMachine
from upstartd.log import Log
from upstartd.machine import Reboot
from upstartd.pid1 import CONTAINER_S_END, TIME_TO_END, WAYS_DOWN, Pid1, WayDown

RESTART = WayDown(Reboot.RESTART, "6", announced=True)
READ_ONLY = 32 + 1  # mount(2): MS_REMOUNT, MS_RDONLY


class Said(Log):
    """A log that keeps warnings."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def end(machine: ScriptedMachine, way: WayDown | None = RESTART, container: str | None = None) -> list[str]:
    log = Said()
    first = Pid1(machine, log, container)
    first.way_down = way
    first.end()
    return log.warnings


def test_everything_is_ended_written_and_unmounted_before_the_machine_ends() -> None:
    machine = ScriptedMachine()
    machine.mounts = ["/home/me", "/proc", "/dev", "/sys", "/sys/fs/cgroup", "/", "/run", "/home", "/dev/shm"]
    machine.swaps = ["/swapfile"]
    assert end(machine) == []
    assert machine.calls == [
        "kill 15",
        f"collect {TIME_TO_END}",
        "child", "sync",
        "child", "swapoff /swapfile",
        "child", "unmount /home/me",
        "child", "unmount /run",
        "child", "unmount /home",
        "child", f"mount / {'' } {READ_ONLY} ",
        "child", "sync",
        "reboot RESTART",
    ]  # fmt: skip


def test_who_does_not_end_is_killed() -> None:
    machine = ScriptedMachine(deaf=1)
    end(machine)
    assert machine.asked("kill") == ["15", "9"]


def test_who_cannot_be_killed_does_not_keep_the_machine_from_ending() -> None:
    machine = ScriptedMachine(deaf=100)
    end(machine)
    assert machine.asked("kill") == ["15", "9"]
    assert machine.calls[-1] == "reboot RESTART"


def test_what_cannot_be_unmounted_becomes_read_only_and_is_told_of() -> None:
    machine = ScriptedMachine(refused={"unmount /home": errno.EBUSY, "mount / ": errno.EBUSY, "sync": errno.ETIMEDOUT})
    machine.mounts = ["/", "/home", "/srv"]
    assert end(machine) == [
        "Unable to sync: Connection timed out",
        "Unable to unmount /home: Device or resource busy",
        "Unable to make / read-only: Device or resource busy",
        "Unable to sync: Connection timed out",
    ]
    assert f"mount /home  {READ_ONLY} " in machine.calls
    assert machine.calls[-1] == "reboot RESTART"


def test_without_proc_the_machine_still_ends() -> None:
    refused = {"list": errno.ENOENT, "kill": errno.EPERM}
    machine = ScriptedMachine(refused=refused)
    assert end(machine) == ["Unable to end other processes: Operation not permitted",
                            "Unable to list swap files: No such file or directory",
                            "Unable to list mount points: No such file or directory"]
    assert machine.calls[-1] == "reboot RESTART"


def test_a_refusal_to_end_the_machine_is_told() -> None:
    machine = ScriptedMachine(refused={"reboot": errno.EPERM})
    assert end(machine, WAYS_DOWN[38]) == ["Unable to power off: Operation not permitted"]


@pytest.mark.parametrize("way", [RESTART, CONTAINER_S_END])
def test_a_container_s_end_is_that_of_its_process_1_and_nothing_else(way: WayDown) -> None:
    machine = ScriptedMachine()
    machine.mounts = ["/", "/home"]
    assert end(machine, way, "docker") == []
    assert machine.calls == []


def test_signals_ask_for_the_ends_that_systemd_has_under_the_same_numbers() -> None:
    assert {number: (way.reboot, way.runlevel, way.announced) for number, way in WAYS_DOWN.items()} == {
        37: (Reboot.HALT, "0", False), 38: (Reboot.POWER_OFF, "0", False), 39: (Reboot.RESTART, "6", False),
        47: (Reboot.HALT, "0", True), 48: (Reboot.POWER_OFF, "0", True), 49: (Reboot.RESTART, "6", True),
    }  # fmt: skip
