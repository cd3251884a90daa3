"""What job files mean, kept for the next start (upstartd/conf/parse_cache.py): never but what the parser says."""

from __future__ import annotations

import ast
import errno
import hashlib
import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.scripted_kernel import ScriptedLoop
from upstartd.conf import parse_cache, parser
from upstartd.conf.parse_cache import DECIDING, ParseCache, fingerprint
from upstartd.conf.parser import EMPTY, Parsed
from upstartd.conf.reader import JobReader
from upstartd.signals import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from upstartd.conf.model import JobConfig, JobFiles

ROOT = Path(__file__).parents[2]
VERDICTS = ROOT / "tests" / "conformance" / "parser-verdicts.jsonl"
CORPUS = Path(os.environ.get("UPSTARTD_CORPUS", ROOT.parent / "shared" / "corpus"))
FEWEST = 32
TEXTS = [f"description 'Number {number}'\nstart on (one and two K={number}) or three\nexec sleep {number}\n"
         for number in range(100)]


class Stage:
    """Daemons one after the other, each with the cache in `directory`. `parsed` are the texts that were parsed."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.said: list[str] = []
        self.parsed: list[str] = []
        self._parse = parser.parse
        monkeypatch.setattr(parser, "parse", self._parse_and_note)

    def _parse_and_note(self, text: str, path: str, base: JobConfig = EMPTY) -> Parsed:
        self.parsed.append(text)
        return self._parse(text, path, base)

    def cache(self, *job_directories: str) -> ParseCache:
        return ParseCache(str(self.directory), job_directories, report=lambda _, text: self.said.append(text))

    def load(self, texts: Iterable[str], cache: ParseCache | None = None) -> list[str]:
        """Load the texts, save what is worth it, and give those that had to be parsed."""
        cache = cache or self.cache()
        self.parsed = []
        with cache.loading():
            for text in texts:
                assert cache.parse(text, "x.conf") == self._parse(text, "x.conf")
        for _ in cache.save():
            pass
        return self.parsed

    @property
    def file(self) -> Path:
        """The cache's one file."""
        (file,) = self.directory.iterdir()
        return file

    def lines(self) -> list[bytes]:
        """The file without its first line."""
        return self.file.read_bytes().splitlines(keepends=True)[1:]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path / "cache", monkeypatch)


# -- what is known, and what is not -------------------------------------------------------------------------


def test_what_one_daemon_has_parsed_the_next_one_knows(stage: Stage) -> None:
    assert stage.load(TEXTS) == TEXTS
    assert stage.load(TEXTS) == []
    assert [said.partition(": ")[2] for said in stage.said] == [
        "0 of 100 texts were known", "100 of 100 texts were known"]


def test_a_reload_knows_what_the_same_daemon_has_parsed(stage: Stage) -> None:
    cache = stage.cache()
    stage.load(TEXTS, cache)
    assert stage.load(TEXTS, cache) == []


def test_a_text_that_has_changed_is_parsed(stage: Stage) -> None:
    stage.load(TEXTS)
    assert stage.load(["exec true", *TEXTS[1:]]) == ["exec true"]


def test_equal_texts_are_parsed_and_kept_once(stage: Stage) -> None:
    assert stage.load(TEXTS * 2) == TEXTS
    assert len(stage.lines()) == len(TEXTS)
    assert stage.load(TEXTS * 2) == []


def test_a_text_with_errors_is_parsed_every_time_and_its_errors_have_its_path(stage: Stage) -> None:
    wrong = "bogus\n"
    for _ in range(2):
        cache = stage.cache()
        with cache.loading():
            parsed = [cache.parse(text, "/some/where.conf") for text in [*TEXTS, wrong]][-1]
        for _ in cache.save():
            pass
        assert parsed.config is None
        assert [str(diagnostic) for diagnostic in parsed.diagnostics] == ["/some/where.conf:1: Unknown stanza"]


def test_an_override_is_parsed_on_top_of_what_it_overrides(stage: Stage) -> None:
    texts = [*TEXTS, "manual\n"]
    stage.load(texts)
    cache = stage.cache()
    with cache.loading():
        base = cache.parse(TEXTS[7], "x.conf").config
        assert base is not None
        config = cache.parse("manual\n", "x.override", base).config
    assert config is not None
    assert (config.description, config.start_on) == ("Number 7", ())


def test_a_file_that_changes_between_loads_is_parsed_and_not_kept(stage: Stage) -> None:
    cache = stage.cache()
    stage.load(TEXTS, cache)
    before = stage.file.read_bytes()
    assert cache.parse(TEXTS[0], "x.conf").config is not None
    assert stage.parsed == [*TEXTS, TEXTS[0]]
    assert list(cache.save()) == []
    assert stage.file.read_bytes() == before


@pytest.mark.parametrize("odd", ["\ud800", "\ud83d\ude00"])
def test_text_that_no_file_can_hold_is_not_kept(stage: Stage, odd: str) -> None:
    texts = [*TEXTS, f"description '{odd}'\n"]
    stage.load(texts)
    assert stage.load(texts) == texts[-1:]


def test_bytes_that_are_no_utf_8_come_back_as_they_were(stage: Stage) -> None:
    texts = [*TEXTS, b"description \xff\xed\xb0\x80\xe2\x82\n".decode("utf-8", "surrogateescape")]
    stage.load(texts)
    assert stage.load(texts) == []


@pytest.mark.parametrize("file", [VERDICTS, CORPUS / "verdicts.jsonl"], ids=["verdicts", "corpus"])
def test_every_text_means_what_the_parser_says(stage: Stage, file: Path) -> None:
    if not file.exists():
        pytest.skip(f"no real job files in {CORPUS}")
    verdicts = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    texts = [one["text"] if "text" in one else
             (file.parent / one["file"]).read_bytes().decode("utf-8", "surrogateescape") for one in verdicts]
    valid = {text for text, one in zip(texts, verdicts, strict=True) if one["ok"]}
    assert len(valid) > 100
    stage.load(texts)
    assert len(stage.lines()) == len(valid)
    assert valid.isdisjoint(stage.load(texts))


# -- what a reading depends on ------------------------------------------------------------------------------


def test_what_another_program_has_made_of_the_texts_does_not_count_and_is_replaced(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.load(TEXTS)
    before = stage.lines()
    monkeypatch.setattr(parse_cache, "fingerprint", lambda: "another")
    assert stage.load(TEXTS) == TEXTS
    assert stage.load(TEXTS) == []
    assert stage.file.read_bytes().startswith(b"What job files mean to upstartd (another)\n")
    assert sorted(stage.lines()) == sorted(before)


def changed_copy(path: str | None, directory: Path) -> str:
    copy = directory / "changed.py"
    copy.write_bytes(Path(path or "").read_bytes() + b"\n")
    return str(copy)


@pytest.mark.parametrize("module", DECIDING, ids=lambda module: module.__name__)
def test_another_byte_in_the_code_that_decides_makes_another_program(
    module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint()
    assert before == fingerprint()
    monkeypatch.setattr(module, "__file__", changed_copy(module.__file__, tmp_path))
    assert fingerprint() not in (before, None)


def test_another_python_another_pyparsing_and_other_signals_make_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {fingerprint()}
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version", "4.0")
        found.add(fingerprint())
    with monkeypatch.context() as patch:
        patch.setitem(NUMBERS, "TERM", 99)
        found.add(fingerprint())
    with monkeypatch.context() as patch:
        (tmp_path / "pyparsing").mkdir()
        (tmp_path / "pyparsing" / "__init__.py").write_text("__version__ = '99'\n")
        patch.syspath_prepend(tmp_path)
        found.add(fingerprint())
    assert len(found - {None}) == 4


def test_all_of_our_code_that_reading_a_text_takes_is_in_the_fingerprint() -> None:
    """Found in the sources: what parser, model and codec import, and what those do, but for the sake of types."""
    seen: set[str] = set()
    ahead = ["upstartd.conf.parser", "upstartd.conf.model", "upstartd.state.codec"]
    while ahead:
        name = ahead.pop()
        if name in seen:
            continue
        seen.add(name)
        module = importlib.import_module(name)
        for node in ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                ahead += [alias.name for alias in node.names if alias.name.startswith("upstartd")]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("upstartd"):
                assert node.module != "upstartd", "write it as `from upstartd.x import y`, for this test"
                ahead.append(node.module or "")
    assert seen == {module.__name__ for module in DECIDING}


def test_where_the_code_cannot_be_read_nothing_is_kept(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DECIDING[0], "__file__", "/nowhere/code.zip/module.py")
    assert fingerprint() is None
    assert stage.load(TEXTS) == TEXTS
    assert stage.load(TEXTS) == TEXTS
    assert not stage.directory.exists()


# -- a file that is wrong -----------------------------------------------------------------------------------


@st.composite
def damage(draw: st.DrawFn, size: int) -> list[tuple[int, int, bytes]]:
    """Pieces that are replaced: where, how many bytes, by what."""
    place = st.integers(0, size)
    return draw(st.lists(st.tuples(place, st.integers(0, 3) | place, st.binary(max_size=100)), max_size=5))


@given(data=st.data())
def test_a_file_that_is_damaged_anywhere_changes_nothing_but_what_must_be_parsed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stage = Stage(tmp_path_factory.mktemp("damaged") / "cache", patch)
        stage.load(TEXTS[:FEWEST])
        content = bytearray(stage.file.read_bytes())
        for begin, length, instead in data.draw(damage(len(content))):
            content[begin:begin + length] = instead
        stage.file.write_bytes(content)
        parsed = stage.load(TEXTS[:FEWEST])
        known = FEWEST - len(parsed)
        assert known <= content.count(b"\n")


@given(content=st.binary() | st.lists(st.sampled_from([b"\n", b"0" * 49 + b"\n", b" ", bytes(51)])).map(b"".join))
def test_lines_that_are_none_say_nothing(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stage = Stage(tmp_path_factory.mktemp("none") / "cache", patch)
        stage.load(TEXTS[:FEWEST])
        header = stage.file.read_bytes().partition(b"\n")[0]
        stage.file.write_bytes(header + b"\n" + content)
        assert stage.load(TEXTS[:FEWEST]) == TEXTS[:FEWEST]


@pytest.mark.parametrize("reading", [
    b"{", b"[]", b"null", b'{"surprise":1}', b'{"kill_timeout":"soon"}', b"[" * 100_000, b"\xff", b"", b"1" * 5000,
])
def test_a_line_that_is_in_order_but_makes_no_sense_is_passed_over(stage: Stage, reading: bytes) -> None:
    stage.load(TEXTS)
    first, *rest = stage.lines()
    digest = first.split(b" ")[1]
    line = digest + b" " + reading + b"\n"
    checksum = hashlib.blake2b(line, digest_size=8).hexdigest().encode()
    header = stage.file.read_bytes().partition(b"\n")[0]
    stage.file.write_bytes(header + b"\n" + checksum + b" " + line + b"".join(rest))
    (parsed,) = stage.load(TEXTS)
    assert hashlib.blake2b(parsed.encode(), digest_size=16).hexdigest().encode() == digest


def test_a_file_that_others_may_write_to_is_passed_over_and_replaced(stage: Stage) -> None:
    stage.load(TEXTS)
    stage.file.chmod(0o666)
    assert stage.load(TEXTS) == TEXTS
    assert any("Not private" in said for said in stage.said)
    assert stage.load(TEXTS) == []


def test_a_file_that_goes_while_it_is_in_use_is_not_missed(stage: Stage) -> None:
    stage.load(TEXTS)
    cache = stage.cache()
    with cache.loading():
        stage.file.unlink()
        assert [cache.parse(text, "x.conf").config for text in TEXTS] == [
            parser._parse(text, EMPTY).config for text in TEXTS]
    assert list(cache.save()) == []


# -- when it is written -------------------------------------------------------------------------------------


def test_few_files_leave_nothing_on_the_disk(stage: Stage) -> None:
    assert stage.load(TEXTS[:FEWEST - 1]) == TEXTS[:FEWEST - 1]
    assert not stage.directory.exists()
    stage.load(TEXTS[:FEWEST])
    assert len(stage.lines()) == FEWEST


def test_few_new_ones_among_many_are_not_worth_it(stage: Stage) -> None:
    many = [f"exec sleep {number}\n" for number in range(127)]
    stage.load(many)
    before = stage.file.read_bytes()
    assert stage.load([*many, "exec one\n"]) == ["exec one\n"]
    assert stage.file.read_bytes() == before
    more = [*many, "exec one\n", "exec two\n"]
    assert stage.load(more[1:]) == more[-2:]
    assert stage.load(more[1:]) == []


def test_what_is_known_is_written_as_it_was(stage: Stage) -> None:
    stage.load(TEXTS)
    before = stage.lines()
    stage.load([*TEXTS, "exec new", "exec newer"])
    assert set(before) < set(stage.lines())
    assert len(stage.lines()) == len(before) + 2


def test_what_most_of_is_not_asked_for_any_more_is_written_without_it(stage: Stage) -> None:
    stage.load(TEXTS)
    stage.load(TEXTS[:50])
    assert len(stage.lines()) == 100
    stage.load(TEXTS[:49])
    assert len(stage.lines()) == 49


def test_a_load_that_is_broken_off_changes_nothing(stage: Stage) -> None:
    stage.load(TEXTS)
    cache = stage.cache()

    def break_off() -> None:
        with cache.loading():
            cache.parse(TEXTS[0], "x.conf")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert list(cache.save()) == []
    assert stage.load(TEXTS, cache) == []


def test_job_directories_that_are_empty_for_once_do_not_empty_the_cache(stage: Stage) -> None:
    stage.load(TEXTS)
    stage.load([])
    assert stage.load(TEXTS) == []


def test_more_than_may_be_in_the_file_is_left_out(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse_cache, "_MOST_BYTES", 10_000)
    stage.load(TEXTS)
    assert stage.file.stat().st_size <= 10_000
    assert 0 < len(stage.load(TEXTS)) < len(TEXTS)


def test_it_is_written_in_steps_while_others_go_on(stage: Stage) -> None:
    cache = stage.cache()
    with cache.loading():
        for text in TEXTS:
            cache.parse(text, "x.conf")
    steps = cache.save()
    for _ in range(50):
        next(steps)
    assert stage.load(TEXTS, cache) == TEXTS  # which cannot be written just now, and waits
    assert any("cannot write" in said for said in stage.said)
    assert len(list(steps)) == len(TEXTS) - 50
    assert stage.load(TEXTS) == []
    assert len(list(cache.save())) == len(TEXTS)
    assert stage.load(TEXTS) == []


def test_who_ends_while_it_is_written_leaves_it_as_it_was(stage: Stage) -> None:
    stage.load(TEXTS[:50])
    before = stage.file.read_bytes()
    cache = stage.cache()
    with cache.loading():
        for text in TEXTS:
            cache.parse(text, "x.conf")
    steps = cache.save()
    next(steps)
    del steps
    assert stage.file.read_bytes() == before


def test_what_cannot_be_written_is_when_it_can(stage: Stage) -> None:
    stage.load(TEXTS[:50])
    stage.directory.rename(stage.directory.with_name("away"))
    stage.directory.touch()
    cache = stage.cache()
    assert stage.load(TEXTS, cache) == TEXTS
    assert any("cannot write" in said for said in stage.said)
    stage.directory.unlink()
    stage.directory.with_name("away").rename(stage.directory)  # as if it had been mounted, with what it held
    for _ in cache.save():
        pass
    assert stage.load(TEXTS) == []
    assert list(cache.save()) == []


def test_what_was_known_is_still_there_when_it_can_be_written(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that can be read from the start, and be written to only later."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    stage.load(TEXTS[:50])
    cache = stage.cache()
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", refuse)
        assert stage.load(TEXTS, cache) == TEXTS[50:]
    for _ in cache.save():
        pass
    assert stage.load(TEXTS) == []


def test_each_set_of_job_directories_has_a_file_and_the_newest_are_kept(stage: Stage) -> None:
    sets: list[Sequence[str]] = [("/a", "/b"), ("/b", "/a"), ("/a",), *((f"/{number}",) for number in range(7))]
    for number, directories in enumerate(sets):
        assert stage.load(TEXTS, stage.cache(*directories)) == TEXTS
        for file in stage.directory.iterdir():
            os.utime(file, (0, file.stat().st_mtime - 10 * number - 10))
    assert len(list(stage.directory.iterdir())) == 8
    assert stage.load(TEXTS, stage.cache(*sets[-1])) == []
    assert stage.load(TEXTS, stage.cache(*sets[0])) == TEXTS


# -- in the reader ------------------------------------------------------------------------------------------


def test_a_reader_saves_after_the_load_and_when_it_is_told_to(stage: Stage, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    for number, text in enumerate(TEXTS):
        (jobs / f"job{number}.conf").write_text(text)

    def load(saves: bool) -> int:
        loop: Any = ScriptedLoop()
        taken: list[JobFiles] = []
        reader = JobReader([str(jobs)], take=taken.append, report=lambda *_: None, loop=loop, cache=stage.cache())
        stage.parsed = []
        reader.load()
        assert len(taken) == len(TEXTS)
        if saves:
            while loop.turn():
                pass
        reader.save_cache()
        reader.close()
        return len(stage.parsed)

    assert load(saves=True) == 100
    assert load(saves=True) == 0
    stage.file.unlink()
    assert load(saves=False) == 100
    assert load(saves=False) == 0


def test_signals_keep_their_numbers(stage: Stage) -> None:
    texts = [*TEXTS, "kill signal INT\nreload signal USR1\nnormal exit 3 TERM 2 HUP\n"]
    stage.load(texts)
    cache = stage.cache()
    with cache.loading():
        config = cache.parse(texts[-1], "x.conf").config
    assert config is not None
    assert (config.kill_signal, config.reload_signal) == (signal.SIGINT, signal.SIGUSR1)
    assert (config.normal_exit_statuses, config.normal_exit_signals) == (
        frozenset({2, 3}), frozenset({signal.SIGTERM, signal.SIGHUP}))
