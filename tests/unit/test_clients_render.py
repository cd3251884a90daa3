"""The text of status and show-config, byte for byte (clients specification, section 2; configuration, section 10)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upstartd_clients.conditions import event_of, events, operators
from upstartd_clients.errors import BadAnswer
from upstartd_clients.interface import Condition, Conditions, Status
from upstartd_clients.render import bracketed, config_lines, status_lines, stopped

AND, OR = ["/AND"], ["/OR"]


def status(instance: str, goal: str, state: str, *processes: tuple[str, int]) -> list[str]:
    return list(status_lines(Status("web", instance, goal, state, list(processes))))


@pytest.mark.parametrize(("given_status", "lines"), [
    (("", "start", "running"), ["web start/running"]),
    (("", "start", "running", ("main", 42)), ["web start/running, process 42"]),
    (("tty1", "start", "running", ("main", 42)), ["web (tty1) start/running, process 42"]),
    (("", "start", "pre-start", ("pre-start", 7)), ["web start/pre-start, process 7"]),
    (("", "stop", "post-stop", ("post-stop", 7)), ["web stop/post-stop, process 7"]),
    (("", "start", "post-start", ("post-start", 7)), ["web start/post-start, (post-start) process 7"]),
    (("", "start", "security", ("security", 7)), ["web start/security, (security) process 7"]),
    (("", "start", "post-start", ("main", 42), ("post-start", 43)),
     ["web start/post-start, process 42", "\tpost-start process 43"]),
    (("a b", "stop", "pre-stop", ("main", 1), ("post-start", 2), ("pre-stop", 3)),
     ["web (a b) stop/pre-stop, process 1", "\tpost-start process 2", "\tpre-stop process 3"]),
])
def test_a_status_is_a_line_and_one_more_for_each_further_process(
        given_status: tuple[str, str, str, *tuple[tuple[str, int], ...]], lines: list[str]) -> None:
    assert status(*given_status) == lines


def test_a_job_without_an_instance_is_stopped_and_waiting() -> None:
    assert stopped("net/dhcp") == "net/dhcp stop/waiting"


@pytest.mark.parametrize(("condition", "text"), [
    ([["startup"]], "startup"),
    ([["runlevel", "[!2345]"]], "runlevel [!2345]"),
    ([["greeting", "good day", "NAME!=nobody", "PLACE=the hall"]], "greeting good day NAME!=nobody PLACE=the hall"),
    ([["a"], ["b"], AND], "(a and b)"),
    ([["a"], ["b"], AND, ["c"], AND, ["d"], OR], "(((a and b) and c) or d)"),
    ([["a"], ["b"], ["c"], OR, AND, ["d"], OR], "((a and (b or c)) or d)"),
    ([["a"], ["b"], ["c"], ["d"], AND, OR, AND], "(a and (b or (c and d)))"),
    ([["a"], ["b"], OR, ["c"], ["d"], OR, AND], "((a or b) and (c or d))"),
    ([["started", "db"], ["net-up", "IFACE=eth0"], ["disk"], AND, OR], "(started db or (net-up IFACE=eth0 and disk))"),
    ([["/AND", "x"]], "/AND x"),  # an event of that name: an operator has no arguments
    ([AND], "/AND"),  # as here, where there is nothing that it could join
    ([AND, ["/OR", "x"], OR], "(/AND or /OR x)"),
    ([["a"], OR, AND, ["b"], OR], "((a and /OR) or b)"),
    ([], ""),
])
def test_a_condition_has_brackets_around_each_operator(condition: Condition, text: str) -> None:
    assert bracketed(condition) == text


@pytest.mark.parametrize("condition", [[["a"], AND], [["a"], ["b"]], [["a"], ["b"], ["c"], OR], [[]]])
def test_what_is_no_condition_is_refused(condition: Condition) -> None:
    with pytest.raises(BadAnswer, match="cannot understand Upstart"):
        bracketed(condition)


@pytest.mark.parametrize("nested_to_the", ["left", "right"])
def test_a_condition_may_be_of_any_depth(nested_to_the: str) -> None:
    leaves: Condition = [[str(number)] for number in range(5000)]
    if nested_to_the == "left":
        condition = [leaves[0]] + [item for event in leaves[1:] for item in (event, OR)]
        assert bracketed(condition).startswith("(" * 4999 + "0 or 1) or 2)")
    else:
        condition = leaves + [OR] * 4999
        assert bracketed(condition).startswith("(0 or (1 or (2 or ")
        assert bracketed(condition).endswith("4999" + ")" * 4999)


# A tree as nested tuples, to compare with; leaves are texts.
TREES = st.recursive(st.sampled_from(["a", "b c", "d E=1"]),
                     lambda inner: st.tuples(inner, st.sampled_from(["and", "or"]), inner), max_leaves=12)


def written(tree: object) -> str:
    if isinstance(tree, tuple):
        return f"({written(tree[0])} {tree[1]} {written(tree[2])})"
    return str(tree)


def postfix(tree: object) -> Condition:
    if isinstance(tree, tuple):
        return [*postfix(tree[0]), *postfix(tree[2]), [f"/{tree[1].upper()}"]]
    return [str(tree).split()]


@given(TREES)
def test_any_condition_is_written_as_its_tree(tree: object) -> None:
    assert bracketed(postfix(tree)) == written(tree)


@given(st.recursive(st.sampled_from(["/AND", "/OR", "a"]),
                    lambda inner: st.tuples(inner, st.sampled_from(["and", "or"]), inner), max_leaves=12))
def test_events_may_have_the_names_of_operators(tree: object) -> None:
    condition = postfix(tree)
    assert len(events(condition)) == len(operators(condition)) + 1 == (len(condition) + 1) // 2
    bracketed(condition)


@given(TREES)
def test_each_operator_knows_its_operands(tree: object) -> None:
    condition = postfix(tree)
    for operator in operators(condition):
        left, right = condition[operator.left : operator.right], condition[operator.right : operator.at]
        # Both sides are conditions themselves.
        assert f"({bracketed(left)} {operator.word} {bracketed(right)})" in bracketed(condition)


@pytest.mark.parametrize(("item", "job", "others"), [
    (["started", "db"], "db", []),
    (["started"], None, []),
    (["stopped", "JOB=x", "CODE=1"], "x", ["CODE=1"]),
    (["starting", "KIND=z", "JOB=y"], "y", ["KIND=z"]),
    (["starting", "KIND=z", "y"], None, ["KIND=z", "y"]),
    (["stopped", "web", "main", "RESULT=ok"], "web", ["main", "RESULT=ok"]),
    (["stopping", "web", "JOB=other"], "web", ["JOB=other"]),
    (["stopping", "JOB=", "JOB=b"], "", ["JOB=b"]),
    (["starting", "JOB!=web"], None, ["JOB!=web"]),
    (["net-up", "eth0"], None, ["eth0"]),
    (["net-up", "JOB=web"], None, ["JOB=web"]),
])
def test_a_job_event_is_about_the_job_it_names_first(item: list[str], job: str | None, others: list[str]) -> None:
    assert event_of(item) == (item[0], job, others)


WEB = Conditions("web", ["web-ready", "web-log-*"],
                 [["started", "db"], ["net-up", "IFACE=eth0"], ["disk"], AND, OR],
                 [["runlevel", "[!2345]"], ["stopping", "JOB="], OR])


def test_show_config_shows_emits_and_both_conditions() -> None:
    assert list(config_lines(WEB, enumerate_events=False)) == [
        "web",
        "  emits web-ready",
        "  emits web-log-*",
        "  start on (started db or (net-up IFACE=eth0 and disk))",
        "  stop on (runlevel [!2345] or stopping JOB=)",
    ]


def test_show_config_enumerated_has_a_line_for_each_event() -> None:
    assert list(config_lines(WEB, enumerate_events=True)) == [
        "web",
        "  emits web-ready",
        "  emits web-log-*",
        "  start on started (job: db, env:)",
        "  start on net-up (job:, env: IFACE=eth0)",
        "  start on disk (job:, env:)",
        "  stop on runlevel (job:, env: [!2345])",
        "  stop on stopping (job: , env:)",
    ]


@pytest.mark.parametrize("enumerate_events", [False, True])
def test_show_config_of_a_job_without_conditions_is_its_name(enumerate_events: bool) -> None:
    assert list(config_lines(Conditions("plain", [], [], []), enumerate_events=enumerate_events)) == ["plain"]
