"""upstartd as process 1 of a container, with the base set of jobs and without, with rights and without any."""

from __future__ import annotations

import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from support.daemon import PROGRAMS
from support.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path

WEB = ("start on startup\nstop on runlevel [06]\nexec sleep 1000\npre-stop exec sh -c 'echo stopping >> /srv/web'\n"
       "post-stop exec sh -c 'echo stopped $UPSTART_STOP_EVENTS $RUNLEVEL $PREVLEVEL >> /srv/web'\n")
# What takes every right from a root of a container, and the ways to get one back.
WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGRTMIN + 3])
def test_what_asks_a_container_to_stop_ends_it_in_order(tmp_path: Path, number: int) -> None:
    jobs = {"web": WEB, "rest": "start on startup\nexec sleep 1000\npost-stop exec sh -c 'echo rest >> /srv/web'\n",
            "late": "start on runlevel or shutdown\nexec sh -c 'echo started >> /srv/web'\n"}
    with Machine(tmp_path, "container", base=False, jobs=jobs) as machine:
        machine.boot()
        machine.wait_for_job("rest", "start/running")
        machine.wait_for_job("web", "start/running")
        machine.signal(number)
        assert machine.wait() == 0
        assert machine.lines("web") == ["stopping", "stopped runlevel 0", "rest"]


@pytest.mark.parametrize(("ask", "level"), [
    ("initctl emit --no-wait runlevel RUNLEVEL=0 PREVLEVEL=2", "0 2"),
    ("kill -s INT 1", "6 2"),  # what Ctrl-C in the container's terminal is
])
def test_a_container_with_the_base_jobs_comes_up_and_goes_down_without_any_right(
    tmp_path: Path, ask: str, level: str
) -> None:
    said = "start on {}\ntask\nexec sh -c 'echo $UPSTART_EVENTS $CONTAINER $MOUNTPOINT $IFACE >> /srv/events'\n"
    events = ("mounted MOUNTPOINT=/", "mounted MOUNTPOINT=/srv", "container", "filesystem", "static-network-up",
              "stopped rc RUNLEVEL=2")
    jobs = {f"event{number}": said.format(event) for number, event in enumerate(events)}
    files = {"etc/fstab": "tmpfs /mnt tmpfs defaults 0 0\n/swap none swap sw 0 0\n"}
    with Machine(tmp_path, "container", jobs={**jobs, "web": WEB}, files=files, command=WITHOUT_RIGHTS) as machine:
        machine.boot()
        machine.wait_for(lambda: "stopped" in machine.lines("events"), "the runlevel")
        noted = machine.lines("events")
        assert sorted(noted) == ["container test", "filesystem", "mounted /", "mounted /srv", "static-network-up",
                                 "stopped"]
        assert machine.run("cat", "/run/container_type") == "test\n"
        assert machine.run("grep", "left out", "/var/log/upstart/mountall.log") == "mountall: left out: /mnt\n"
        assert [machine.run("status", job) for job in ("udev", "mountall-shell", "tty1")] == [
            "udev stop/waiting\n", "mountall-shell stop/waiting\n", "tty1 stop/waiting\n"]
        assert machine.output() == ""

        machine.run("sh", "-c", ask)
        assert machine.wait() == 0
        assert machine.lines("web") == ["stopping", f"stopped runlevel {level}"]


def test_what_a_container_does_not_let_it_do_is_said_once_and_left_out(tmp_path: Path) -> None:
    jobs = {"log": "start on startup\ntask\nexec echo there is no terminal to write to\n",
            "web": "start on startup\nconsole none\nexec sleep 1000\n"}
    with Machine(tmp_path, "bare", base=False, jobs=jobs, command=WITHOUT_RIGHTS) as machine:
        machine.boot()
        machine.wait_for_job("web", "start/running")
        said = [line for line in machine.output().splitlines() if "left out" in line]
        no = "(Operation not permitted)"
        left_out = [f"{what} {no}" for what in ("mount /dev/pts filesystem", "create /dev/tty",
                                                "mount /proc filesystem", "mount /sys filesystem")]
        left_out.append("hide the command line (No such file or directory)")
        assert said == [f"Not possible in this container, and left out: {', '.join(left_out)}"]
        machine.signal(signal.SIGTERM)
        assert machine.wait() == 0


def has_begun(machine: Machine, times: int) -> bool:
    return machine.output().count("Loading configuration") == times


@pytest.mark.parametrize("program", [("./init",), ("python", "-m", "init")])
def test_a_program_that_was_found_by_its_directory_is_executed_anew(tmp_path: Path, program: tuple[str, ...]) -> None:
    main = f"#!{sys.executable}\nfrom upstartd.cli import main\nraise SystemExit(main())\n"
    files = {"opt/here/init": main, "opt/here/init.py": main}
    start = ("/usr/bin/env", "-C", "/opt/here", f"PATH={PROGRAMS}:/usr/bin:/bin", *program)
    jobs = {"web": "start on startup\nexec sleep 1000\n"}
    with Machine(tmp_path, "container", base=False, jobs=jobs, files=files, program=start) as machine:
        machine.boot("--verbose")
        machine.wait_for_job("web", "start/running")
        before = machine.run("status", "web")
        for count in (1, 2):
            machine.run("telinit", "u")
            machine.wait_for(partial(has_begun, machine, count + 1), "the new one")
            assert machine.wait_for(lambda: machine.try_run("status", "web").stdout, "its answer") == before
        machine.signal(signal.SIGTERM)
        assert machine.wait() == 0


def test_a_container_s_log_is_what_its_process_1_says_to_the_end(tmp_path: Path) -> None:
    jobs = {"web": "start on startup\nexec sleep 1000\n",
            "talker": "start on startup\ntask\nexec echo a job can say something as well >> /proc/1/fd/1 2>&1\n"}
    with Machine(tmp_path, "container", base=False, jobs=jobs, command=WITHOUT_RIGHTS) as machine:
        machine.boot("--verbose")
        machine.wait_for_job("web", "start/running")
        machine.wait_for(lambda: "a job can say something as well\n" in machine.output(), "the job's line")
        machine.signal(signal.SIGWINCH)  # a terminal's new size, and nobody's request
        machine.signal(signal.SIGSEGV)
        machine.wait_for(lambda: "Fatal Python error: Segmentation fault" in machine.output(), "the report of a crash")
        machine.signal(signal.SIGTERM)
        assert machine.wait() == 0
        said = machine.output()
        assert "Handling shutdown event\n" in said
        assert "init: web main process" in said
        assert "keyboard-request" not in said
