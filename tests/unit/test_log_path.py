"""Where the output of a job goes: the names of logs."""

from __future__ import annotations

import os

import pytest

from upstartd.proc.log_file import log_path

LONG = "n" * 300


@pytest.mark.parametrize(
    ("job", "instance", "name"),
    [
        ("web", "", "web.log"), ("web", "a", "web-a.log"), ("net/proxy", "a/b c", "net_proxy-a_b c.log"),
        ("dots.v2", "1-", "dots.v2-1-.log"), ("net/dns", "", "net_dns.log"), ("web", "../../etc", "web-.._.._etc.log"),
    ],
)  # fmt: skip
def test_a_log_is_called_after_job_and_instance_without_slashes(job: str, instance: str, name: str) -> None:
    found = log_path("/var/log/upstart", job, instance)
    assert (found.path, found.is_shortened) == (f"/var/log/upstart/{name}", False)


def size(path: str) -> int:
    return len(os.path.basename(path).encode("utf-8", "surrogateescape"))


def test_a_name_of_255_bytes_stays_as_it_is() -> None:
    found = log_path("/logs", "n" * 251, "")
    assert (found.path, found.is_shortened) == (f"/logs/{'n' * 251}.log", False)


@pytest.mark.parametrize(
    ("job", "instance"), [("n" * 252, ""), ("web", LONG), (LONG, "a"), ("web", "ü" * 130), ("web", "\udcff" * 300)]
)
def test_a_longer_name_is_cut_to_255_bytes_and_still_begins_as_it_did(job: str, instance: str) -> None:
    found = log_path("/logs", job, instance)
    assert found.is_shortened
    assert 250 < size(found.path) <= 255
    whole = f"/logs/{job}-{instance}" if instance else f"/logs/{job}"
    assert whole.startswith(found.path[:100])
    assert found.path.endswith(".log")


def test_names_that_differ_only_in_what_is_cut_stay_different() -> None:
    paths = {log_path("/logs", "web", LONG + end).path for end in ("", "a", "b", "/")}
    assert len(paths) == 4


def test_a_long_directory_cuts_no_name() -> None:
    directory = "/d" * 500
    assert log_path(directory, "web", "") == log_path(directory, "web", "")
    assert log_path(directory, "web", "").path == f"{directory}/web.log"
