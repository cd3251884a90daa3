"""What holds for every test: it reaches nothing of the machine that it runs on, and does not fail for being slow."""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

# No test talks to a daemon or a message bus of this machine by way of a variable that it has inherited.
for _name in ("UPSTART_SESSION", "UPSTART_JOB", "UPSTART_INSTANCE", "UPSTART_USE_SESSION_BUS", "UPSTART_CONFDIR",
              "UPSTART_LOGDIR"):
    os.environ.pop(_name, None)
for _name in ("DBUS_SYSTEM_BUS_ADDRESS", "DBUS_SESSION_BUS_ADDRESS"):
    os.environ[_name] = "unix:path=/nonexistent/bus"

# Whoever runs the tests in the background may have them ignore signals, and all that they start would do so as well.
for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

# Times say something of the machine; on a fresh checkout hypothesis also has its own tables to make first.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")
