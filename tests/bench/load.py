#!/usr/bin/env python3
"""A load for bench_latency.py, as a process of its own: events that arrive, and jobs that are made to write.

    load.py ADDRESS EVENTS PIPE...

So many events a second are sent to the daemon at ADDRESS, each of which it answers, and ten times a second a line is
written to each of the pipes. Both go on evenly until standard input is at its end; then a line of JSON tells what was
reached: the seconds, the events answered, the lines written to pipes, and the seconds on a processor. It is to
leave the processors to those that are measured: calls are bytes that are made once, answers are counted unread.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import sys
import time

from bench_daemon import GROUPS, Peer, emit

BATCH = 0.004  # seconds between two batches
TICKS = 10  # lines a second for each pipe
STRANGERS = 9  # of ten events nobody waits for so many


def events() -> itertools.cycle[bytearray]:
    """Calls that emit events, without end: most that no job waits for, and some that a group of jobs does.

    Those wait for more than that one event, so they stay as they are; but the first such event is held by them, and
    to wait for its end would be in vain.
    """
    return itertools.cycle([
        emit(f"stranger-{number % 7}", f"NUMBER={number}") if number % (STRANGERS + 1) else
        emit(f"net-{number // (STRANGERS + 1)}", f"NUMBER={number}", wait=False)
        for number in range(GROUPS * (STRANGERS + 1))])


def main(address: str, rate: int, paths: list[str]) -> None:
    peer = Peer(address)
    # For reading as well: the pipe is there then before anybody reads it, and whoever does not read stops nothing.
    pipes = [os.open(path, os.O_RDWR | os.O_NONBLOCK) for path in paths]
    calls = events()
    sent = answered = ticks = 0
    began = time.monotonic()
    while not select.select([sys.stdin], [], [], BATCH)[0]:
        passed = time.monotonic() - began
        due = int(passed * rate)
        peer.send(*itertools.islice(calls, due - sent))
        sent = due
        while ticks < int(passed * TICKS * len(pipes)):
            os.write(pipes[ticks % len(pipes)], b"\n")
            ticks += 1
        answered += peer.count_replies()
    print(json.dumps({"seconds": passed, "answered": answered, "ticks": ticks, "used": time.process_time()}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
