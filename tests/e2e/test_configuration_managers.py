"""What configuration managers run and parse, each as a sequence of ours (clients specification, section 6).

Ansible itself is in test_ansible.py. Here are the commands and patterns of Puppet's provider, Salt's module, Chef's
provider and the helpers of Debian's packages; none of them is needed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from support.host import Host, host
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB = "start on runlevel [2345]\nstop on runlevel [!2345]\nexec env --ignore-signal=HUP sleep 1000\n"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Host]:
    with host(tmp_path) as running:
        running.write_job("web", JOB)
        yield running


def run(machine: Host, *command: str) -> str:
    """What a command prints that is to succeed."""
    done = machine.there(*command)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def code(machine: Host, *command: str) -> int:
    return machine.there(*command).returncode


def starts_in_runlevel(machine: Host, level: str) -> bool:
    """Whether the job comes with a runlevel; it is stopped again."""
    run(machine, "/sbin/status", "web")  # before which the daemon takes in what has changed
    run(machine, "/sbin/initctl", "emit", "runlevel", f"RUNLEVEL={level}")
    came = " start/running" in run(machine, "/sbin/status", "web")
    if came:
        run(machine, "/sbin/stop", "web")
    return came


# -- Puppet -----------------------------------------------------------------------------------------------------------


def test_puppet_finds_upstart_and_its_version(machine: Host) -> None:
    assert run(machine, "/sbin/initctl", "version", "--quiet") == ""
    match = re.match(r"initctl \(upstart ([^\)]*)\)", run(machine, "/sbin/initctl", "--version"))
    assert match
    assert tuple(map(int, match[1].split("."))) >= (0, 9, 0)  # from where on it uses overrides


def test_puppet_lists_instances_by_the_first_words_of_lines(machine: Host) -> None:
    machine.write_job("network-interface", "instance $INTERFACE\nexec sleep 1000\n")
    run(machine, "/sbin/start", "network-interface", "INTERFACE=eth0")
    run(machine, "/sbin/start", "network-interface", "INTERFACE=lo")
    run(machine, "/sbin/start", "web")
    names = []
    for line in run(machine, "/sbin/initctl", "list").splitlines():
        match = re.match(r"(\S+)(?:\s(\((\S+)\)))?\s(?:start|stop)/", line)
        assert match, line
        names.append(f"{match[1]} INTERFACE={match[3]}" if match[3] else match[1])
    assert names == ["network-interface INTERFACE=eth0", "network-interface INTERFACE=lo", "web"]
    for name in names:  # which may have variables in them, and are given to a shell
        assert "start/" in run(machine, "sh", "-c", f"/sbin/status {name}")
        run(machine, "sh", "-c", f"/sbin/stop {name}")
        assert "start/" not in machine.there("sh", "-c", f"/sbin/status {name}").stdout


def test_puppet_starts_restarts_and_stops(machine: Host) -> None:
    assert "start/" not in run(machine, "/sbin/status", "web")
    first = run(machine, "/sbin/start", "web")
    assert "start/" in first
    second = run(machine, "/sbin/restart", "web")
    assert "start/" in second
    assert second != first
    run(machine, "/sbin/stop", "web")
    assert "start/" not in run(machine, "/sbin/status", "web")


def test_puppet_disables_by_a_last_line_without_an_end_and_enables_by_another_start_on(machine: Host) -> None:
    override = machine.init / "web.override"
    assert starts_in_runlevel(machine, "2")
    override.write_text("\nmanual")
    assert not starts_in_runlevel(machine, "2")
    override.write_text("start on (runlevel [2345]\n          or mounted)\n")
    assert starts_in_runlevel(machine, "2")
    override.write_text("\nmanual\nstart on runlevel [2,3,4,5]")  # what it adds where it has found no condition
    assert starts_in_runlevel(machine, "3")


# -- Salt -------------------------------------------------------------------------------------------------------------


def test_salt_goes_by_exit_codes_and_by_the_words_of_a_status(machine: Host) -> None:
    assert "upstart" in run(machine, "initctl", "version")
    assert "start/running" not in machine.there("service", "web", "status").stdout
    processes = set()
    for action in ("start", "restart", "--full-restart", "force-reload", "reload"):
        assert code(machine, "service", "web", action) == 0, action
        status = machine.there("service", "web", "status").stdout
        assert "start/running" in status, action
        processes.add(status)
    assert len(processes) == 3  # a reload leaves the process alone
    assert code(machine, "service", "web", "stop") == 0
    assert "start/running" not in machine.there("service", "web", "status").stdout
    assert code(machine, "service", "web", "stop") != 0
    assert code(machine, "service", "frob", "start") != 0


def test_salt_disables_by_a_line_and_enables_by_taking_it_out_or_removing_an_empty_file(machine: Host) -> None:
    override = machine.init / "web.override"
    with override.open("a") as file:
        file.write("manual\n")
    assert re.search(r"^\s*manual", override.read_text(), flags=re.MULTILINE)
    assert not starts_in_runlevel(machine, "2")
    override.write_text("")
    assert starts_in_runlevel(machine, "2")
    override.unlink()
    assert starts_in_runlevel(machine, "2")


# -- Chef -------------------------------------------------------------------------------------------------------------


def test_chef_reads_the_first_line_of_a_status(machine: Host) -> None:
    machine.write_job("tty", "instance $TTY\nexec sleep 1000\npost-start exec sleep 1000\n")
    machine.there("/sbin/start", "--no-wait", "tty", "TTY=1")
    wait_until(lambda: "post-start" in machine.there("/sbin/status", "tty", "TTY=1").stdout, "post-start")
    first, *others = run(machine, "/sbin/status", "tty", "TTY=1").splitlines()
    match = re.match(r"(?P<name>\S+)(?: \((?P<instance>[^)]*)\))? (?P<goal>\w+)/(?P<state>[\w-]+)", first)
    assert match
    assert match.groupdict() == {"name": "tty", "instance": "1", "goal": "start", "state": "post-start"}
    assert len(others) == 1
    for word in re.findall(r"process (\d+)", "\n".join([first, *others])):
        run(machine, "kill", "-KILL", word)  # the daemon would wait for its post-start
    wait_until(lambda: machine.there("/sbin/status", "tty", "TTY=1").returncode, "its rest")


def test_chef_comments_the_condition_out_and_in_again(machine: Host) -> None:
    conf = machine.init / "web.conf"
    conf.write_text(re.sub(r"^start on", "#start on", conf.read_text(), flags=re.MULTILINE))
    assert not starts_in_runlevel(machine, "2")
    conf.write_text(re.sub(r"^#start on", "start on", conf.read_text(), flags=re.MULTILINE))
    assert starts_in_runlevel(machine, "2")


def test_a_condition_of_several_lines_that_is_commented_out_in_part_leaves_the_job_as_it_was(machine: Host) -> None:
    several = JOB.replace("start on runlevel [2345]", "start on (runlevel [2345]\n  or mounted)")
    machine.write_job("web", several)
    run(machine, "/sbin/start", "web")
    machine.write_job("web", several.replace("start on", "#start on"))
    wait_until(lambda: "web.conf:2: Unknown stanza" in machine.log(), "the error to be logged")
    assert "start/running" in run(machine, "/sbin/status", "web")
    run(machine, "/sbin/stop", "web")


# -- packages ---------------------------------------------------------------------------------------------------------


def test_a_package_writes_a_job_file_and_starts_the_job_at_once(machine: Host) -> None:
    script = "\n".join((
        "set -e",
        "initctl version | grep -q upstart",
        'printf "start on startup\\nexec sleep 1000\\n" > /etc/init/new.conf',
        'initctl show-config -e new | grep -q "^  start on"',
        "start new",
        'initctl status new | grep -q " start/"',
        "stop new",
        'printf manual > /etc/init/new.override',
        "initctl reload-configuration",
        'if initctl show-config -e new | grep -q "^  start on"; then exit 1; fi',
        'rm /etc/init/new.conf /etc/init/new.override',
        "if status new; then exit 1; fi",
    ))
    done = machine.there("sh", "-c", script)
    assert done.returncode == 0, done
    assert done.stderr == "status: Unknown job: new\n"
