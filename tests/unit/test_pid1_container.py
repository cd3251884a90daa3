"""How a container is told from a machine (upstartd/container.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from upstartd import container

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, path: str, text: str = "") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_a_machine_is_no_container(tmp_path: Path) -> None:
    assert container.detect({"container": "", "PATH": "/bin"}, str(tmp_path)) is None


@pytest.mark.parametrize(("path", "text", "kind"), [
    ("run/systemd/container", "systemd-nspawn\n", "systemd-nspawn"),
    ("run/systemd/container", "", "container"),
    (".dockerenv", "", "docker"),
    ("run/.containerenv", 'engine="podman-4.3.1"\n', "podman"),
])
def test_a_file_tells_that_it_is_one(path: str, text: str, kind: str, tmp_path: Path) -> None:
    write(tmp_path, path, text)
    assert container.detect({}, str(tmp_path)) == kind


def test_the_variable_comes_before_files_and_the_named_file_before_the_others(tmp_path: Path) -> None:
    write(tmp_path, ".dockerenv")
    write(tmp_path, "run/systemd/container", "lxc-libvirt\n")
    assert container.detect({}, str(tmp_path)) == "lxc-libvirt"
    assert container.detect({"container": "lxc"}, str(tmp_path)) == "lxc"


def test_a_file_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/container").mkdir(parents=True)
    assert container.detect({}, str(tmp_path)) is None
