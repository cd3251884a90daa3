"""Bytes that are no job file, and job files with something wrong, for the parser.

UPSTARTD_FUZZ_ROUNDS says how many of each kind are tried, in place of a number that takes a few seconds.
"""

from __future__ import annotations

import os
import random

import pytest

from upstartd.conf.model import JobConfig
from upstartd.conf.parser import MOST_DIAGNOSTICS, parse
from upstartd.conf.stanzas import STANZAS

ROUNDS = int(os.environ.get("UPSTARTD_FUZZ_ROUNDS", "1500"))
SPECIAL = [*b"\0\t\n\r #\"'\\()=-+09aA\x0b\x0c\x7f\x80\xff", *b"script"]
SERVICE = rb"""description "An example \"service\""
author 'Some One <one@example.org>'

start on (filesystem and net-up IFACE!=lo) # remark
stop on runlevel [!2345]

respawn
respawn limit 10 5
umask 022
env CONFIG=/etc/example
export CONFIG

pre-start script
    mkdir -p /run/example

	test -e it's || exit 1
end script

exec /usr/bin/example --config $CONFIG \
    --verbose 'two words'
"""
TASK = rb"""task
start on ((a or b) and
   (c X=1 Y=$Z # why

    or d)) or e
emits one two \
  three
instance $NAME
usage 'NAME=x - the name'
script
  cat <<EOF
    $NAME
  EOF
end script
manual
normal exit 0 1 TERM SIGHUP
"""
EVERYTHING_ELSE = rb"""expect daemon
kill timeout 20
kill signal INT
reload signal USR2
console output
nice -5
oom score never
oom -17
limit nofile 1024 unlimited
limit core 0 0
chroot /srv
chdir /
setuid nobody
setgid nogroup
apparmor load /etc/apparmor.d/x
apparmor switch x
cgroup memory $UPSTART_CGROUP limit_in_bytes 52428800
debug
post-start exec true
pre-stop exec true
post-stop script
end script # done
"""
SEEDS = [SERVICE, TASK, EVERYTHING_ELSE, "".join(f"{stanza.usage}\n" for stanza in STANZAS).encode()]


def assert_sound(data: bytes) -> None:
    """The parser makes a definition or errors of it, alone and as an override, and the errors have places."""
    text = data.decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    for parsed in (parse(text, "job.conf"), parse(text, "job.override", JobConfig(env=("A=1",)))):
        assert (parsed.config is None) == bool(parsed.diagnostics)
        assert len(parsed.diagnostics) <= MOST_DIAGNOSTICS
        for diagnostic in parsed.diagnostics:
            assert 1 <= diagnostic.line <= len(lines)
            assert 1 <= diagnostic.column <= len(lines[diagnostic.line - 1]) + 1
            # What goes into a log or a terminal is one line, without control characters.
            assert str(diagnostic).isprintable()
            assert diagnostic.in_full.isprintable()


def mutated(data: bytes, choice: random.Random) -> bytes:
    """The bytes with a few of them changed, taken out, put in, doubled, or moved."""
    changed = bytearray(data)
    for _ in range(choice.randint(1, 6)):
        begin = choice.randrange(len(changed) + 1)
        end = min(len(changed), begin + choice.choice([0, 1, 1, 2, 5, 30]))
        piece = changed[begin:end]
        what = choice.randrange(5)
        if what == 0:
            changed[begin:end] = bytes(choice.choices(SPECIAL, k=len(piece) or 1))
        elif what == 1:
            del changed[begin:end]
        elif what == 2:
            changed[begin:begin] = bytes([choice.choice(SPECIAL)]) * choice.choice([1, 1, 2, 100])
        elif what == 3:
            changed[begin:begin] = piece * choice.choice([1, 2, 50])
        else:
            del changed[begin:end]
            place = choice.randrange(len(changed) + 1)
            changed[place:place] = piece
    return bytes(changed)


def test_the_seeds_themselves_are_sound() -> None:
    for data in SEEDS:
        assert_sound(data)
    assert [parse(data.decode(), "job.conf").diagnostics for data in SEEDS[:3]] == [(), (), ()]


@pytest.mark.parametrize("seed", range(4))
def test_any_bytes_are_taken(seed: int) -> None:
    choice = random.Random(seed)
    for _ in range(ROUNDS // 4):
        size = choice.choice([1, 5, 50, 500])
        assert_sound(choice.randbytes(size))
        assert_sound(bytes(choice.choices(SPECIAL, k=size)))


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_any_mistake_is_taken(seed: int) -> None:
    choice = random.Random(seed)
    for _ in range(ROUNDS // 4):
        data = mutated(SEEDS[seed], choice)
        assert_sound(data)
        assert_sound(data[:choice.randrange(len(data) + 1)])
