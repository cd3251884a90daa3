"""Completion in shells, each with the shell itself and a real daemon."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.daemon import Daemon
from support.terminal import run_in_terminal
from support.waiting import LIMIT
from upstartd_clients.commands import COMMANDS, GLOBAL_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Complete = Callable[[str], set[str]]

COMPLETIONS = Path(__file__).parents[2] / "packaging" / "completions"
SLEEP = "exec sleep 1000\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, "--user", "--no-startup-event", "--no-inherit-env") as running:
        running.write_job("web", f'usage "web PORT=N [SIZE=big]"\nstart on net-up IFACE=eth0\nemits web-up\n{SLEEP}')
        running.write_job("web.old", SLEEP)
        running.write_job("tty", f"instance $SEAT-$TTY\n{SLEEP}")
        for number in ("1", "22"):
            running.run("start", "tty", "SEAT=a", f"TTY={number}")
        yield running


# What bash is told to do: to complete a line that ends here, as readline would ask it to.
IN_BASH = f"""
source {COMPLETIONS}/upstart.bash
COMP_LINE=$1 COMP_POINT=${{#1}} COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
compopt() {{ :; }}  # it works within a completion that readline has asked for
set -u
_upstart "${{1%% *}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def in_bash(daemon: Daemon) -> Complete:
    def complete(line: str) -> set[str]:
        done = subprocess.run(["bash", "--norc", "-c", IN_BASH, "bash", line], env=daemon.environ, capture_output=True,
                              text=True, timeout=LIMIT, check=True)
        assert done.stderr == ""
        return set(done.stdout.split())

    return complete


def in_fish(daemon: Daemon) -> Complete:
    def complete(line: str) -> set[str]:
        program = f"source {COMPLETIONS}/upstart.fish; complete --do-complete $argv[1]"
        done = subprocess.run(["fish", "--no-config", "--command", program, line], env=daemon.environ,
                              capture_output=True, text=True, timeout=LIMIT, check=True)
        assert done.stderr == ""
        return {text.partition("\t")[0] for text in done.stdout.splitlines()}

    return complete


# zsh completes in an interactive shell only: one on a terminal of its own, which notes what it offers in the file $2.
# The line is typed when the line editor is there, which says so; what is typed after it makes the shell end.
IN_ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PROMPT= fpath=($3 \$fpath) LISTMAX=10000; autoload -U compinit; compinit -u -D"
zpty -w shell "compadd() {
    local -a offered; builtin compadd -O offered \"\$@\"; print -rl -- \$offered >>$2; builtin compadd \"\$@\"
}"
zpty -w shell "finish() { print -r -- .finished; exit }; zle -N finish; bindkey '^Xq' finish"
zpty -w shell 'zle-line-init() { print re""ady }; zle -N zle-line-init'
zpty -r -m shell _ '*ready*'
zpty -w -n shell "$1"$'\t\C-Xq'
zpty -r -m shell _ '*.finished*'
"""


def in_zsh(daemon: Daemon) -> Complete:
    def complete(line: str) -> set[str]:
        offered = daemon.scratch / "offered"
        offered.write_text("")
        done = subprocess.run(["zsh", "-f", "-c", IN_ZSH, "zsh", line, str(offered), str(COMPLETIONS)],
                              env=daemon.environ, capture_output=True, text=True, timeout=LIMIT, check=True)
        assert done.stderr == ""
        return set(offered.read_text().split())

    return complete


SHELLS = {"bash": in_bash, "fish": in_fish, "zsh": in_zsh}


@pytest.fixture(params=SHELLS)
def complete(request: pytest.FixtureRequest, daemon: Daemon) -> Complete:
    """What a shell makes of a line."""
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return SHELLS[request.param](daemon)


def test_commands_come_first(complete: Complete) -> None:
    assert complete("initctl ") == set(COMMANDS)
    assert complete("initctl log") == {"log-priority"}
    assert complete("initctl --user reload") == {"reload", "reload-configuration"}


def test_a_command_has_its_own_options_and_those_of_all(complete: Complete) -> None:
    found = complete("initctl show-config --")
    expected = {f"--{option.long}{'=' if option.value else ''}" for option in
                (*COMMANDS["show-config"].options, *GLOBAL_OPTIONS) if option.help and option.long}
    assert found == expected
    assert complete("initctl --us") == {"--user"}
    assert "--no-wait" in complete("start -")
    assert "-n" in complete("start -")
    assert "--confdir" in complete("upstartd --")


@pytest.mark.parametrize("line", ["start ", "initctl status ", "initctl show-config ", "initctl -v --user usage "])
def test_a_job_is_named_where_one_is_wanted(complete: Complete, line: str) -> None:
    assert complete(line) == {"tty", "web", "web.old"}
    assert complete(line + "web") == {"web", "web.old"}


def test_instances_are_named_by_their_variables(complete: Complete) -> None:
    assert complete("stop tty SEAT") == {"SEAT=a"}
    assert complete("stop tty T") == {"TTY=1", "TTY=22"}
    assert complete("stop web ") == set()


def test_what_a_start_takes_is_in_the_usage(complete: Complete) -> None:
    assert complete("start web ") == {"PORT=", "SIZE="}


def test_events_are_those_that_jobs_know(complete: Complete) -> None:
    assert complete("initctl emit ") == {"net-up", "web-up"}


def test_other_arguments_are_offered_where_they_are_known(complete: Complete) -> None:
    assert complete("initctl get-env ") == {"PATH", "TERM"}
    assert complete("initctl log-priority ") == {"debug", "info", "message", "warn", "error", "fatal"}
    assert {"start", "status", "--full-restart"} <= complete("service web ")
    assert complete("upstart-job web st") == {"start", "stop", "status"}
    assert complete("initctl version ") == set()


def test_without_a_daemon_nothing_is_offered_and_nothing_is_said(complete: Complete, daemon: Daemon) -> None:
    daemon.environ["UPSTART_SESSION"] = f"unix:path={daemon.scratch}/nobody"
    assert complete("start ") == set()
    assert complete("stop tty ") == set()


def test_bash_completes_what_is_typed(daemon: Daemon) -> None:
    rc = daemon.scratch / "bashrc"
    rc.write_text(f"PS1=\nbind 'set enable-bracketed-paste off'\nsource {COMPLETIONS}/upstart.bash\n")
    code, shown = run_in_terminal(["bash", "--rcfile", str(rc), "-i"], daemon.environ,
                                  "initctl stat\ttty SEAT=a TTY=2\t\nexit\n")
    assert code == 0
    assert re.search(r"tty \(a-22\) start/running, process \d+\r\n", shown), shown


def test_every_program_that_takes_words_has_a_completion() -> None:
    programs = {"initctl", "start", "stop", "restart", "reload", "status", "service", "upstart-job", "init-checkconf",
                "initctl2dot", "upstart-monitor", "upstartd"}
    for file, begin in (("upstart.bash", "complete -F"), ("_upstart", "#compdef"), ("upstart.fish", "for ")):
        text = (COMPLETIONS / file).read_text().replace("\\\n", " ")
        named = {word for line in text.splitlines() if line.startswith(begin) for word in line.split()}
        assert programs <= named, file
