"""Ansible's service module, unchanged, drives the jobs of a host (clients specification, section 6)."""

from __future__ import annotations

import importlib.util
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from support.daemon import PROGRAMS
from support.host import Host, host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(importlib.util.find_spec("ansible") is None,
                       reason="ansible-core is not installed: make test-integration"),
]
JOB = "start on runlevel [2345]\nstop on runlevel [!2345]\nexec env --ignore-signal=HUP sleep 1000\n"
LIMIT = 120  # seconds; Ansible copies, unpacks and runs a program for each task
ANSWER = re.compile(r"localhost \| (\w+)!? => ({.*})", re.DOTALL)
# For what runs below this, process 1 is a shell, which says nothing of the init of a machine: Ansible looks further.
BELOW_A_SHELL = ("unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", '"$@"; exit $?', "sh")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Host]:
    with host(tmp_path) as running:
        running.write_job("web", JOB)
        yield running


class Ansible:
    """`ansible localhost` on a host."""

    def __init__(self, machine: Host, *before: str) -> None:
        self._machine = machine
        self._before = before
        home = machine.scratch / "home"
        self._environ = {"HOME": str(home), "ANSIBLE_HOME": str(home), "ANSIBLE_LOCAL_TEMP": f"{home}/tmp",
                         "ANSIBLE_REMOTE_TEMP": f"{home}/tmp", "ANSIBLE_PYTHON_INTERPRETER": str(PROGRAMS / "python"),
                         "ANSIBLE_LOCALHOST_WARNING": "False", "ANSIBLE_NOCOLOR": "1"}

    def ask(self, module: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
        """Carry out one task: CHANGED, SUCCESS or FAILED, and what there is to know."""
        done = self._machine.there(*self._before, str(PROGRAMS / "ansible"), "localhost", "--connection", "local",
                                   "--module-name", module, "--args", json.dumps(arguments),
                                   environ=self._environ, limit=LIMIT)
        match = ANSWER.search(done.stdout) or ANSWER.search(done.stderr)  # where failures are told
        assert match, (done, self._machine.log())
        return match[1], json.loads(match[2])

    def service(self, **arguments: Any) -> tuple[str, dict[str, Any]]:
        """A task of the service module, without the detection of what there is."""
        return self.ask("ansible.builtin.service", use="service", name="web", **arguments)


def status(machine: Host) -> str:
    """What status says of the job."""
    return machine.there("/sbin/status", "web").stdout


def test_a_service_is_started_once_restarted_and_stopped_once(machine: Host) -> None:
    ansible = Ansible(machine)
    verdict, answer = ansible.service(state="started")
    assert (verdict, answer["changed"], answer["state"]) == ("CHANGED", True, "started")
    first = status(machine)
    assert first.startswith("web start/running, process ")
    verdict, answer = ansible.service(state="started")
    assert (verdict, answer["changed"]) == ("SUCCESS", False)
    assert status(machine) == first
    verdict, answer = ansible.service(state="restarted")
    assert (verdict, answer["changed"]) == ("CHANGED", True)
    second = status(machine)
    assert second.startswith("web start/running, process ")
    assert second != first
    assert ansible.service(state="reloaded")[0] == "CHANGED"
    assert ansible.service(state="stopped")[0] == "CHANGED"
    assert status(machine) == "web stop/waiting\n"
    verdict, answer = ansible.service(state="stopped")
    assert (verdict, answer["changed"]) == ("SUCCESS", False)


def test_a_service_is_enabled_and_disabled_by_its_override(machine: Host) -> None:
    ansible = Ansible(machine)
    override = machine.init / "web.override"

    def emits() -> str:
        status(machine)  # before which the daemon takes in what has changed
        assert machine.there("/sbin/initctl", "emit", "runlevel", "RUNLEVEL=2").returncode == 0
        return status(machine).split(",")[0].strip()

    assert ansible.service(enabled=True)[0] == "SUCCESS"
    assert not override.exists()
    assert ansible.service(enabled=False)[0] == "CHANGED"
    assert override.read_text() == "manual\n"
    assert emits() == "web stop/waiting"
    assert ansible.service(enabled=False)[0] == "SUCCESS"
    assert ansible.service(enabled=True)[0] == "CHANGED"
    assert emits() == "web start/running"
    assert ansible.service(enabled=False, state="stopped")[0] == "CHANGED"
    assert emits() == "web stop/waiting"


def test_a_service_that_fails_to_start_is_a_failure_with_our_words(machine: Host) -> None:
    machine.write_job("web", f"pre-start exec false\n{JOB}")
    verdict, answer = Ansible(machine).service(state="started")
    assert verdict == "FAILED"
    assert "Job failed to start" in answer["msg"]


def test_upstart_is_detected_where_process_1_does_not_say_what_it_is(machine: Host) -> None:
    ansible = Ansible(machine, *BELOW_A_SHELL)
    _, facts = ansible.ask("ansible.builtin.setup", gather_subset="!all", filter="ansible_service_mgr")
    assert facts["ansible_facts"]["ansible_service_mgr"] == "upstart"
    assert ansible.ask("ansible.builtin.service", name="web", state="started")[0] == "CHANGED"
    assert status(machine).startswith("web start/running, process ")
