"""The pure core: jobs, instances, events and what follows from them. No I/O of any kind."""
