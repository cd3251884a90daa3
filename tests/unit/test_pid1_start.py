"""What process 1 does at its start, on a scripted machine: runtime specification, section 4."""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING

import pytest

from support.scripted_machine import ScriptedMachine
from upstartd.log import Log, Priority
from upstartd.pid1 import PATH, Pid1

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NODES = ("/dev/null", "/dev/tty", "/dev/console", "/dev/kmsg")
DEVICES = ("/dev/ptmx", "/dev/pts", *NODES)
# mount(2): read-only 1, no set-user-id 2, no devices 4, no execution 8
NO_SUID_NO_EXEC, NO_SUID_NO_DEV_NO_EXEC = 2 + 8, 2 + 4 + 8


class Noted(Log):
    """A log that keeps what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[Priority, str]] = []
        self.kernel_log: int | None = None

    def write(self, priority: Priority, text: str) -> None:
        if self.wants(priority):
            self.said.append((priority, text))

    def use_kernel_log(self, descriptor: int) -> None:
        self.kernel_log = descriptor


@pytest.fixture
def log() -> Noted:
    return Noted()


def prepare(machine: ScriptedMachine, log: Noted, container: str | None = None, *, restarted: bool = False) -> Pid1:
    first = Pid1(machine, log, container)
    first.prepare("/sbin/init", restarted=restarted)
    return first


def standard(machine: ScriptedMachine) -> list[str | None]:
    return [machine.open_files.get(number) for number in (0, 1, 2)]


# -- a machine --------------------------------------------------------------------------------------------------------


def test_a_bare_machine_gets_devices_file_systems_and_a_console_in_this_order(log: Noted) -> None:
    machine = ScriptedMachine("/dev/tty0")
    prepare(machine, log)
    assert machine.calls == [
        "setsid",
        "umask 0",
        f"mount /dev devtmpfs {NO_SUID_NO_EXEC} ",
        "mknod /dev/ptmx 666 5 2",
        "mkdir /dev/pts 755",
        f"mount /dev/pts devpts {NO_SUID_NO_EXEC} gid=5,mode=0620",
        "mknod /dev/null 666 1 3",
        "mknod /dev/tty 666 5 0",
        "mknod /dev/console 600 5 1",
        "mknod /dev/kmsg 644 1 11",
        "open /dev/console",
        "crashes /dev/console",
        "open /dev/console",
        "sane /dev/console",
        "chdir /",
        f"mount /proc proc {NO_SUID_NO_DEV_NO_EXEC} ",
        f"mount /sys sysfs {NO_SUID_NO_DEV_NO_EXEC} ",
        "no-ctrl-alt-delete",
        "open /dev/tty0",
        f"keyboard /dev/tty0 {int(signal.SIGWINCH)}",
        "rename init /sbin/init",
    ]
    assert standard(machine) == ["/dev/console"] * 3
    assert log.said == []


def test_what_is_there_already_stays_as_it_is(log: Noted) -> None:
    machine = ScriptedMachine(*DEVICES)
    machine.mounts = ["/", "/proc", "/sys", "/dev", "/dev/pts"]
    prepare(machine, log)
    assert (machine.asked("mount"), machine.asked("mknod"), machine.asked("mkdir")) == ([], [], [])


def test_device_nodes_alone_do_not_have_dev_mounted_over(log: Noted) -> None:
    machine = ScriptedMachine("/dev/ptmx", "/dev/pts")
    prepare(machine, log)
    assert [call.split()[0] for call in machine.asked("mount")] == ["/dev/pts", "/proc", "/sys"]


def test_a_dev_that_is_mounted_gets_what_it_lacks(log: Noted) -> None:
    machine = ScriptedMachine(*NODES)
    machine.mounts = ["/dev"]
    prepare(machine, log)
    assert [call.split()[0] for call in machine.asked("mount")] == ["/dev/pts", "/proc", "/sys"]
    assert (machine.asked("mknod"), machine.asked("mkdir")) == (["/dev/ptmx 666 5 2"], ["/dev/pts 755"])


def test_what_fails_is_told_one_by_one_and_passed_over(log: Noted) -> None:
    machine = ScriptedMachine(refused={
        "setsid": errno.EPERM, "mount /proc": errno.ENODEV, "mount /sys": errno.EPERM, "mknod /dev/tty": errno.EROFS,
        "no-ctrl-alt-delete": errno.EINVAL, "rename": errno.ENOENT, "sane": errno.EIO, "chdir": errno.EACCES,
    })  # fmt: skip
    prepare(machine, log)
    assert log.said == [
        (Priority.WARN, "Unable to become session leader: Operation not permitted"),
        (Priority.WARN, "Unable to create /dev/tty: Read-only file system"),
        (Priority.WARN, "Unable to reset /dev/console: Input/output error"),
        (Priority.WARN, "Unable to change directory to /: Permission denied"),
        (Priority.WARN, "Unable to mount /proc filesystem: No such device"),
        (Priority.WARN, "Unable to mount /sys filesystem: Operation not permitted"),
        (Priority.WARN, "Unable to disable Ctrl-Alt-Delete: Invalid argument"),
        (Priority.WARN, "Unable to hide the command line: No such file or directory"),
    ]


def test_without_a_console_no_other_file_gets_the_number_of_a_standard_descriptor(log: Noted) -> None:
    machine = ScriptedMachine(*DEVICES, refused={"open /dev/console": errno.ENXIO})
    machine.open_files = {1: "given"}
    prepare(machine, log)
    assert standard(machine) == ["/dev/null", "given", "/dev/null"]
    assert log.said == [(Priority.WARN, "Unable to open /dev/console: No such device or address")]


@pytest.mark.parametrize(("there", "refused", "expected"), [
    (("/dev/tty0",), {}, True),
    (("/dev/tty0",), {"keyboard": errno.ENOTTY}, False),
    ((), {}, False),
])
def test_a_keyboard_can_make_a_request_where_the_console_is_a_virtual_one(
    there: tuple[str, ...], refused: dict[str, int], expected: bool, log: Noted
) -> None:
    machine = ScriptedMachine(*DEVICES, *there, refused=refused)
    first = prepare(machine, log)
    assert first.has_keyboard is expected
    assert "/dev/tty0" not in machine.open_files.values()
    assert log.said == []


def test_once_it_is_up_it_leaves_the_console_to_jobs_and_talks_to_the_kernel_s_log(log: Noted) -> None:
    machine = ScriptedMachine()
    first = prepare(machine, log)
    assert log.kernel_log is None
    first.started()
    assert log.kernel_log is not None
    assert machine.open_files[log.kernel_log] == "/dev/kmsg"
    assert standard(machine) == ["/dev/null"] * 3


def test_without_a_kernel_log_it_goes_on_talking_on_the_console(log: Noted) -> None:
    machine = ScriptedMachine(refused={"open /dev/kmsg": errno.EPERM})
    first = prepare(machine, log)
    first.started()
    assert (log.kernel_log, standard(machine)) == (None, ["/dev/console"] * 3)
    assert log.said == [(Priority.WARN, "Unable to open /dev/kmsg: Operation not permitted")]


def test_executed_anew_it_leaves_the_console_as_it_is(log: Noted) -> None:
    machine = ScriptedMachine(*DEVICES)
    machine.open_files = dict.fromkeys(range(3), "/dev/null")
    first = prepare(machine, log, restarted=True)
    assert (machine.asked("sane"), standard(machine)) == ([], ["/dev/null"] * 3)
    assert log.kernel_log is not None
    first.started()
    assert machine.asked("open").count("/dev/kmsg") == 1


def test_executed_anew_without_a_console_it_still_talks_to_the_kernel_s_log(log: Noted) -> None:
    machine = ScriptedMachine(*DEVICES, refused={"open /dev/console": errno.EIO})
    prepare(machine, log, restarted=True)
    assert log.kernel_log is not None
    assert log.said == [(Priority.WARN, "Unable to open /dev/console: Input/output error")]


def test_its_own_path_is_the_one_that_jobs_get_and_no_container_is_named(log: Noted) -> None:
    assert PATH == "/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin"
    assert prepare(ScriptedMachine(), log).environment() == {"PATH": PATH}


# -- a container ------------------------------------------------------------------------------------------------------


def test_in_a_container_the_console_the_keyboard_and_the_kernel_s_log_are_left_alone(log: Noted) -> None:
    machine = ScriptedMachine("/dev/ptmx", "/dev/pts", "/dev/null", "/dev/tty", "/dev/tty0")
    machine.mounts = ["/", "/proc", "/sys", "/dev", "/dev/pts"]
    first = prepare(machine, log, "docker")
    first.started()
    assert machine.calls == ["setsid", "umask 0", "chdir /", "rename init /sbin/init"]
    assert standard(machine) == ["stdin", "stdout", "stderr"]
    assert (first.has_keyboard, log.kernel_log, log.said) == (False, None, [])
    assert first.environment() == {"PATH": PATH, "container": "docker"}


def test_a_container_s_descriptors_that_are_closed_become_dev_null(log: Noted) -> None:
    machine = ScriptedMachine(*DEVICES)
    machine.open_files = {1: "stdout"}
    prepare(machine, log, "lxc")
    assert standard(machine) == ["/dev/null", "stdout", "/dev/null"]


def test_what_is_not_possible_in_a_container_is_said_in_one_line(log: Noted) -> None:
    machine = ScriptedMachine(refused={"m": errno.EPERM, "rename": errno.EACCES})
    prepare(machine, log, "podman")
    assert [priority for priority, _ in log.said] == [Priority.MESSAGE]
    no = "(Operation not permitted)"
    assert log.said[0][1] == (
        f"Not possible in this container, and left out: mount /dev filesystem {no}, create /dev/ptmx {no}, "
        f"create /dev/pts {no}, mount /dev/pts filesystem {no}, create /dev/null {no}, create /dev/tty {no}, "
        f"mount /proc filesystem {no}, mount /sys filesystem {no}, hide the command line (Permission denied)"
    )


# -- the kernel's log -------------------------------------------------------------------------------------------------


@pytest.fixture
def kernel_log(tmp_path: Path) -> Iterator[tuple[Log, Path]]:
    path = tmp_path / "kmsg"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    log = Log(Priority.DEBUG, out=-1, err=-1)
    log.use_kernel_log(descriptor)
    yield log, path
    os.close(descriptor)


def test_each_priority_has_its_level_in_the_kernel_s_log(kernel_log: tuple[Log, Path]) -> None:
    log, path = kernel_log
    for priority in Priority:
        log.write(priority, priority.word)
    assert path.read_text().splitlines() == [
        "<7>init: debug", "<6>init: info", "<5>init: message", "<4>init: warn", "<3>init: error", "<2>init: fatal",
    ]


def test_each_line_of_a_text_is_a_record_of_the_kernel_s_log_and_a_place_joins_the_prefix(
    kernel_log: tuple[Log, Path],
) -> None:
    log, path = kernel_log
    log.error("Internal error 12: Traceback\n  File x\n")
    log.warn("/etc/init/web.conf:3: Unknown stanza")
    assert path.read_text() == (
        "<3>init: Internal error 12: Traceback\n<3>init:   File x\n<4>init:/etc/init/web.conf:3: Unknown stanza\n"
    )


def test_no_record_is_longer_than_the_kernel_takes_and_nothing_of_a_long_line_is_lost(
    kernel_log: tuple[Log, Path],
) -> None:
    log, path = kernel_log
    log.warn("ä" * 2500)
    records = path.read_bytes().splitlines(keepends=True)
    assert max(map(len, records)) <= 1024
    assert b"".join(record[3:-1] for record in records) == f"init: {'ä' * 2500}".encode()


def test_what_the_kernel_s_log_does_not_take_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    path.touch()
    closed = os.open(path, os.O_RDONLY)
    log = Log(out=-1, err=-1)
    log.use_kernel_log(closed)
    log.warn("lost")
    os.close(closed)
    descriptor = os.open(path, os.O_WRONLY)
    log.use_kernel_log(descriptor)
    log.warn("and now")
    os.close(descriptor)
    assert path.read_text() == "<4>init: 1 diagnostics were dropped: nobody read them\n<4>init: and now\n"
