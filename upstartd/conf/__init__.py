"""The job language: from files on disk to definitions of jobs."""
