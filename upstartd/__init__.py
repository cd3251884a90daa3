"""upstartd: the Upstart event-based init system as a D-Bus service."""

__version__ = "0.1.0"

# What the `version` property and the first line of `--version` say. It names what we are
# compatible with, and some clients compare it, so it does not follow our own releases.
COMPATIBLE_VERSION = "init (upstart 1.13.2)"
