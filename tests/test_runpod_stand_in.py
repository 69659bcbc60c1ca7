"""The stand-in for RunPod's platform, held against the real SDK: its worker loop in a process, its clients here."""

import asyncio
from typing import Any

import aiohttp
import pytest
import runpod

from gate import TIMEOUT_S, WORKER_COMMAND, WORKER_ENVIRONMENT, Gate
from runpod_stand_in import RunPodStandIn


@pytest.fixture
def endpoint(platform: RunPodStandIn, monkeypatch: pytest.MonkeyPatch) -> runpod.Endpoint:
    return client_of(platform, monkeypatch)


def client_of(platform: RunPodStandIn, monkeypatch: pytest.MonkeyPatch) -> runpod.Endpoint:
    monkeypatch.setattr(runpod, "endpoint_url_base", platform.url)
    return runpod.Endpoint(platform.endpoint_id, api_key=platform.api_key)


def test_a_job_goes_through_run_to_completed_with_its_output_and_its_times(
    platform: RunPodStandIn, endpoint: runpod.Endpoint
) -> None:
    job = endpoint.run({"returns": {"answer": "élan"}})
    record = platform.wait_for_status(job.job_id, "COMPLETED")
    state = endpoint.rp_client.get(f"{platform.endpoint_id}/status/{job.job_id}")
    times_ms = [state.pop("delayTime"), state.pop("executionTime")]
    assert all(isinstance(time_ms, int) and 0 <= time_ms < TIMEOUT_S * 1000 for time_ms in times_ms)
    assert state == {
        "id": job.job_id,
        "status": "COMPLETED",
        "workerId": "worker-1",
        "output": {"answer": "élan"},
    }
    assert (job.status(), job.output()) == ("COMPLETED", {"answer": "élan"})
    assert record.raw_bodies == ['{"output": {"answer": "élan"}}'.encode()]


def test_run_sync_returns_the_output(endpoint: runpod.Endpoint) -> None:
    assert endpoint.run_sync({"returns": {"answer": 1}}) == {"answer": 1}


def test_the_latest_progress_is_the_output_until_the_result_replaces_it(
    platform: RunPodStandIn, endpoint: runpod.Endpoint, gate: Gate
) -> None:
    job = endpoint.run({"progress": {"fraction": 0.5}, "gate": gate.port, "returns": {"answer": 3}})
    record = platform.job(job.job_id)
    platform.wait_until(lambda: record.progress, what="a progress update")
    assert (job.status(), job.output()) == ("IN_PROGRESS", {"fraction": 0.5})
    gate.wait_for_job()
    gate.open()
    platform.wait_for_status(job.job_id, "COMPLETED")
    assert job.output() == {"answer": 3}
    assert [update.body for update in record.progress] == [{"fraction": 0.5}]
    assert len(record.results) == 1


def test_a_returned_error_fails_the_job_with_that_string(platform: RunPodStandIn, endpoint: runpod.Endpoint) -> None:
    job = endpoint.run({"returns": {"error": "INVALID_INPUT: no prompt"}})
    platform.wait_for_status(job.job_id, "FAILED")
    state = endpoint.rp_client.get(f"{platform.endpoint_id}/status/{job.job_id}")
    assert state["error"] == "INVALID_INPUT: no prompt"
    assert "output" not in state


def test_run_sync_returns_none_for_a_failed_job(endpoint: runpod.Endpoint) -> None:
    assert endpoint.run_sync({"returns": {"error": "INVALID_INPUT: no prompt"}}) is None


def test_an_exception_that_escapes_the_handler_fails_the_job_and_shows_its_traceback(
    platform: RunPodStandIn, endpoint: runpod.Endpoint
) -> None:
    job = endpoint.run({"raises": "secret"})
    record = platform.wait_for_status(job.job_id, "FAILED")
    assert "Traceback" in (record.error or "")


def test_an_error_that_is_no_string_is_lost(platform: RunPodStandIn, endpoint: runpod.Endpoint) -> None:
    """The stand-in shows the user's view of runpod-python#299: COMPLETED, and nothing else."""
    job = endpoint.run({"returns": {"error": {"code": "INVALID_INPUT"}}})
    platform.wait_for_status(job.job_id)
    state = endpoint.rp_client.get(f"{platform.endpoint_id}/status/{job.job_id}")
    assert state["status"] == "COMPLETED"
    assert not {"output", "error"} & state.keys()


def test_a_result_can_ask_for_a_new_worker(platform: RunPodStandIn, endpoint: runpod.Endpoint) -> None:
    job = endpoint.run({"returns": {"error": "ENGINE_DEAD: gone", "refresh_worker": True}})
    assert platform.wait_for_status(job.job_id, "FAILED").stop_pod
    job = endpoint.run({"returns": {"answer": 4}})
    assert not platform.wait_for_status(job.job_id, "COMPLETED").stop_pod


def test_cancel_reaches_the_coroutine_and_its_sibling_goes_on(
    platform: RunPodStandIn, endpoint: runpod.Endpoint, gate: Gate
) -> None:
    job = endpoint.run({"gate": gate.port, "returns": {}})
    inside = gate.wait_for_job()
    sibling = endpoint.run({"gate": gate.port, "returns": {"answer": 5}})
    gate.wait_for_job()
    assert job.cancel() == {"id": job.job_id, "status": "CANCELLED"}
    assert inside.recv(100) == b"cancelled"
    gate.open()
    assert platform.wait_for_status(sibling.job_id, "COMPLETED").output == {"answer": 5}
    cancelled = platform.job(job.job_id)
    assert (cancelled.status, cancelled.results, cancelled.late) == ("CANCELLED", [], [])


def test_an_execution_timeout_stops_the_job_on_the_worker(
    platform: RunPodStandIn, endpoint: runpod.Endpoint, gate: Gate
) -> None:
    job = endpoint.run({"input": {"gate": gate.port, "returns": {}}, "policy": {"executionTimeout": 1000}})
    assert gate.wait_for_job().recv(100) == b"cancelled"
    assert platform.job(job.job_id).status == job.status() == "TIMED_OUT"


def test_three_jobs_run_at_once_and_more_wait_until_they_are_cancelled_or_purged(
    platform: RunPodStandIn, endpoint: runpod.Endpoint, gate: Gate
) -> None:
    running = [endpoint.run({"gate": gate.port, "returns": {}}) for _ in range(3)]
    for _ in running:
        gate.wait_for_job()
    cancelled, purged = (endpoint.run({"returns": {}}) for _ in range(2))
    health = endpoint.health()
    assert (health["jobs"]["inProgress"], health["jobs"]["inQueue"]) == (3, 2)
    assert (health["workers"]["running"], health["workers"]["idle"]) == (1, 0)
    cancelled.cancel()
    assert endpoint.purge_queue() == {"removed": 1, "status": "completed"}
    gate.open()
    assert {platform.wait_for_status(job.job_id).status for job in running} == {"COMPLETED"}
    assert {(job.status(), platform.job(job.job_id).taken_s) for job in (cancelled, purged)} == {("CANCELLED", None)}


def test_the_asyncio_client_runs_and_cancels(
    platform: RunPodStandIn, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    monkeypatch.setattr(runpod, "endpoint_url_base", platform.url)

    async def talk() -> tuple[Any, str]:
        async with aiohttp.ClientSession() as session:
            endpoint = runpod.AsyncioEndpoint(platform.endpoint_id, session, api_key=platform.api_key)
            answered = await endpoint.run({"returns": {"answer": 6}})
            await asyncio.to_thread(platform.wait_for_status, answered.job_id)
            stopped = await endpoint.run({"gate": gate.port, "returns": {}})
            inside = await asyncio.to_thread(gate.wait_for_job)
            await stopped.cancel()
            assert await asyncio.to_thread(inside.recv, 100) == b"cancelled"
            return await answered.output(timeout=5), await stopped.status()

    assert asyncio.run(talk()) == ({"answer": 6}, "CANCELLED")


def test_an_idle_worker_keeps_one_poll_open(platform: RunPodStandIn) -> None:
    """An answer that came at once would have the SDK ask again without a pause; pings are the clock here."""
    worker = platform.worker()
    platform.wait_until(lambda: worker.polling == 1, what="an idle worker")
    takes = worker.takes
    platform.wait_for_ping()
    assert (worker.polling, worker.takes) == (1, takes)


def test_sigterm_lets_a_running_job_finish_and_its_stream_reaches_the_client(
    monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    command = [*WORKER_COMMAND, "generator"]
    with RunPodStandIn() as platform, platform.worker_process(command, environment=WORKER_ENVIRONMENT) as process:
        job = client_of(platform, monkeypatch).run({"gate": gate.port})
        gate.wait_for_job()
        process.terminate()
        platform.retire()
        gate.open()
        record = platform.wait_for_status(job.job_id, "COMPLETED")
        assert list(job.stream()) == record.stream == ["before the gate", "behind the gate"]
        assert process.wait(TIMEOUT_S) == 0
        assert record.late == []
