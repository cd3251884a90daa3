"""The daemon's own diagnostics: what is written, where, and what happens when nobody reads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from upstartd.log import Log, Priority

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def read(descriptor: int) -> str:
    try:
        return os.read(descriptor, 1 << 20).decode()
    except BlockingIOError:
        return ""


def test_warnings_go_to_standard_error_with_a_prefix_and_the_rest_bare_to_standard_output(
    pipe: tuple[int, int], tmp_path: object
) -> None:
    reader, writer = pipe
    other_reader, other_writer = os.pipe()
    log = Log(Priority.INFO, out=other_writer, err=writer)
    log.info("web state changed")
    log.warn("web respawning too fast, stopped")
    os.close(other_writer)
    assert read(reader) == "init: web respawning too fast, stopped\n"
    assert os.read(other_reader, 100) == b"web state changed\n"
    os.close(other_reader)


def test_a_place_joins_the_prefix(pipe: tuple[int, int]) -> None:
    Log(err=pipe[1]).error("/etc/init/web.conf:3: Unknown stanza")
    assert read(pipe[0]) == "init:/etc/init/web.conf:3: Unknown stanza\n"


def test_what_is_below_the_priority_is_not_written(pipe: tuple[int, int]) -> None:
    log = Log(Priority.ERROR, out=pipe[1], err=pipe[1])
    log.warn("no")
    log.debug("no")
    assert read(pipe[0]) == ""
    assert not log.wants(Priority.WARN)
    assert log.wants(Priority.FATAL)


def test_a_reader_that_stops_reading_does_not_stop_the_daemon_and_is_told_what_it_missed(pipe: tuple[int, int]) -> None:
    log = Log(out=pipe[1], err=pipe[1])
    for number in range(5000):
        log.warn(f"diagnostic {number} {'x' * 100}")
    seen = read(pipe[0])
    assert seen.startswith("init: diagnostic 0 ")
    log.warn("and now")
    lost, last = read(pipe[0]).splitlines()
    assert last == "init: and now"
    assert int(lost.split()[1]) == 5000 - seen.count("diagnostic ")


def test_a_closed_descriptor_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    Log(err=writer).error("nobody is there")
    os.close(writer)
    Log(err=writer).error("not even a descriptor")


def test_text_that_is_no_unicode_is_written_all_the_same(pipe: tuple[int, int]) -> None:
    Log(err=pipe[1]).error("a\udcff")
    assert read(pipe[0]) == "init: a?\n"


def test_every_priority_has_its_word_and_nothing_else_is_one() -> None:
    assert [priority.word for priority in Priority] == ["debug", "info", "message", "warn", "error", "fatal"]
    assert all(Priority.from_word(priority.word) is priority for priority in Priority)
    with pytest.raises(ValueError, match="DEBUG"):
        Priority.from_word("DEBUG")


def test_a_fault_of_ours_is_a_number_to_the_caller_and_all_of_it_to_the_log(pipe: tuple[int, int]) -> None:
    log = Log(err=pipe[1])
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError as why:
        told = log.fault(why)
    number = told.message.split()[2].rstrip(":")
    assert told.message == f"Internal error {number}: the log of the daemon tells more"
    seen = read(pipe[0])
    assert seen.startswith(f"init: Internal error {number}: Traceback")
    assert seen.endswith("ZeroDivisionError: by zero\n")
    assert log.fault("what else is known").message != told.message
    assert read(pipe[0]).endswith(": what else is known\n")
