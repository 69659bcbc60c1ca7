"""The HTTP side of the platform."""

import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from runpod_stand_in.ledger import Arrival, JobRecord, Ledger, json_object

Handler = Callable[[web.Request], Awaitable[web.Response]]

RUN_LIMIT_BYTES = 10 * 2**20
RUNSYNC_LIMIT_BYTES = 20 * 2**20


class Routes:
    """HTTP in front of a ledger, everything under `/v2/<endpoint_id>`."""

    def __init__(self, ledger: Ledger, api_key: str, poll_hold_s: float, runsync_hold_s: float) -> None:
        self._ledger = ledger
        self._api_key = api_key
        self._poll_hold_s = poll_hold_s
        self._runsync_hold_s = runsync_hold_s

    def application(self, endpoint_id: str) -> web.Application:
        root = f"/v2/{endpoint_id}"
        client: dict[str, Handler] = {
            "POST /run": self._run,
            "POST /runsync": self._runsync,
            "GET /status/{job}": self._status,
            "GET /stream/{job}": self._stream,
            "POST /cancel/{job}": self._cancel,
            "GET /health": self._health,
            "POST /purge-queue": self._purge_queue,
        }
        worker: dict[str, Handler] = {
            "GET /job-take/{worker}": self._job_take,
            "GET /job-take-batch/{worker}": self._job_take,
            "GET /job-stop/{worker}": self._job_stop,
            "POST /job-done/{worker}/{job}": self._job_post,
            "POST /job-stream/{worker}/{job}": self._job_post,
            "GET /ping/{worker}": self._ping,
        }
        application = web.Application(client_max_size=RUNSYNC_LIMIT_BYTES)
        for route, handler in ({name: self._authorised(made) for name, made in client.items()} | worker).items():
            method, path = route.split()
            application.router.add_route(method, root + path, handler)
        return application

    def _authorised(self, handler: Handler) -> Handler:
        async def checked(request: web.Request) -> web.Response:
            if request.headers.get("Authorization", "").removeprefix("Bearer ") != self._api_key:
                return web.json_response({"error": "unauthorized"}, status=401)
            return await handler(request)

        return checked

    def _job(self, request: web.Request) -> JobRecord:
        try:
            return self._ledger.jobs[request.match_info["job"]]
        except KeyError:
            raise web.HTTPNotFound(text='{"error": "job not found"}', content_type="application/json") from None

    async def _submitted(self, request: web.Request, limit_bytes: int, prefix: str = "") -> JobRecord:
        raw = await request.read()
        if len(raw) > limit_bytes:
            raise web.HTTPRequestEntityTooLarge(limit_bytes, len(raw))
        body = json_object(raw)
        if body is None or "input" not in body:
            raise web.HTTPBadRequest(text='{"error": "input is required"}', content_type="application/json")
        return self._ledger.submit(body["input"], body.get("policy") or {}, prefix)

    async def _run(self, request: web.Request) -> web.Response:
        return web.json_response((await self._submitted(request, RUN_LIMIT_BYTES)).view())

    async def _runsync(self, request: web.Request) -> web.Response:
        job = await self._submitted(request, RUNSYNC_LIMIT_BYTES, prefix="sync-")
        wait_ms = request.query.get("wait")
        hold_s = min(max(int(wait_ms), 1_000), 300_000) / 1000 if wait_ms else self._runsync_hold_s
        await self._ledger.hold(lambda: job.is_over, hold_s)
        return web.json_response(job.view())

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response(self._job(request).view())

    async def _stream(self, request: web.Request) -> web.Response:
        job = self._job(request)
        fresh = job.stream[job.streamed :]
        with self._ledger.change():
            job.streamed = len(job.stream)
        return web.json_response({"status": job.status, "stream": [{"output": output} for output in fresh]})

    async def _cancel(self, request: web.Request) -> web.Response:
        job = self._job(request)
        self._ledger.end(job, "CANCELLED")
        return web.json_response({"id": job.id, "status": job.status})

    async def _purge_queue(self, _: web.Request) -> web.Response:
        waiting = self._ledger.waiting()
        for job in waiting:
            self._ledger.end(job, "CANCELLED")
        return web.json_response({"removed": len(waiting), "status": "completed"})

    async def _health(self, _: web.Request) -> web.Response:
        statuses = [job.status for job in self._ledger.jobs.values()]
        workers = [worker for worker in self._ledger.workers.values() if not worker.retired]
        busy = {job.worker_id for job in self._ledger.jobs.values() if job.status == "IN_PROGRESS"}
        running = sum(worker.id in busy for worker in workers)
        idle = sum(worker.polling > 0 and worker.id not in busy for worker in workers)
        jobs = {
            "completed": statuses.count("COMPLETED"),
            "failed": statuses.count("FAILED") + statuses.count("TIMED_OUT"),
            "inProgress": statuses.count("IN_PROGRESS"),
            "inQueue": statuses.count("IN_QUEUE"),
            "retried": 0,
        }
        unhealthy = sum(worker.unhealthy is not None for worker in workers)
        standing = {"idle": idle, "running": running, "ready": idle + running, "unhealthy": unhealthy}
        return web.json_response({"jobs": jobs, "workers": {**standing, "initializing": 0, "throttled": 0}})

    async def _job_take(self, request: web.Request) -> web.Response:
        worker = self._ledger.worker(request.match_info["worker"])
        batch_size = request.query.get("batch_size")
        with self._ledger.change():
            worker.takes += 1
            worker.polling += 1
        try:
            await self._ledger.hold(lambda: worker.retired or self._ledger.waiting(), self._poll_hold_s)
            taken = self._ledger.take(worker, int(batch_size or 1))
        finally:
            with self._ledger.change():
                worker.polling -= 1
        if not taken:
            return web.Response(status=204)
        jobs = [{"id": job.id, "input": job.input} for job in taken]
        return web.json_response(jobs if batch_size else jobs[0])

    async def _job_stop(self, request: web.Request) -> web.Response:
        worker = self._ledger.worker(request.match_info["worker"])
        await self._ledger.hold(lambda: worker.retired or worker.stops, self._poll_hold_s)
        with self._ledger.change():
            stops, worker.stops = worker.stops, []
        return web.json_response({"jobsToStop": stops}) if stops else web.Response(status=204)

    async def _job_post(self, request: web.Request) -> web.Response:
        stream = "/job-stream/" in request.path
        accepted = self._ledger.post(self._job(request), await request.read(), stream=stream)
        return web.json_response({}, status=200 if accepted else 400)

    async def _ping(self, request: web.Request) -> web.Response:
        worker = self._ledger.worker(request.match_info["worker"])
        with self._ledger.change():
            worker.pings.append(Arrival(time.monotonic(), dict(request.query)))
            if request.query.get("status") == "unhealthy":
                worker.unhealthy = {key: request.query.get(key, "") for key in ("check", "reason")}
        return web.json_response({})
