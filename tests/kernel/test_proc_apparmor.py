"""AppArmor: whether it is in use, and the profile that a main process changes to."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest

from support.scripted_kernel import Executed, Exited, ScriptedKernel, refusal, spawn_effect
from upstartd.conf.model import Console, ProcessName
from upstartd.proc import apparmor
from upstartd.proc import kernel as kernel_module
from upstartd.proc.kernel import LinuxKernel
from upstartd.proc.setup import Defaults
from upstartd.proc.spawn import Spawner

if TYPE_CHECKING:
    from pathlib import Path

DEFAULTS = Defaults(Console.LOG, 0o022, "/", debug=True, apparmor=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of a system that has AppArmor."""
    enabled = tmp_path / "sys/module/apparmor/parameters/enabled"
    enabled.parent.mkdir(parents=True)
    enabled.write_text("Y\n")
    parser = tmp_path / "sbin/apparmor_parser"
    parser.parent.mkdir()
    parser.touch(0o755)
    (tmp_path / "run").mkdir()
    return tmp_path


def test_it_is_in_use_where_the_kernel_has_it_and_its_parser_is_there(root: Path) -> None:
    assert apparmor.is_in_use(str(root))


def test_it_is_not_in_use_where_it_is_disabled(root: Path) -> None:
    (root / "sys/module/apparmor/parameters/enabled").write_text("N\n")
    assert not apparmor.is_in_use(str(root))


def test_it_is_not_in_use_in_a_kernel_without_it(root: Path) -> None:
    (root / "sys/module/apparmor/parameters/enabled").unlink()
    assert not apparmor.is_in_use(str(root))


def test_it_is_not_in_use_without_its_parser(root: Path) -> None:
    (root / "sbin/apparmor_parser").chmod(0o644)
    assert not apparmor.is_in_use(str(root))
    (root / "sbin/apparmor_parser").unlink()
    assert not apparmor.is_in_use(str(root))


def test_it_is_not_in_use_in_a_container(root: Path) -> None:
    (root / "run/container_type").touch()
    assert not apparmor.is_in_use(str(root))


# -- the profile ------------------------------------------------------------------------------------------


def set_up(defaults: Defaults = DEFAULTS, kernel: ScriptedKernel | None = None, **options: Any) -> ScriptedKernel:
    """Be the child that is set up with these settings."""
    kernel = kernel or ScriptedKernel()
    kernel.answers["fork"] = 0
    with pytest.raises((Executed, Exited)):
        Spawner(kernel, defaults).start(spawn_effect(debug=True, **options))
    return kernel


def told(kernel: ScriptedKernel) -> str:
    """The reason why the set-up has failed."""
    return b"".join(kernel.written.values()).decode()


def test_the_profile_is_set_between_console_and_limits() -> None:
    kernel = set_up(apparmor_switch="web")
    order = ["setsid", "dup2", "set_profile", "umask", "chdir", "execve"]
    assert list(dict.fromkeys(call[0] for call in kernel.calls if call[0] in order)) == order
    assert kernel.named("set_profile") == [("set_profile", "web")]


def test_its_name_is_expanded_from_the_environment_of_the_process() -> None:
    kernel = set_up(apparmor_switch="/usr/bin/${KIND:-none}//$KIND", env=("KIND=a b",))
    assert kernel.named("set_profile") == [("set_profile", "/usr/bin/a b//a b")]


def test_a_name_that_cannot_be_expanded_fails_the_spawn() -> None:
    kernel = set_up(apparmor_switch="$NOBODY")
    assert told(kernel) == "unable to switch security profile: Unknown parameter: NOBODY"


def test_a_profile_that_cannot_be_switched_to_fails_the_spawn() -> None:
    kernel = set_up(kernel=ScriptedKernel(set_profile=refusal(errno.ENOENT)), apparmor_switch="web")
    assert told(kernel) == "unable to switch security profile: No such file or directory"


@pytest.mark.parametrize("process", [name for name in ProcessName if name is not ProcessName.MAIN])
def test_only_main_changes_its_profile(process: ProcessName) -> None:
    assert not set_up(apparmor_switch="web", process=process).named("set_profile")


def test_where_it_is_not_in_use_nothing_is_done_and_nobody_is_told() -> None:
    kernel = set_up(Defaults(Console.LOG, 0o022, "/", debug=True), apparmor_switch="$NOBODY")
    assert not kernel.named("set_profile")
    assert told(kernel) == ""


def test_a_process_that_changes_its_profile_takes_a_fork() -> None:
    kernel = ScriptedKernel(find_quick=b"/one/program")
    Spawner(kernel, Defaults(Console.LOG, 0o022, "/", debug=False, apparmor=True)).start(
        spawn_effect(apparmor_switch="web")
    )
    assert kernel.named("fork")


def test_the_profile_is_named_to_the_module_itself_where_several_may_be_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, anybody_s = tmp_path / "own", tmp_path / "anybody's"
    monkeypatch.setattr(kernel_module, "_PROFILE_PLACES", (str(own), str(anybody_s)))
    anybody_s.touch()
    LinuxKernel().set_profile("web")
    assert anybody_s.read_text() == "exec web"
    own.touch()
    LinuxKernel().set_profile("other")
    assert (own.read_text(), anybody_s.read_text()) == ("exec other", "exec web")


def test_a_kernel_that_has_no_place_for_it_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_module, "_PROFILE_PLACES", (str(tmp_path / "a"), str(tmp_path / "b")))
    with pytest.raises(FileNotFoundError):
        LinuxKernel().set_profile("web")
