"""A reload of very many job files, while others have their own business with the daemon."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from support.daemon import Daemon
from support.library import connect_aio
from support.waiting import LIMIT
from upstartd_clients import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

JOBS = 2000  # reading them takes many slices on any machine


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "init").mkdir()
    for number in range(JOBS):
        (tmp_path / f"init/job{number}.conf").write_text(
            f"description 'Number {number}'\nstart on (one and two{number}) or three\nexec sleep {number}\n")
    with Daemon(tmp_path, "--user", "--no-startup-event", "--no-cache") as running:
        yield running


def play(daemon: Daemon, scene: Callable[[Any], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(LIMIT), await connect_aio("user", daemon.environ) as upstart:
            await scene(upstart)

    asyncio.run(run())


async def begin_reload(upstart: Any) -> asyncio.Task[None]:
    """Ask for a reload, and give what waits for its end as soon as it is under way."""
    reload = asyncio.create_task(upstart.manager("ReloadConfiguration"))
    await asyncio.sleep(0)  # so that this call goes out before the next one
    await upstart.version()
    return reload


def test_others_are_answered_before_the_reload_is_done(daemon: Daemon) -> None:
    async def scene(upstart: Any) -> None:
        reload = await begin_reload(upstart)
        for _ in range(3):
            status = asyncio.create_task(upstart.version())
            done, _ = await asyncio.wait({reload, status}, return_when=asyncio.FIRST_COMPLETED)
            assert done == {status}
        await reload

    play(daemon, scene)


def test_a_reload_by_signal_holds_nobody_up_and_is_done_in_the_end(daemon: Daemon) -> None:
    async def scene(upstart: Any) -> None:
        async with upstart.follow() as signals:
            os.kill(daemon.process.pid, signal.SIGHUP)
            seen = [await anext(signals)]
            await upstart.version()
            seen += [await anext(signals) for _ in range(2 * JOBS - 1)]
        assert len(set(seen)) == 2 * JOBS  # JobRemoved and JobAdded of each

    play(daemon, scene)


def test_who_starts_a_job_during_a_reload_gets_what_its_file_says_now(daemon: Daemon) -> None:
    async def scene(upstart: Any) -> None:
        reload = await begin_reload(upstart)
        (daemon.init / f"job{JOBS - 1}.conf").write_text("task\nexec true >ran\nchdir " + str(daemon.scratch))
        (daemon.init / "new.conf").write_text("exec sleep 1000\n")
        last, new = await upstart.job(f"job{JOBS - 1}"), await upstart.job("new")
        await last.start()
        assert (daemon.scratch / "ran").exists()
        instance = await new.start()
        assert not reload.done()
        await reload
        assert (await instance.status()).state == "running"

    play(daemon, scene)


def test_a_daemon_that_is_told_to_end_during_a_reload_ends(daemon: Daemon) -> None:
    async def scene(upstart: Any) -> None:
        reload = await begin_reload(upstart)
        os.kill(daemon.process.pid, signal.SIGTERM)
        with pytest.raises(ConnectionLost):
            await reload

    play(daemon, scene)
    assert daemon.process.wait(LIMIT) == 0
