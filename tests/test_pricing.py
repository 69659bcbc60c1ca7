"""What a job takes is known before it runs, from what the jobs before it took; a budget is kept or refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import worker
from fakes import ScriptedEngine
from jobs import answer, job_input
from pipeline import Services
from pricing import _on_line, price_of
from records import Price, Stage

ServeWith = Callable[..., None]
PRICES = {"L4": 1.0, "L40": 2.0, "L40S": 3.0, "RTX 4090": 4.0, "A100": 5.0, "RTX 6000 Ada": 6.0, "RTX PRO 6000": 7.0}
DOLLAR = Price("NVIDIA H200", 1.0)


@pytest.mark.parametrize(
    ("gpu", "usd"),
    [
        ("NVIDIA L4", 1), ("NVIDIA L40", 2), ("NVIDIA L40S", 3), ("NVIDIA GeForce RTX 4090", 4),
        ("NVIDIA A100-SXM4-80GB", 5), ("NVIDIA RTX 6000 Ada Generation", 6),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 7), ("NVIDIA GeForce RTX 4060", None), (None, None),
    ],
)  # fmt: skip
def test_a_gpu_has_the_price_of_the_name_that_it_bears(gpu: str | None, usd: float | None) -> None:
    assert price_of(gpu, PRICES) == Price(gpu, usd)


@pytest.fixture
def known_speed(serve_with: ServeWith, monkeypatch: pytest.MonkeyPatch) -> Services:
    """A worker whose jobs took a tenth of a second for every token, and nothing else."""
    serve_with(ScriptedEngine())
    services = worker.services()
    past = {Stage.VALIDATE: [(1, 0)], Stage.CHUNKS: [(1, 0.1), (1001, 100.1)], Stage.SYNTHESIS: [(1, 0)]}
    monkeypatch.setattr(services.speed, "_jobs", past)
    monkeypatch.setattr(services.speed, "learn", lambda _result, _expected: None)
    priced = replace(services, price=DOLLAR)
    monkeypatch.setattr(worker, "services", lambda: priced)
    return services


async def test_an_estimate_asks_no_engine(
    twelve_seconds: Path, serve_with: ServeWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_engine(_settings: object) -> None:
        raise AssertionError("the engine was loaded")

    serve_with(ScriptedEngine())
    monkeypatch.setattr(worker.services().client._owner, "_build", no_engine)
    output = await answer(job_input(twelve_seconds, estimate=True))
    assert output["estimate"]["frames"] == 32
    assert (output["num_chunks"], output["estimate"]["seconds"], output["estimate"]["usd"]) == (3, None, None)


@pytest.mark.usefixtures("known_speed")
async def test_an_estimate_is_what_the_tokens_will_take_and_cost(twelve_seconds: Path) -> None:
    one = (await answer(job_input(twelve_seconds, estimate=True)))["estimate"]
    job: dict[str, Any] = job_input(twelve_seconds, estimate=True, prompts=["What happens?"] * 4)
    del job["prompt"]
    four = (await answer(job))["estimate"]
    assert one["seconds"] == pytest.approx(one["prompt_tokens"] / 10)
    assert one["usd"] == pytest.approx(one["seconds"])
    assert one["gpu"] == "NVIDIA H200"
    assert four["prompt_tokens"] == 4 * one["prompt_tokens"]
    assert one["seconds"] < four["seconds"] < 4 * one["seconds"]  # the frames are computed once
    assert four["max_completion_tokens"] == 8 * (4 * 3 + 4)


@pytest.mark.usefixtures("known_speed")
@pytest.mark.parametrize("budget", ["max_seconds", "max_cost_usd"])
async def test_a_budget_lowers_the_rate_until_the_job_fits(twelve_seconds: Path, budget: str) -> None:
    free = await answer(job_input(twelve_seconds))
    wanted_s = (await answer(job_input(twelve_seconds, estimate=True)))["estimate"]["seconds"]
    output = await answer(job_input(twelve_seconds, **{budget: 1.5 * wanted_s}))
    assert output["num_chunks"] == free["num_chunks"]
    cheap = await answer(job_input(twelve_seconds, **{budget: 0.9 * wanted_s}))
    assert sum(one["num_frames"] for one in cheap["chunk_results"]) < sum(
        one["num_frames"] for one in free["chunk_results"]
    )
    assert any(sentence.endswith("frames") for sentence in cheap["concessions"])


@pytest.mark.usefixtures("known_speed")
async def test_a_budget_that_nothing_can_meet_is_refused_with_the_price(twelve_seconds: Path) -> None:
    output = await answer(job_input(twelve_seconds, max_cost_usd=5))
    assert output["error"].startswith("OVER_BUDGET: The job would take about ")
    assert "and $" in output["error"]


async def test_dollars_without_a_price_are_refused_before_the_download(serve_with: ServeWith) -> None:
    serve_with(ScriptedEngine())
    output = await answer(job_input("http://127.0.0.1:9/never-asked.mp4", max_cost_usd=1))
    assert output["error"].startswith("INVALID_INPUT: max_cost_usd cannot be kept: the price of this worker's GPU")


@pytest.mark.parametrize(
    ("points", "at", "seconds"),
    [
        ([(10, 5)], 20, 10),  # one size: in proportion
        ([(10, 5), (10, 7)], 20, 12),
        ([(10, 5), (30, 7)], 20, 6),
        ([(10, 5), (30, 7)], 100, 14),
        ([(10, 5), (30, 3)], 100, 4),  # a larger job takes no less
        ([(10, 1), (30, 9)], 40, 10),  # nothing takes less than no time
    ],
)
def test_what_larger_jobs_take_is_on_the_line_of_the_jobs_before(
    points: list[tuple[float, float]], at: float, seconds: float
) -> None:
    assert _on_line(points, at) == pytest.approx(seconds)


async def test_the_tokens_of_the_last_jobs_prompts_correct_the_next_estimate(
    twelve_seconds: Path, serve_with: ServeWith
) -> None:
    """A tokenizer is known to the engine alone; what is counted without it may be wrong by half."""
    serve_with(ScriptedEngine())
    job = job_input(twelve_seconds)
    before = (await answer(job | {"estimate": True}))["estimate"]
    used = sum(one["prompt_tokens"] for one in (await answer(job))["chunk_results"])
    after = (await answer(job | {"estimate": True}))["estimate"]
    assert before["prompt_tokens"] != used == after["prompt_tokens"]
    await answer(
        job | {"sampling": "keyframes"}
    )  # looks at fewer frames than were expected, and tells nothing of tokens
    assert (await answer(job | {"estimate": True}))["estimate"]["prompt_tokens"] == used
