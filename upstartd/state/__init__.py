"""The daemon's state as text: what GetState shows."""
