"""The command-line clients of upstartd: thin callers over D-Bus."""
