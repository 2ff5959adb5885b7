"""The same three jobs for each job queue: nothing, a wait of 20 ms, and a stamp of its own start.

Each module is also a program that enqueues: `python -m bench.peers.X JOB COUNT`.
"""
