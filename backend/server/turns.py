# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue of waiting jobs: clients take turns, and each client's jobs stay in order."""

from __future__ import annotations

from collections import deque


class Turns:
    """Round robin over the waiting clients, so that one with fifty jobs does not block others."""

    def __init__(self) -> None:
        # The order of the keys is the order of the turns: a client that was served goes to the end.
        self._waiting: dict[str, deque[str]] = {}

    def __len__(self) -> int:
        return sum(len(jobs) for jobs in self._waiting.values())

    def add(self, client: str, job: str) -> None:
        self._waiting.setdefault(client, deque()).append(job)

    def remove(self, job: str) -> bool:
        """Take a job out of the queue; False when it is not in it."""
        for client, jobs in self._waiting.items():
            if job in jobs:
                jobs.remove(job)
                if not jobs:
                    del self._waiting[client]
                return True
        return False

    def take(self) -> str | None:
        """Take out the next job; None when the queue is empty."""
        if not self._waiting:
            return None
        client = next(iter(self._waiting))
        jobs = self._waiting.pop(client)
        job = jobs.popleft()
        if jobs:
            self._waiting[client] = jobs
        return job

    def order(self) -> list[str]:
        """All waiting jobs in the order in which they would run if no others came."""
        queues = [list(jobs) for jobs in self._waiting.values()]
        longest = max((len(jobs) for jobs in queues), default=0)
        return [jobs[turn] for turn in range(longest) for jobs in queues if turn < len(jobs)]
