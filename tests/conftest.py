"""No test reaches a daemon or a message bus of the machine that it runs on, by way of an inherited variable."""

from __future__ import annotations

import os

for _name in ("UPSTART_SESSION", "UPSTART_JOB", "UPSTART_INSTANCE", "UPSTART_USE_SESSION_BUS", "UPSTART_CONFDIR",
              "UPSTART_LOGDIR"):
    os.environ.pop(_name, None)
for _name in ("DBUS_SYSTEM_BUS_ADDRESS", "DBUS_SESSION_BUS_ADDRESS"):
    os.environ[_name] = "unix:path=/nonexistent/bus"
