"""Ends RunPod's SDK so that no job is lost that arrives meanwhile."""

import asyncio
import signal
from collections.abc import Callable

IDLE_CHECK_INTERVAL_S = 0.05
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopping:
    """Lets the SDK finish its jobs, and then ends it.

    Told to stop by a signal, the SDK ends what runs jobs as soon as none is left, while its poll for more stays open: a
    job that comes with that poll is taken and never run (findings/runpod_job_lost_at_stop.sh). Therefore the signals
    come here, and the SDK is not told. It runs whatever its open poll still brings, but polls no more, because its
    concurrency changes. When no job is left, the task that polls is cancelled. That closes the poll's connection, so
    that the next job stays at the platform, and ends the SDK with asyncio.CancelledError, without the up to 90 s that
    it would wait for its polls.

    Args:
        max_jobs: how many jobs may run at the same time.
        count_jobs: counts the jobs that the SDK has taken and whose results are not delivered yet.

    Attributes:
        status: what the process should exit with.
    """

    def __init__(self, max_jobs: int, count_jobs: Callable[[], int]) -> None:
        self._max_jobs = max_jobs
        self._count_jobs = count_jobs
        self._polling: asyncio.Task[object] | None = None
        self._ending: asyncio.Task[None] | None = None
        self.status = 0

    def concurrency(self, current: int) -> int:
        """Return how many jobs the SDK may run: its `concurrency_modifier`, called before each poll by what polls.

        A constant: whenever the number changes, the SDK takes no job until all running ones are done
        (findings/runpod_concurrency_change_waits.sh). Here that is wanted at the end.
        """
        if self._polling is None:
            self._polling = asyncio.current_task()
            for name in SIGNALS:  # in place of the SDK's own handlers, which only let it end
                asyncio.get_running_loop().add_signal_handler(name, self.begin)
        return current + 1 if self._ending else self._max_jobs

    def begin(self, status: int = 0) -> None:
        """End the SDK once no job is left; does nothing if the SDK runs no jobs of a platform.

        Args:
            status: what the process should exit with.
        """
        self.status = self.status or status
        if self._polling and not self._ending:
            self._ending = asyncio.create_task(self._end_when_idle(self._polling))

    async def _end_when_idle(self, polling: asyncio.Task[object]) -> None:
        while not polling.done():  # cancelled in the moment in which jobs arrive, it goes on, and they are run
            if not self._count_jobs():
                polling.cancel()
            await asyncio.sleep(IDLE_CHECK_INTERVAL_S)
