"""Paths as they are seen from another root directory: no link leads out of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from upstartd.conf.disk import Disk, Kind
from upstartd.root_directory import resolve

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    box = tmp_path / "box"
    (box / "etc" / "init").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    return box


@pytest.mark.parametrize("path", ["/etc/init", "etc/init", "/etc//./init/", "/etc/../etc/init", "/../../etc/init"])
def test_a_path_without_links_is_below_the_root(root: Path, path: str) -> None:
    assert resolve(str(root), path) == f"{root}/etc/init"


def test_the_root_is_itself(root: Path) -> None:
    assert os.path.samefile(resolve(str(root), "/"), root)


def test_what_is_not_there_is_called_as_it_was(root: Path) -> None:
    assert resolve(str(root), "/var/log/upstart") == f"{root}/var/log/upstart"


@pytest.mark.parametrize(("target", "where"), [
    ("/etc/init", "etc/init"),
    ("../etc/init", "etc/init"),
    ("../../../outside", "outside"),
    ("/../outside", "outside"),
])
def test_a_link_leads_where_it_does_inside(root: Path, target: str, where: str) -> None:
    (root / "var").mkdir()
    (root / "var" / "jobs").symlink_to(target)
    assert resolve(str(root), "/var/jobs/web") == f"{root}/{where}/web"


def test_links_that_lead_to_one_another_are_all_followed(root: Path) -> None:
    (root / "a").symlink_to("/b")
    (root / "b").symlink_to("etc")
    assert resolve(str(root), "/a/init") == f"{root}/etc/init"


def test_links_in_a_circle_are_an_error(root: Path) -> None:
    (root / "a").symlink_to("/b")
    (root / "b").symlink_to("/a")
    with pytest.raises(OSError, match="Too many levels") as caught:
        resolve(str(root), "/a/init")
    assert caught.value.filename == f"{root}/a/init"


def test_job_files_are_read_where_their_links_lead_inside(root: Path) -> None:
    directory = root / "etc" / "init"
    (root / "web").write_text("inside")
    (root.parent / "web").write_text("outside")
    (directory / "web.conf").symlink_to("/web")
    (directory / "up.conf").symlink_to("../../../web")
    (directory / "gone.conf").symlink_to(root.parent / "web")
    (directory / "plain.conf").write_text("plain")
    disk = Disk(str(root))
    assert disk.entries(str(directory)) == [
        ("gone.conf", Kind.DANGLING), ("plain.conf", Kind.FILE), ("up.conf", Kind.LINK), ("web.conf", Kind.LINK)]
    assert [disk.read(f"{directory}/{name}.conf").data for name in ("plain", "up", "web")] == [
        b"plain", b"inside", b"inside"]
    assert disk.stamp(f"{directory}/web.conf") == disk.stamp(f"{root}/web") is not None
    assert disk.stamp(f"{directory}/gone.conf") is None


def test_an_override_is_no_link_there_either(root: Path) -> None:
    (root / "web").write_text("manual")
    override = root / "etc" / "init" / "web.override"
    override.symlink_to("/web")
    disk = Disk(str(root))
    assert disk.stamp(str(override), follow=False) is None
    with pytest.raises(OSError, match="symbolic links"):
        disk.read(str(override), follow=False)
