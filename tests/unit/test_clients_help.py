"""Help and version: complete, and asked of no daemon (clients specification, section 1, Help)."""

from __future__ import annotations

import pytest

from support.scripted_upstart import Ran, run_initctl
from upstartd_clients import actions
from upstartd_clients.commands import COMMANDS, GLOBAL_OPTIONS


def run(*command: str) -> Ran:
    return run_initctl(*command, environ={"UPSTART_SESSION": "unix:abstract=/upstartd/test/nobody"})


def test_help_lists_every_command_in_its_group() -> None:
    code, out, err = run("initctl", "help")
    assert (code, err) == (0, "")
    groups = {block.splitlines()[0]: block.splitlines()[1:] for block in out.split("\n\n")[:-1]}
    names = {group: [line.split()[0] for line in lines] for group, lines in groups.items()}
    assert names == {
        "Job commands:": ["start", "stop", "restart", "reload", "status", "list"],
        "Event commands:": ["emit"],
        "Environment commands:": ["get-env", "list-env", "reset-env", "set-env", "unset-env"],
        "Other commands:": [
            "reload-configuration", "version", "log-priority", "show-config", "check-config", "usage", "enable",
            "disable", "is-enabled", "list-sessions", "notify-disk-writeable", "notify-dbus-address",
            "notify-cgroup-manager-address", "help"],
    }
    for lines in groups.values():
        for line in lines:
            name = line.split()[0]
            assert line.startswith(f"  {name} ")
            assert line[30 if len(name) < 28 else len(name) + 3:] == COMMANDS[name].synopsis
    assert "initctl COMMAND --help" in out.splitlines()[-1]


def test_every_command_has_a_help_that_names_all_it_takes() -> None:
    for name, command in COMMANDS.items():
        code, out, err = run("initctl", name, "--help")
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert lines[0] == f"Usage: initctl {name} [OPTION]... {command.arguments}".rstrip()
        assert "Options:" in lines
        for option in (*command.options, *GLOBAL_OPTIONS):
            assert (f"--{option.long}" in out) == bool(option.help)
        assert max(map(len, lines[lines.index("Options:") + len(command.options) + len(GLOBAL_OPTIONS) + 1:])) <= 80
        linked = run(name, "--help")
        assert linked.out.splitlines()[0] == f"Usage: {name} [OPTION]... {command.arguments}".rstrip()


def test_initctl_has_a_help_of_its_own() -> None:
    code, out, err = run("initctl", "--help")
    assert (code, err) == (0, "")
    assert out.startswith("Usage: initctl [OPTION]... COMMAND")
    assert "initctl help" in out


@pytest.mark.parametrize("program", ["initctl", "start", "status"])
def test_the_version_names_the_program_and_what_it_is_compatible_with(program: str) -> None:
    code, out, err = run(program, "--version")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"{program} (upstart 1.13.2)"
    assert out.splitlines()[1].startswith("Copyright ")


def test_what_comes_after_help_is_not_looked_at_and_what_comes_before_is() -> None:
    assert run("initctl", "status", "--help", "--frob").code == 0
    assert run("initctl", "--version", "frob").code == 0
    assert run("initctl", "status", "--frob", "--help") == (
        1, "", "initctl: invalid option: --frob\nTry `initctl --help' for more information.\n")


def test_quiet_does_not_silence_help() -> None:
    assert run("initctl", "-q", "help").out == run("initctl", "help").out != ""
    assert run("initctl", "status", "-q", "--help").out == run("initctl", "status", "--help").out != ""


def test_every_command_but_help_has_an_action_of_its_own() -> None:
    carried_out = [command.action for command in COMMANDS.values() if command.action]
    assert len(set(carried_out)) == len(COMMANDS) - 1
    assert {action.__module__ for action in carried_out} == {actions.__name__}
