"""The daemon's state as text: what GetState shows, and what a re-execution hands on."""
