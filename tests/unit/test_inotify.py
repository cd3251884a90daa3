"""Making an inotify runs no program, whoever does it first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

import inotify_simple  # type: ignore[import-untyped]  # it comes without annotations
import pytest

from upstartd.bus.socket_watch import SocketWatch
from upstartd.conf.source import JobSources
from upstartd.conf.watch import JobWatch

if TYPE_CHECKING:
    from pathlib import Path

    from upstartd.log import Priority


def tell_nobody(_priority: Priority, _text: str) -> None:
    pass


def refuse(name: str) -> NoReturn:
    raise AssertionError(f"a program is run to look for the library {name}")


@pytest.fixture(autouse=True)
def nobody_has_made_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inotify_simple, "_libc", None)
    monkeypatch.setattr(inotify_simple, "find_library", refuse)


def test_waiting_for_a_socket_runs_no_program(tmp_path: Path) -> None:
    async def wait() -> None:
        SocketWatch(asyncio.get_running_loop(), [str(tmp_path / "bus")], lambda: None).close()

    asyncio.run(wait())


def test_watching_job_files_runs_no_program() -> None:
    watch = JobWatch(JobSources((), report=tell_nobody), report=tell_nobody)
    assert watch.fileno() is not None
    watch.close()
