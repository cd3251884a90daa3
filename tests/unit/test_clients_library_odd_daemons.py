"""Both clients of the library, where what answers is no daemon as it should be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from support.library import connect_aio, connect_blocking
from support.scripted_upstart import GONE, HANG_UP, Answers, Raw, Reply, ScriptedUpstart
from support.waiting import LIMIT
from upstartd_clients import BadAnswer, ClientError, ConnectionLost, DaemonError, Gone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Play = Callable[[Answers, Callable[[Any], Awaitable[None]]], None]

VERSION = Reply("v", (("s", "init (upstart 1.13.2)"),))


@pytest.fixture(params=[connect_blocking, connect_aio], ids=["blocking", "asyncio"])
def play(request: pytest.FixtureRequest) -> Play:
    """Play a scene with a client of a daemon that gives these answers."""

    def run(answers: Answers, scene: Callable[[Any], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with asyncio.timeout(LIMIT), await request.param(daemon.address, {}) as upstart:
                await scene(upstart)

        with ScriptedUpstart(answers) as daemon:
            asyncio.run(whole())

    return run


# An answer without a body, whose header has eight bytes of fields that are none.
BAD_FIELDS = b"l\x02\x00\x01" + bytes(4) + b"\x01\x00\x00\x00" + b"\x08\x00\x00\x00" + b"\xff" * 8


@pytest.mark.parametrize("data", [b"garbage, and more of it", BAD_FIELDS], ids=["no header", "no fields"])
def test_bytes_that_are_no_message_are_an_error_for_good(play: Play, data: bytes) -> None:
    async def scene(upstart: Any) -> None:
        with pytest.raises(BadAnswer, match="no D-Bus message"):
            await upstart.version()
        with pytest.raises((BadAnswer, ConnectionLost)):
            await upstart.version()

    play({"Get": Raw(data)}, scene)


def test_a_value_of_another_type_costs_one_call_only(play: Play) -> None:
    async def scene(upstart: Any) -> None:
        with pytest.raises(BadAnswer, match='GetJobByName gave "s", not "o"'):
            await upstart.job("web")
        assert await upstart.version() == "init (upstart 1.13.2)"

    play({"GetJobByName": Reply("s", ("web",)), "Get": VERSION}, scene)


def test_a_daemon_that_hangs_up_is_lost_for_good(play: Play) -> None:
    async def scene(upstart: Any) -> None:
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                await upstart.manager("GetState")

    play({"GetState": HANG_UP}, scene)


def test_an_answer_is_waited_for_as_long_as_is_said_and_one_that_comes_late_is_nobody_s(play: Play) -> None:
    async def scene(upstart: Any) -> None:
        with pytest.raises(ConnectionLost, match=r"no answer from Upstart within 0\.05 seconds"):
            await upstart.manager("GetState", seconds=0.05)
        assert await upstart.version() == "init (upstart 1.13.2)"

    play({"GetState": Raw(b""), "Get": VERSION}, scene)


@pytest.mark.parametrize("text", ["a\0b", "a\udcffb"])
def test_a_text_that_cannot_be_sent_is_refused_before_it_is(play: Play, text: str) -> None:
    async def scene(upstart: Any) -> None:
        with pytest.raises(ClientError, match="D-Bus cannot carry it"):
            await upstart.emit("event", {"KEY": text})
        assert await upstart.version() == "init (upstart 1.13.2)"

    play({"Get": VERSION}, scene)


def test_what_is_gone_is_left_out_of_many_and_another_error_is_not(play: Play) -> None:
    async def scene(upstart: Any) -> None:
        jobs = await upstart.jobs()
        assert await upstart.conditions(jobs) == []
        assert await upstart.statuses(jobs) == []
        with pytest.raises(DaemonError) as caught:
            await upstart.descriptions(jobs)
        assert not isinstance(caught.value, Gone)

    paths = [f"/com/ubuntu/Upstart/jobs/job{number}" for number in range(600)]
    play({"GetAllJobs": Reply("ao", (paths,)), "GetAll": GONE, "GetAllInstances": GONE,
          "Get": GONE._replace(name="com.example.Error")}, scene)


def test_a_method_that_the_daemon_has_not_got_is_an_error_of_its_own_kind(play: Play) -> None:
    async def scene(upstart: Any) -> None:
        with pytest.raises(Gone):
            await upstart.manager("GetState")

    play({}, scene)
