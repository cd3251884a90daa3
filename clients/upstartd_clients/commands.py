"""The commands of initctl: their names, what their help says, which options they take, what carries them out.

Nothing but data; links such as `start` are these commands too. Source: clients specification, sections 1 and 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from upstartd_clients import actions
from upstartd_clients.options import COMMON_OPTIONS, Option

if TYPE_CHECKING:
    from collections.abc import Callable

    from upstartd_clients.actions import Request


class Command(NamedTuple):
    """One command. `action` gives its exit code, or None for success; it is None for `help`, which asks nobody."""

    name: str
    arguments: str
    synopsis: str
    description: str
    action: Callable[[Request], int | None] | None
    options: tuple[Option, ...] = ()


GLOBAL_OPTIONS = (
    Option("user", help="talk to the user's own daemon, at the address in UPSTART_SESSION"),
    Option("session", help="talk to the daemon on the session bus"),
    Option("system", help="talk to the daemon on the system bus"),
    Option("dest", value="NAME", help="the daemon's name on that bus, instead of com.ubuntu.Upstart"),
    *COMMON_OPTIONS,
)

_NO_WAIT = Option("no-wait", "n", help="do not wait until it is done")
_JSON = Option("json", help="print the answer as JSON")
_GLOBAL = Option("global", "g", help="use the table for all jobs, even when called by a job")

_NAMING = ("JOB is the job's name. A job with an `instance' stanza needs the variables that its instances are named "
           "by, each as KEY=VALUE.")
_INSIDE = "Called by a job's own process without arguments, it means that very instance, and never waits."
_WHOSE = ("Without --global, a process of a job means the environment of its own instance. Everybody else means the "
          "table that all jobs are started with.")
_REACH = "A change to that table reaches the instances that exist as well; processes started from then on see it."
_ON_DISK = "It works where no daemon runs, too."

GROUPS: dict[str, tuple[Command, ...]] = {
    "Job": (
        Command("start", "JOB [KEY=VALUE]...", "start a job",
                f"{_NAMING} Further variables are given to its processes. The command waits until a service runs, or a "
                f"task has ended, and then prints the status. {_INSIDE}",
                actions.start, (_NO_WAIT,)),
        Command("stop", "JOB [KEY=VALUE]...", "stop a job",
                f"{_NAMING} Further variables are given to pre-stop and post-stop. The command waits until the "
                f"instance is at rest, and then prints the status. {_INSIDE}",
                actions.stop, (_NO_WAIT,)),
        Command("restart", "JOB [KEY=VALUE]...", "restart a job that runs",
                f"{_NAMING} The instance keeps the definition that it was started with; to have a changed job file "
                f"count, stop and start it. {_INSIDE}",
                actions.restart, (_NO_WAIT,)),
        Command("reload", "JOB [KEY=VALUE]...", "have a job read its configuration again",
                f"{_NAMING} The main process gets the job's reload signal, which is HUP if its file says no other.",
                actions.reload),
        Command("status", "JOB [KEY=VALUE]...", "show the state of a job",
                f"{_NAMING} The first line has the goal, the state and the first process, each further line another "
                f"process. The exit code is 0 for a job at rest too.",
                actions.status, (_JSON,)),
        Command("list", "", "show the state of all jobs",
                "A block as of `status' for each instance, and a line for each job without any, sorted by name.",
                actions.list_jobs,
                (_JSON, Option("long", "l", help="also show since when each process exists, and what the job is for"))),
    ),
    "Event": (
        Command("emit", "EVENT [KEY=VALUE]...", "emit an event",
                "The event has these variables, in this order. The command waits until all jobs that it starts run "
                "(tasks: have ended) and all that it stops are at rest, and fails if one of them fails.",
                actions.emit, (_NO_WAIT,)),
    ),
    "Environment": (
        Command("get-env", "VARIABLE", "show a variable of the job environment", _WHOSE, actions.get_env, (_GLOBAL,)),
        Command("list-env", "", "show all variables of the job environment", _WHOSE, actions.list_env,
                (_GLOBAL, _JSON)),
        Command("reset-env", "", "undo all changes to the job environment",
                f"{_WHOSE} An instance goes back to what its job file says, so that what it was started with is lost.",
                actions.reset_env, (_GLOBAL,)),
        Command("set-env", "VARIABLE[=VALUE]...", "set variables of the job environment",
                f"Without a value, a variable is set to nothing. {_WHOSE} {_REACH}",
                actions.set_env, (_GLOBAL, Option("retain", "r", help="leave what is set already as it is"))),
        Command("unset-env", "VARIABLE...", "remove variables from the job environment",
                f"Variables that are not set do not matter. {_WHOSE} {_REACH}",
                actions.unset_env, (_GLOBAL,)),
    ),
    "Other": (
        Command("reload-configuration", "", "read all job files again",
                "The daemon notices changed files by itself; this is for where it cannot, as with links.",
                actions.reload_configuration),
        Command("version", "", "show the version of the daemon",
                "To see the version of this program, use --version.", actions.version, (_JSON,)),
        Command("log-priority", "[PRIORITY]", "show or set how much the daemon logs",
                "PRIORITY is one of debug, info, message, warn, error and fatal: diagnostics of that kind and those "
                "after it are written.",
                actions.log_priority),
        Command("show-config", "[JOB]", "show what starts and stops jobs, and what they emit",
                "Of all jobs, or of JOB only.", actions.show_config,
                (Option("enumerate", "e", help="show each event of the conditions on a line of its own"), _JSON)),
        Command("check-config", "[JOB]", "find conditions that nothing can satisfy",
                "Looks in the conditions of all jobs, or of JOB only, for events that no job says it emits, and for "
                "jobs that do not exist. The exit code is 1 if any are found.",
                actions.check_config,
                (Option("ignore-events", "i", value="EVENTS", help="events to take as known, separated by commas"),
                 Option("warn", "w", help="complain also where the other side of an `or' can be satisfied"), _JSON)),
        Command("usage", "JOB", "show how a job is to be started", "Prints the job's `usage' stanza.", actions.usage,
                (_JSON,)),
        Command("enable", "JOB", "have events start a job",
                f"Takes `manual' out of the job's override. {_ON_DISK}", actions.enable),
        Command("disable", "JOB", "have no event start a job",
                f"Puts `manual' into the job's override, and leaves what else that says as it is. The job can still be "
                f"started by hand, and one that runs is not stopped. {_ON_DISK}", actions.disable),
        Command("is-enabled", "JOB", "show whether events start a job",
                f"Prints `enabled' or `disabled'. The exit code is 0 if events start it, else 1. {_ON_DISK}",
                actions.is_enabled),
        Command("list-sessions", "", "show the user sessions that run",
                "A line for each daemon of a user's own: its process, and the address for UPSTART_SESSION. With "
                "--verbose also what dead ones have left behind.",
                actions.list_sessions, (_JSON,)),
        Command("notify-disk-writeable", "", "tell the daemon that its logs can be written",
                "Output that jobs have written since the system booted is then put into the log files.",
                actions.notify_disk_writeable),
        Command("notify-dbus-address", "ADDRESS", "tell a user's own daemon where its bus is",
                "The daemon connects to the bus at that address and serves there too.", actions.notify_dbus_address),
        Command("notify-cgroup-manager-address", "ADDRESS", "tell the daemon where the cgroup manager is",
                "Accepted for compatibility: no cgroup manager is used.", actions.notify_cgroup_manager_address),
        Command("help", "", "list the commands", "Lists all commands of initctl.", None),
    ),
}
COMMANDS = {command.name: command for group in GROUPS.values() for command in group}
