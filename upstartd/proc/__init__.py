"""Processes: starting them, following them, and the one seam to the kernel."""
