"""upstartd as process 1 of a small machine: the base set of jobs brings it up, and takes it down again.

In new pid, mount, network, uts, ipc and cgroup namespaces (support/machine.py); reboot(2) ends the pid namespace then,
by SIGHUP for a restart and SIGINT for the other ways, as its manual page says.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from support.machine import Machine
from support.tutorial import TUTORIAL

if TYPE_CHECKING:
    from pathlib import Path

RESTARTED, SWITCHED_OFF = -signal.SIGHUP, -signal.SIGINT


def note(condition: str, test: str = "true") -> str:
    """A job that notes its name in /srv/notes when `condition` comes true, and `not` before it if `test` fails then."""
    return (f"start on {condition}\ntask\nscript\n    if {test}; then\n        echo $UPSTART_JOB >> /srv/notes\n"
            f"    else\n        echo not $UPSTART_JOB >> /srv/notes\n    fi\nend script\n")


def wait_for_notes(machine: Machine, *names: str) -> None:
    machine.wait_for(lambda: set(names) <= set(machine.lines("notes")), f"{names} in {machine.lines('notes')}")


def handled(machine: Machine) -> list[str]:
    """The events that the kernel's log tells of, in their order."""
    return re.findall(r"init: Handling (\S+) event", machine.kernel_log())


def programs(machine: Machine) -> list[str]:
    """What runs in the machine, and what waits to be collected, but for the question itself."""
    stats = machine.try_run("/bin/sh", "-c", "cat /proc/[0-9]*/stat").stdout
    return sorted({*re.findall(r"^\d+ \((.*)\)", stats, flags=re.MULTILINE)} - {"sh", "cat"})


def test_the_tutorial_s_jobs_run_once_for_each_boot_and_stop_at_each_shutdown(tmp_path: Path) -> None:
    serve = f"{sys.executable} /srv/tutorial/server.py"
    jobs = {name: (TUTORIAL / f"{name}.conf").read_text().replace("node /srv/tutorial/server.js", serve)
            for name in ("testjob", "nodetest")}

    def log(name: str) -> list[str]:
        return [re.sub(r"\[.+\]|at .*", "DATE", line) for line in machine.lines(f"tutorial/{name}.log")]

    def has_lines(name: str, count: int) -> bool:
        return len(log(name)) == count

    with Machine(tmp_path, jobs=jobs) as machine:
        (machine.disk / "srv/tutorial").mkdir()
        for program in ("server.py", "fetch.py"):
            (machine.disk / "srv/tutorial" / program).write_bytes((TUTORIAL / program).read_bytes())

        for boot in (1, 2):
            machine.boot()
            machine.wait_for_job("nodetest", "start/running")
            machine.wait_for(partial(has_lines, "testjob", boot), "testjob's line")
            page = machine.run(sys.executable, "/srv/tutorial/fetch.py", "http://127.0.0.1:8124/")
            assert page == "Hello World\n"
            assert log("nodetest") == ["DATE Node Test Starting", "DATE Node Test Stopping"] * (boot - 1) + [
                "DATE Node Test Starting"]
            if boot == 1:
                assert machine.run("reboot") == ""
            else:
                machine.signal(signal.SIGINT)  # as the kernel does for Ctrl-Alt-Delete
            assert machine.wait() == RESTARTED

        assert log("testjob") == ["testjob ran DATE"] * 2
        assert log("nodetest") == ["DATE Node Test Starting", "DATE Node Test Stopping"] * 2
        assert machine.lines("tutorial/nodetest.pid") == []
        assert "Unable to unmount" not in machine.kernel_log()
        assert "read-only" not in machine.kernel_log()


FSTAB = r"""
# what a machine has
overlay      /              overlay defaults 0 1
tmpfs        /mnt/data      tmpfs   size=1m  0 0
tmpfs        /mnt/a\040name tmpfs   defaults 0 0
/mnt/data    /mnt/bound     none    bind     0 0
tmpfs        /mnt/later     tmpfs   noauto   0 0
/dev/missing /mnt/perhaps   ext4    nofail   0 2
tmpfs        /mnt/far       tmpfs   _netdev  0 0
"""
# `udevadm control --ping` comes back when udevd answers.
UDEVADM = """#!/bin/sh
while [ $1 = control ] && [ ! -e /run/udev-calls ]; do sleep 0.05; done
echo udevadm $1 >> /run/udev-calls
"""
UDEVD = "#!/bin/sh\nsleep 0.2\necho udevd >> /run/udev-calls\nexec sleep 1000\n"


def test_every_event_of_a_boot_is_true_when_it_comes(tmp_path: Path) -> None:
    jobs = {
        "early": "start on startup\ntask\nexec echo before the disk could be written to",
        "hook": "start on mounted MOUNTPOINT=/mnt/data TYPE=tmpfs\ntask\nscript\n    sleep 0.3\n"
                "    echo $DEVICE $OPTIONS > /mnt/data/hook\nend script\n",
        "before": note("mounting MOUNTPOINT=/mnt/data", "! mountpoint -q /mnt/data"),
        "root": note("mounted MOUNTPOINT=/", "[ -w / ]"),
        "blank": note("mounted MOUNTPOINT='/mnt/a name'", 'mountpoint -q "$MOUNTPOINT"'),
        "virtual": note("virtual-filesystems", "mountpoint -q /run && [ -d /proc/1 ] && [ -d /sys/class ]"),
        "machine": note("not-container"),
        "local": note("local-filesystems", "[ \"$(cat /mnt/data/hook)\" = 'tmpfs size=1m' ] && [ -e /mnt/bound/hook ]"),
        "swaps": note("all-swaps"),
        "remote": note("remote-filesystems", "mountpoint -q /mnt/far"),
        "all": note("filesystem", "mountpoint -q /mnt/far && mountpoint -q '/mnt/a name' && [ ! -e /mnt/later ]"),
        "loopback": note("net-device-up IFACE=lo", '[ "$(cat /sys/class/net/lo/flags)" = 0x9 ]'),
        "devices": note("started networking", "grep -q settle /run/udev-calls"),
        "network": note("static-network-up"),
        "level": note("runlevel RUNLEVEL=2 PREVLEVEL=N"),
        "level-reached": note("stopped rc RUNLEVEL=2"),
    }
    files = {
        "etc/fstab": FSTAB, "usr/local/sbin/udevadm": UDEVADM, "usr/sbin/udevd": UDEVD,
        "usr/local/sbin/fsck": "#!/bin/sh\necho fsck $* >> /srv/fsck\nexit 1\n",
        "etc/inittab": "# id:3:initdefault:\nid:2:initdefault:\n",
    }  # fmt: skip
    with Machine(tmp_path, "read-only", jobs=jobs, files=files) as machine:
        machine.boot("--verbose")
        expected = {*jobs} - {"early", "hook"}
        machine.wait_for(lambda: len(machine.lines("notes")) >= len(expected), "all the events")
        assert set(machine.lines("notes")) == expected
        machine.wait_for(lambda: "before the disk" in machine.try_run("cat", "/var/log/upstart/early.log").stdout,
                         "what was written too early")
        assert machine.lines("fsck") == ["fsck -a -T /"]
        assert machine.run("cat", "/run/udev-calls").split("\n")[:5] == [
            "udevd", "udevadm control", "udevadm trigger", "udevadm trigger", "udevadm settle"]
        assert machine.run("status", "udev").startswith("udev start/running")
        wanted = ["virtual-filesystems", "local-filesystems", "all-swaps", "remote-filesystems", "filesystem",
                  "runlevel"]
        assert [event for event in handled(machine) if event in wanted] == wanted
        assert "left out: /mnt/perhaps" in machine.kernel_log()

        # Single-user mode: a shell on the console; when it ends the machine goes back.
        assert machine.run("runlevel") == "N 2\n"
        machine.run("telinit", "1")
        machine.wait_for_job("rcS", "start/running")
        machine.type("echo runlevel $RUNLEVEL; exit")
        machine.wait_for(lambda: "\nrunlevel 1\n" in machine.screen(), "the shell")
        machine.wait_for(lambda: handled(machine).count("runlevel") == 3, "the way back")
        machine.wait_for_job("rcS", "stop/waiting")
        assert machine.run("runlevel") == "S 2\n"

        machine.signal(signal.SIGPWR)
        assert machine.wait() == SWITCHED_OFF


def test_a_file_system_that_cannot_be_mounted_makes_the_machine_ask_for_help(tmp_path: Path) -> None:
    files = {"etc/fstab": "/dev/missing /mnt/needed ext4 defaults 0 0\n",
             "etc/init/mountall.override": "env DEVICE_TIMEOUT=1\n"}
    with Machine(tmp_path, jobs={"all": note("filesystem")}, files=files) as machine:
        machine.boot()
        machine.wait_for_job("mountall-shell", "start/running")
        assert machine.lines("notes") == []
        assert "mountall: cannot mount /mnt/needed" in machine.kernel_log()
        machine.type("rm /etc/fstab; exit")
        wait_for_notes(machine, "all")


# The device gets its link a little later than it comes up.
IFUP = """#!/bin/sh
ip link add eth0 type veth peer name peer && ip link set eth0 up
(sleep 0.5; ip link set peer up) &
"""
IFQUERY = "#!/bin/sh\ncase $* in *auto) echo eth0;; esac\n"


def test_a_network_that_is_configured_is_up_before_its_events(tmp_path: Path) -> None:
    veth = subprocess.run(["unshare", "--net", "ip", "link", "add", "type", "veth"], capture_output=True, check=False)
    if veth.returncode:
        pytest.skip("a pair of network devices cannot be made")
    files = {"usr/local/sbin/ifup": IFUP, "usr/local/sbin/ifquery": IFQUERY, "etc/network/interfaces": "auto eth0\n"}
    jobs = {"wire": note("net-device-up IFACE=eth0", '[ "$(cat /sys/class/net/$IFACE/operstate)" = up ]'),
            "network": note("static-network-up")}
    with Machine(tmp_path, jobs=jobs, files=files) as machine:
        machine.boot()
        wait_for_notes(machine, "network", "wire")


def test_a_network_that_does_not_come_delays_the_boot_and_does_not_prevent_it(tmp_path: Path) -> None:
    files = {"usr/local/sbin/ifup": "#!/bin/sh\nexit 1\n", "usr/local/sbin/ifquery": "#!/bin/sh\n",
             "etc/network/interfaces": "auto eth0\n", "etc/init/failsafe.override": "env TIMEOUT=1\n"}
    jobs = {"network": note("static-network-up"), "level": note("runlevel RUNLEVEL=2")}
    with Machine(tmp_path, jobs=jobs, files=files) as machine:
        machine.boot("--verbose")
        wait_for_notes(machine, "level")
        assert "failsafe-boot" in handled(machine)
        assert machine.lines("notes") == ["level"]


def test_what_runs_at_the_end_ends_before_the_machine_does(tmp_path: Path) -> None:
    jobs = {
        "web": "start on runlevel [2345]\nstop on runlevel [!2345]\nexec sleep 1000\npost-stop script\n"
               "    sleep 0.2\n    echo web is down >> /srv/notes\nend script\n",
        "report": "start on stopped web\ntask\nexec sh -c 'sleep 0.2; echo report >> /srv/notes'\n",
        "clock": "start on runlevel [06]\ntask\nexec sh -c 'sleep 0.5; echo clock $RUNLEVEL >> /srv/notes'\n",
        "first": "start on starting rc RUNLEVEL=[06]\ntask\nexec sh -c 'echo first >> /srv/notes'\n",
        "stays": "start on runlevel 2\nexec sleep 1000\npost-stop exec sh -c 'echo stays is down >> /srv/notes'\n",
    }  # fmt: skip
    files = {"etc/init.d/rc": "#!/bin/sh\necho rc $1 $PREVLEVEL >> /srv/notes\n"}
    with Machine(tmp_path, jobs=jobs, files=files) as machine:
        machine.boot()
        machine.wait_for_job("stays", "start/running")
        machine.run("initctl", "emit", "--no-wait", "runlevel", "RUNLEVEL=0", "PREVLEVEL=2", "INIT_HALT=HALT")
        assert machine.wait() == SWITCHED_OFF
        notes = machine.lines("notes")
        assert notes[0] == "rc 2 N"
        assert notes[-1] == "stays is down"
        assert notes.index("first") < notes.index("rc 0 2")
        assert notes.index("web is down") < notes.index("report")
        assert {"clock 0", "report"} <= set(notes)


def test_process_1_of_a_machine(tmp_path: Path) -> None:
    """What it is, what it refuses, and that it survives what it is told and what happens to it."""
    web = "start on startup\nexec sleep 1000\n"
    # The name of what the orphans execute is one that nothing else has.
    jobs = {"web": web, "orphans": "exec sh -c '(timeout 5 sleep 0.1; exit 3) & (timeout 5 true) & true'\n"}
    with Machine(tmp_path, base=False, jobs=jobs) as machine:
        machine.boot("--verbose", "--confdir", "/etc/init", "quiet", "ro", "--unknown-to-it")
        machine.wait_for_job("web", "start/running")
        name = machine.run("cat", "/proc/1/cmdline")
        assert (name[-10:], name.count("\0")) == ("/upstartd\0", 1)
        assert machine.run("cat", "/proc/1/comm") == "init\n"
        assert machine.run("grep", "Umask", "/proc/1/status").split() == ["Umask:", "0000"]
        assert machine.run("readlink", "/proc/1/cwd", "/proc/1/fd/0", "/proc/1/fd/1", "/proc/1/fd/2").split() == [
            "/", "/dev/null", "/dev/null", "/dev/null"]
        pid = re.search(r"process (\d+)", machine.run("status", "web"))
        assert pid is not None
        environ = machine.run("cat", f"/proc/{pid[1]}/environ").rstrip("\0").split("\0")
        assert "PATH=/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin" in environ
        assert machine.run("grep", "Umask", f"/proc/{pid[1]}/status").split() == ["Umask:", "0022"]
        assert machine.run("cut", "-d", " ", "-f", "4-6", "/proc/1/stat") == "0 1 1\n"  # parent, group, session

        for command, refusal in (
            (("initctl", "set-env", "--global", "A=1"), "Not permissible to modify PID 1 job environment"),
            (("initctl", "reset-env"), "Not permissible to modify PID 1 job environment"),
            (("initctl", "notify-dbus-address", "unix:path=/x"), "Not permissible to notify D-Bus address for PID 1"),
        ):
            assert machine.try_run(*command).stderr == f"initctl: {refusal}\n"

        machine.run("start", "orphans")
        machine.wait_for(lambda: programs(machine) == ["init", "sleep"], "the orphans' end")

        # It executes itself anew, and is what it was.
        machine.signal(signal.SIGTERM)
        machine.wait_for(lambda: "<4>init: Re-executing" in machine.kernel_log(), "the log")
        machine.wait_for_job("web", f"start/running, process {pid[1]}\n")
        machine.wait_for(lambda: machine.run("cat", "/proc/1/cmdline") == name, "its name")
        assert "Loading configuration" in machine.kernel_log()
        assert machine.run("readlink", "/proc/1/fd/1") == "/dev/null\n"

        machine.signal(signal.SIGSEGV)
        machine.wait_for(lambda: "Fatal Python error: Segmentation fault" in machine.screen(), "the report of a crash")
        machine.wait_for_job("web", f"start/running, process {pid[1]}\n")

        machine.signal(signal.SIGRTMIN + 4)
        assert machine.wait() == SWITCHED_OFF
        assert "<4>init: web main process" in machine.kernel_log()
