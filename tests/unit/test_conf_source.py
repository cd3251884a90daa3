"""Which file counts, and what follows from changes: configuration specification, 6 to 8; design, 18 and 21."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from support.calls import counted_calls
from upstartd.conf.disk import Content, Kind
from upstartd.conf.source import JobSources
from upstartd.log import Priority

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from upstartd.conf.model import JobFiles


@dataclass
class Tree:
    """A disk in memory: by path, a file's text, something else, or the error that reading it gives.

    `unlisted` has the directories that cannot be listed; any other is there as long as there is something in it.
    """

    nodes: dict[str, str | Kind | OSError] = field(default_factory=dict)
    unlisted: dict[str, OSError] = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)
    opened: list[str] = field(default_factory=list)

    def entries(self, path: str) -> list[tuple[str, Kind]]:
        if path in self.unlisted:
            raise self.unlisted[path]
        names = {name.removeprefix(f"{path}/").partition("/")[0] for name in self.nodes if name.startswith(f"{path}/")}
        if not names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return [(name, self._kind(f"{path}/{name}")) for name in sorted(names)]

    def read(self, path: str, *, follow: bool = True) -> Content:
        self.opened.append(path)
        node = self.nodes.get(path, FileNotFoundError(errno.ENOENT, "No such file or directory", path))
        if isinstance(node, OSError):
            raise node
        assert isinstance(node, str)
        return Content(node.encode("utf-8", "surrogateescape"), hash(node))

    def stamp(self, path: str, *, follow: bool = True) -> int | None:
        node = self.nodes.get(path)
        return hash(str(node)) if isinstance(node, (str, OSError)) and (follow or path not in self.linked) else None

    def _kind(self, path: str) -> Kind:
        node = self.nodes.get(path, Kind.DIRECTORY)
        return node if isinstance(node, Kind) else Kind.LINK if path in self.linked else Kind.FILE


class Scene:
    """Job directories in memory, and what is told of them."""

    def __init__(self, *directories: str) -> None:
        self.tree = Tree()
        self.log: list[tuple[Priority, str]] = []
        self.roots = directories
        self.sources = JobSources(directories, report=lambda priority, text: self.log.append((priority, text)),
                                  files=self.tree)
        self.said: dict[str, JobFiles] = {}

    def load(self) -> list[str]:
        return self.take(self.sources.load())

    def take(self, told: Iterable[JobFiles]) -> list[str]:
        """The names that something was said of, in order; what was said is kept."""
        names = []
        for files in told:
            names.append(files.name)
            self.said[files.name] = files
        return names

    def write(self, path: str, text: str) -> list[str]:
        self.tree.nodes[path] = text
        root, relative = self._place(path)
        return self.take(self.sources.changed(root, relative))

    def delete(self, path: str) -> list[str]:
        del self.tree.nodes[path]
        root, relative = self._place(path)
        return self.take(self.sources.gone(root, relative))

    def descriptions(self, name: str) -> list[str]:
        """The descriptions of a job's valid readings, the one that counts first."""
        return [definition.config.description for definition in self.said[name].definitions]

    def errors(self) -> list[str]:
        found = [text for priority, text in self.log if priority >= Priority.WARN]
        self.log.clear()
        return found

    def _place(self, path: str) -> tuple[str, str]:
        root = next(root for root in self.roots if path.startswith(f"{root}/"))
        return root, path.removeprefix(f"{root}/")


def described(files: dict[str, str], *directories: str) -> Scene:
    """Files whose texts are descriptions, read."""
    made = Scene(*directories)
    made.tree.nodes |= {path: f"description {text}\n" for path, text in files.items()}
    made.load()
    return made


# -- names ---------------------------------------------------------------------------------------------------


def test_a_job_is_called_by_its_path_without_the_suffix() -> None:
    made = Scene("/c")
    made.tree.nodes |= dict.fromkeys(
        ["/c/web.conf", "/c/net/web.conf", "/c/a.b.conf", "/c/x.conf.conf", "/c/dir.conf/inside.conf", "/c/.x.conf",
         "/c/with space.conf"], "task\n")
    made.load()
    assert set(made.said) == {"web", "net/web", "a.b", "x.conf", "dir.conf/inside", ".x", "with space"}
    assert made.said["net/web"].definitions[0].path == "/c/net/web.conf"
    assert made.said["net/web"].definitions[0].name == "net/web"


@pytest.mark.parametrize("name", [
    ".conf", "conf", "x.conf~", "x.conf.bak", "x.conf.dpkg-new", "x.CONF", "x.override", ".override", "sub/.conf",
    "sub/.override", "x.confx"])
def test_a_file_with_another_name_does_not_count(name: str) -> None:
    made = Scene("/c")
    made.tree.nodes[f"/c/{name}"] = "task\n"
    assert made.load() == []
    assert made.write(f"/c/{name}", "task\n") == []
    assert made.delete(f"/c/{name}") == []
    assert made.errors() == []


@pytest.mark.parametrize("name", [
    ".x", "x~", "x.bak", "x.BAK", "#x#", "x.swp", "x.swo", "x.swn", "RCS", "CVS", "CVS.adm", "SCCS", "BitKeeper",
    "{arch}", "_darcs", "x,v", "x.dpkg-old", "x.rpmsave", "x.rpmsave1", "x.rpmorig", "x.rpmnew", "x;0123abCD"])
def test_a_directory_with_such_a_name_is_not_read(name: str) -> None:
    made = Scene("/c")
    made.tree.nodes |= {f"/c/{name}/x.conf": "task\n", f"/c/sub/{name}/x.conf": "task\n", "/c/a.conf": "task\n"}
    assert made.load() == ["a"]
    assert made.take(made.sources.directory_came("/c", name)) == []
    assert made.take(made.sources.directory_came("/c", f"sub/{name}")) == []


@pytest.mark.parametrize("name", ["x", "x.conf", "bak", "CVSx", "x;0123abC", "x;0123abCDE", "#x", "x.dpkg"])
def test_a_directory_with_another_name_is_read(name: str) -> None:
    made = Scene("/c")
    made.tree.nodes[f"/c/{name}/x.conf"] = "task\n"
    assert made.load() == [f"{name}/x"]


def test_files_are_read_in_the_order_of_their_names_directory_after_directory() -> None:
    made = Scene("/b", "/a")
    made.tree.nodes |= dict.fromkeys(
        ["/a/a.conf", "/b/z.conf", "/b/a.conf", "/b/m/b.conf", "/b/m/a.conf", "/b/m.conf", "/b/a.override"], "task\n")
    assert made.load() == ["a", "m/a", "m/b", "m", "z", "a"]


def test_links_count_as_job_files_and_not_as_overrides() -> None:
    made = Scene("/c")
    made.tree.nodes |= {"/c/a.conf": "description a\n", "/c/a.override": "description over\n"}
    made.tree.linked |= {"/c/a.conf", "/c/a.override"}
    assert made.load() == ["a"]
    assert made.descriptions("a") == ["a"]
    assert made.take(made.sources.changed("/c", "a.override")) == []


def test_a_link_to_nothing_and_what_is_no_file_get_a_warning() -> None:
    made = Scene("/c")
    made.tree.nodes |= {"/c/a.conf": Kind.DANGLING, "/c/b.conf": Kind.OTHER, "/c/c": Kind.OTHER, "/c/d.conf": "task\n"}
    assert made.load() == ["d"]
    assert made.errors() == ["/c/a.conf: Dangling symbolic link is ignored", "/c/b.conf: Not a regular file, ignored"]


# -- precedence ----------------------------------------------------------------------------------------------


def test_the_first_directory_with_a_valid_file_defines_the_job() -> None:
    made = described({"/a/x.conf": "a", "/b/x.conf": "b", "/c/x.conf": "c"}, "/a", "/b", "/c")
    assert made.descriptions("x") == ["a", "b", "c"]
    assert made.delete("/a/x.conf") == ["x"]
    assert made.descriptions("x") == ["b", "c"]
    made.write("/b/x.conf", "bogus\n")
    assert made.descriptions("x") == ["c"]
    made.write("/a/x.conf", "description again\n")
    assert made.descriptions("x") == ["again", "c"]
    made.write("/b/x.conf", "description repaired\n")
    assert made.descriptions("x") == ["again", "repaired", "c"]


def test_a_reading_stays_the_same_until_its_file_is_read_again() -> None:
    made = described({"/a/x.conf": "a", "/b/x.conf": "b"}, "/a", "/b")
    first, second = made.said["x"].definitions
    made.write("/b/x.conf", "description b\n")
    assert made.said["x"].definitions[0] is first
    assert made.said["x"].definitions[1] is not second
    made.load()
    assert made.said["x"].definitions[0] is not first
    assert made.said["x"].definitions[0].config == first.config


def test_a_job_whose_last_file_goes_has_no_definition() -> None:
    made = described({"/a/x.conf": "a"}, "/a")
    assert made.delete("/a/x.conf") == ["x"]
    assert made.said["x"].definitions == ()
    assert made.log[-1] == (Priority.INFO, "Handling deletion of /a/x.conf")


# -- overrides -----------------------------------------------------------------------------------------------


def test_an_override_is_read_after_its_file() -> None:
    made = Scene("/c")
    made.tree.nodes |= {"/c/a.conf": "description conf\nauthor conf\nstart on x\nenv A=1\n",
                        "/c/a.override": "description over\nmanual\nenv B=2\n"}
    assert made.load() == ["a"]
    config = made.said["a"].definitions[0].config
    assert (config.description, config.author, config.start_on, config.env) == ("over", "conf", (), ("A=1", "B=2"))
    assert made.said["a"].definitions[0].path == "/c/a.conf"


def test_an_override_counts_for_its_own_and_later_directories() -> None:
    files = {"/a/x.conf": "a", "/b/x.conf": "b", "/c/x.conf": "c", "/b/x.override": "over-b", "/c/x.override": "over-c"}
    made = described(files, "/a", "/b", "/c")
    assert made.descriptions("x") == ["a", "over-b", "over-b"]
    assert made.delete("/b/x.override") == ["x"]
    assert made.descriptions("x") == ["a", "b", "over-c"]
    assert made.write("/a/x.override", "description over-a\n") == ["x"]
    assert made.descriptions("x") == ["over-a"] * 3


def test_an_override_that_another_one_hides_makes_its_files_be_read_in_vain() -> None:
    made = described({"/a/x.conf": "a", "/a/x.override": "over-a", "/b/x.conf": "b", "/b/x.override": "over-b"},
                     "/a", "/b")
    first, second = made.said["x"].definitions
    assert made.delete("/b/x.override") == ["x"]
    assert made.descriptions("x") == ["over-a", "over-a"]
    assert made.said["x"].definitions[0] is first
    assert made.said["x"].definitions[1] is not second


def test_an_override_waits_for_its_file() -> None:
    made = Scene("/a", "/b")
    assert made.write("/a/x.override", "description over\n") == []
    assert made.write("/b/x.conf", "description conf\nauthor conf\n") == ["x"]
    assert made.descriptions("x") == ["over"]
    assert made.delete("/b/x.conf") == ["x"]
    assert made.said["x"].definitions == ()
    assert made.delete("/a/x.override") == []
    assert made.write("/b/x.conf", "description conf\n") == ["x"]
    assert made.descriptions("x") == ["conf"]


def test_an_override_that_comes_changes_or_goes_is_a_new_reading() -> None:
    made = described({"/c/x.conf": "conf"}, "/c")
    seen = [made.said["x"].definitions[0]]
    for text in ("author me\n", "author me\n", "author you\n"):
        assert made.write("/c/x.override", text) == ["x"]
        seen.append(made.said["x"].definitions[0])
    assert made.delete("/c/x.override") == ["x"]
    seen.append(made.said["x"].definitions[0])
    assert len({id(definition) for definition in seen}) == 5
    assert [definition.config.author for definition in seen] == ["", "me", "me", "you", ""]


def test_an_invalid_override_is_reported_and_ignored_whole() -> None:
    made = described({"/a/x.conf": "conf", "/b/x.override": "later"}, "/a", "/b")
    made.write("/a/x.override", "description over\nbogus\nnice 99\n")
    assert made.descriptions("x") == ["conf"]
    assert made.errors() == ["/a/x.override:2: Unknown stanza"]
    made.delete("/a/x.conf")
    assert made.said["x"].definitions == ()


def test_an_override_beside_an_invalid_file_defines_no_job() -> None:
    made = Scene("/c")
    made.tree.nodes |= {"/c/x.conf": "bogus\n", "/c/x.override": "description over\n"}
    made.load()
    assert made.said["x"].definitions == ()
    assert made.errors() == ["/c/x.conf:1: Unknown stanza"]


def test_an_override_that_became_a_link_is_gone() -> None:
    made = described({"/c/x.conf": "conf", "/c/x.override": "over"}, "/c")
    made.tree.linked.add("/c/x.override")
    assert made.take(made.sources.changed("/c", "x.override")) == ["x"]
    assert made.descriptions("x") == ["conf"]


# -- reload --------------------------------------------------------------------------------------------------


def test_a_reload_reads_everything_anew_and_then_forgets_what_has_gone() -> None:
    made = described({"/a/x.conf": "x", "/a/gone.conf": "gone", "/b/gone.conf": "later", "/b/y.conf": "y"}, "/a", "/b")
    before = dict(made.said)
    made.tree.nodes |= {"/a/new.conf": "task\n"}
    del made.tree.nodes["/a/gone.conf"]
    made.log.clear()
    assert made.load() == ["new", "x", "gone", "gone", "y"]
    assert made.descriptions("gone") == ["later"]
    assert made.said["x"].definitions[0] is not before["x"].definitions[0]
    assert made.log == [
        (Priority.INFO, "Loading configuration from /a"), (Priority.INFO, "Handling deletion of /a/gone.conf"),
        (Priority.INFO, "Loading configuration from /b")]


def test_a_missing_directory_is_passed_over_until_a_reload_finds_it() -> None:
    made = described({"/b/x.conf": "b"}, "/a", "/b")
    assert made.log == [(Priority.INFO, "Loading configuration from /b")]
    made.tree.nodes["/a/x.conf"] = "description a\n"
    assert made.take(made.sources.rescan()) == []
    assert made.load() == ["x", "x"]
    assert made.descriptions("x") == ["a", "b"]
    del made.tree.nodes["/a/x.conf"]
    assert made.load() == ["x", "x"]
    assert made.descriptions("x") == ["b"]


def test_overrides_are_known_before_the_files_of_later_directories() -> None:
    made = described({"/b/x.conf": "b"}, "/a", "/b")
    made.tree.nodes["/a/x.override"] = "author me\n"
    made.load()
    assert made.said["x"].definitions[0].config.author == "me"


def test_what_cannot_be_listed_is_reported_and_keeps_its_jobs() -> None:
    made = described({"/c/x.conf": "x", "/c/sub/y.conf": "y", "/c/sub/y.override": "over", "/c/z.conf": "z"}, "/c")
    definition = made.said["sub/y"].definitions
    made.tree.unlisted["/c/sub"] = OSError(errno.EMFILE, "Too many open files")
    del made.tree.nodes["/c/z.conf"]
    assert made.load() == ["x", "z"]
    assert made.errors() == ["/c/sub: Error while loading configuration directory: Too many open files"]
    made.tree.unlisted.clear()
    made.said.clear()
    assert made.load() == ["sub/y", "x"]
    assert made.descriptions("sub/y") == ["over"]
    assert made.said["sub/y"].definitions != definition


def test_what_many_directories_hide_is_not_looked_for_in_each() -> None:
    costs = []
    for count in (50, 100):
        made = described({f"/c/{number}/x.conf": "x" for number in range(count)}, "/c")
        made.tree.unlisted |= {f"/c/{number}": OSError(errno.EACCES, "Permission denied") for number in range(count)}
        with counted_calls() as calls:
            assert made.load() == []
        assert made.sources.jobs() == {f"{number}/x" for number in range(count)}
        costs.append(calls.count)
    assert costs[1] < 2.2 * costs[0]


def test_a_job_directory_that_is_a_file_is_reported() -> None:
    made = Scene("/c")
    made.tree.unlisted["/c"] = NotADirectoryError(errno.ENOTDIR, "Not a directory")
    assert made.load() == []
    assert made.errors() == ["/c: Error while loading configuration directory: Not a directory"]


# -- errors --------------------------------------------------------------------------------------------------


def test_an_invalid_file_is_as_good_as_deleted() -> None:
    made = described({"/c/x.conf": "x"}, "/c")
    assert made.write("/c/x.conf", "task\nbogus\n") == ["x"]
    assert made.said["x"].definitions == ()
    assert (Priority.ERROR, "/c/x.conf:2: Unknown stanza") in made.log


def test_the_log_has_the_first_error_of_each_file_and_the_description_all() -> None:
    made = Scene("/c")
    made.tree.nodes |= {"/c/x.conf": "bogus\nnice 99\ntask x\n", "/c/y.conf": "task\nnice\ntask x\n"}
    made.load()
    assert made.errors() == ["/c/x.conf:1: Unknown stanza", "/c/y.conf:2: Expected token"]
    [described] = made.sources.describe()
    files = described["files"]
    assert isinstance(files, list)
    assert [[line.partition(" (")[0] for line in file["diagnostics"]] for file in files] == [
        ["/c/x.conf:1:1: Unknown stanza", "/c/x.conf:2:6: Illegal nice value, expected -20 to 19",
         "/c/x.conf:3:6: Unexpected token"],
        ["/c/y.conf:2:5: Expected token", "/c/y.conf:3:6: Unexpected token"]]


def test_an_unreadable_file_is_one_line_in_the_log_and_no_job() -> None:
    made = described({"/c/x.conf": "x"}, "/c")
    made.tree.nodes["/c/x.conf"] = PermissionError(errno.EACCES, "Permission denied")
    assert made.load() == ["x"]
    assert made.said["x"].definitions == ()
    assert made.errors() == ["/c/x.conf: Error while loading configuration file: Permission denied"]
    assert made.take(made.sources.rescan()) == []


def test_an_unreadable_override_is_ignored_and_reported() -> None:
    made = described({"/c/x.conf": "x", "/c/x.override": "over"}, "/c")
    made.tree.nodes["/c/x.override"] = PermissionError(errno.EACCES, "Permission denied")
    made.load()
    assert made.descriptions("x") == ["x"]
    assert made.errors() == ["/c/x.override: Error while loading configuration file: Permission denied"]


def test_a_file_that_vanishes_before_it_is_read_is_gone() -> None:
    made = described({"/c/x.conf": "x", "/c/x.override": "over"}, "/c")
    del made.tree.nodes["/c/x.override"]
    assert made.take(made.sources.changed("/c", "x.conf")) == ["x"]
    assert made.descriptions("x") == ["x"]
    del made.tree.nodes["/c/x.conf"]
    assert made.take(made.sources.changed("/c", "x.conf")) == ["x"]
    assert made.said["x"].definitions == ()
    assert made.take(made.sources.gone("/c", "x.conf")) == []
    assert [text for _, text in made.log].count("Handling deletion of /c/x.conf") == 1


def test_bytes_that_are_no_utf_8_survive() -> None:
    made = Scene("/c")
    made.tree.nodes["/c/x.conf"] = "env A=\udcff\udc80\n"
    made.load()
    assert made.said["x"].definitions[0].config.env[0].encode("utf-8", "surrogateescape") == b"A=\xff\x80"


# -- directories that come and go ----------------------------------------------------------------------------


def test_a_directory_that_comes_is_read_with_what_it_holds_once() -> None:
    made = described({"/b/net/web.conf": "b"}, "/a", "/b")
    made.tree.nodes |= {"/a/net/mail.conf": "description mail\n", "/a/net/mail.override": "author me\n",
                        "/a/net/deep/x.conf": "task\n", "/a/net/web.override": "author me\n"}
    made.tree.opened.clear()
    assert made.take(made.sources.directory_came("/a", "net")) == ["net/deep/x", "net/mail", "net/web"]
    assert made.tree.opened == ["/a/net/deep/x.conf", "/a/net/mail.conf", "/a/net/mail.override",
                                "/b/net/web.conf", "/a/net/web.override"]
    assert made.said["net/mail"].definitions[0].config.author == "me"
    assert made.said["net/web"].definitions[0].config.author == "me"


def test_the_jobs_of_a_directory_that_goes_go_one_by_one() -> None:
    made = described({"/a/net/web.conf": "a", "/a/net/x/mail.conf": "mail", "/a/network.conf": "stays",
                      "/a/net/dns.override": "over", "/b/net/dns.conf": "dns", "/b/net/web.conf": "b"}, "/a", "/b")
    assert made.descriptions("net/dns") == ["over"]
    assert made.take(made.sources.directory_went("/a", "net")) == ["net/web", "net/x/mail", "net/dns"]
    assert made.descriptions("net/web") == ["b"]
    assert made.descriptions("net/dns") == ["dns"]
    assert made.said["net/x/mail"].definitions == ()
    assert made.descriptions("network") == ["stays"]
    assert made.take(made.sources.directory_went("/a", "net")) == []


def test_a_job_directory_that_goes_keeps_its_jobs_until_the_next_reload() -> None:
    made = described({"/c/x.conf": "x"}, "/c")
    made.sources.root_went("/c")
    assert made.errors() == ["/c: Configuration directory deleted"]
    made.tree.nodes.clear()
    assert made.take(made.sources.rescan()) == []
    assert made.load() == ["x"]
    assert made.said["x"].definitions == ()


# -- looking for changes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("closely", [False, True])
def test_a_rescan_reads_only_what_has_changed(closely: bool) -> None:
    files = {"/a/x.conf": "x", "/a/y.conf": "y", "/a/z.conf": "z", "/b/y.conf": "y", "/b/v.conf": "v",
             "/a/y.override": "over"}
    made = described(files, "/a", "/b")
    before = dict(made.said)
    assert made.take(made.sources.rescan(closely=closely)) == []
    made.tree.nodes |= {"/a/x.conf": "description changed\n", "/a/new.conf": "task\n", "/a/v.override": "author me\n"}
    del made.tree.nodes["/a/z.conf"]
    assert made.take(made.sources.rescan(closely=closely)) == ["new", "x", "z", "v"]
    assert made.said["z"].definitions == ()
    assert made.said["v"].definitions[0].config.author == "me"
    assert made.said["y"] is before["y"]
    made.tree.nodes["/a/v.override"] = "author you\n"
    assert made.take(made.sources.rescan(closely=closely)) == ["v"]
    del made.tree.nodes["/a/v.override"]
    assert made.take(made.sources.rescan(closely=closely)) == ["v"]
    kept = made.said["y"].definitions[0]
    made.tree.nodes["/b/y.override"] = "description in vain\n"
    assert made.take(made.sources.rescan(closely=closely)) == ["y"]
    assert made.said["y"].definitions[0] is kept


def test_a_rescan_of_a_directory_that_has_gone_says_so_and_forgets_its_jobs() -> None:
    made = described({"/a/x.conf": "x"}, "/a")
    made.tree.nodes.clear()
    assert made.take(made.sources.rescan()) == ["x"]
    assert made.errors() == ["/a: Configuration directory deleted"]
    made.tree.nodes["/a/x.conf"] = "task\n"
    assert made.take(made.sources.rescan()) == []


def test_a_file_is_as_read_until_it_holds_something_else() -> None:
    made = described({"/c/x.conf": "x", "/c/x.override": "over", "/c/lone.override": "over"}, "/c")
    assert made.sources.is_as_read("/c", "x.conf")
    assert made.sources.is_as_read("/c", "x.override")
    for never_read in ("lone.override", "y.conf", "y.override", "y"):
        assert not made.sources.is_as_read("/c", never_read)
    made.tree.nodes["/c/x.conf"] = "task\n"
    del made.tree.nodes["/c/x.override"]
    assert not made.sources.is_as_read("/c", "x.conf")
    assert not made.sources.is_as_read("/c", "x.override")


# -- answers -------------------------------------------------------------------------------------------------


def test_the_description_has_every_file_and_what_is_wrong_with_it() -> None:
    made = Scene("/a", "/b")
    made.tree.nodes |= {"/a/x.conf": "task\ndescripton x\n", "/a/y.conf": "task\n", "/a/y.override": "nice\n",
                        "/a/z.conf": PermissionError(errno.EACCES, "Permission denied")}
    made.load()
    assert made.sources.describe() == [
        {"path": "/a", "files": [
            {"path": "/a/x.conf", "job": "x", "diagnostics": [
                ("/a/x.conf:2:1: Unknown stanza (found 'descripton', expected the name of a stanza; "
                 "did you mean 'description'?)")]},
            {"path": "/a/y.conf", "job": "y", "diagnostics": []},
            {"path": "/a/z.conf", "job": "z", "diagnostics": [
                "/a/z.conf: Error while loading configuration file: Permission denied"]},
            {"path": "/a/y.override", "job": "y", "diagnostics": [
                "/a/y.override:1:5: Expected token (found the end of the line, expected 'nice N')"]},
        ]},
        {"path": "/b", "files": []},
    ]


def test_nothing_is_read_before_it_is_asked_for() -> None:
    made = Scene("/a")
    made.tree.nodes |= {"/a/x.conf": "task\n", "/a/y.conf": "task\n"}
    told = made.sources.load()
    assert made.tree.opened == []
    assert next(told).name == "x"
    assert made.tree.opened == ["/a/x.conf"]


def test_job_directories_on_disk_may_be_links_and_end_in_a_slash(tmp_path: Path) -> None:
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "real" / "sub" / "x.conf").write_text("task\n")
    (tmp_path / "real" / "linked").symlink_to("sub")
    (tmp_path / "link").symlink_to("real")
    sources = JobSources([f"{tmp_path}/link/"], report=lambda *_: None)
    told = list(sources.load())
    assert [files.name for files in told] == ["sub/x"]
    assert told[0].definitions[0].path == f"{tmp_path}/link/sub/x.conf"
