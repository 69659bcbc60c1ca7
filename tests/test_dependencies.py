"""Every name of vLLM and runpod that the code touches: an upgrade that moves one fails here first."""

import importlib
import inspect

import pytest

from config import Settings
from engine.arguments import engine_arguments


@pytest.mark.parametrize(
    ("module", "path", "parameters"),
    [
        ("vllm", "SamplingParams", ["max_tokens", "temperature", "top_p", "top_k", "seed", "output_kind"]),
        ("vllm.sampling_params", "RequestOutputKind.FINAL_ONLY", None),
        ("vllm.exceptions", "VLLMError", None),
        ("vllm.exceptions", "VLLMValidationError", None),
        ("vllm.v1.engine.exceptions", "EngineDeadError", None),
        ("vllm.platforms", "current_platform.is_cpu", []),
        ("vllm.platforms", "current_platform.get_device_total_memory", []),
        ("vllm.engine.arg_utils", "AsyncEngineArgs.create_engine_config", []),
        ("vllm.v1.engine.async_llm", "AsyncLLM.from_vllm_config", ["vllm_config"]),
        (
            "vllm.v1.engine.async_llm",
            "AsyncLLM.generate",
            ["self", "prompt", "sampling_params", "request_id", "priority"],
        ),
        ("vllm.v1.engine.async_llm", "AsyncLLM.shutdown", ["self", "timeout"]),
        ("vllm.v1.engine.async_llm", "AsyncLLM.errored", None),
        ("vllm.renderers.inputs.preprocess", "parse_model_prompt", ["model_config", "prompt"]),
        ("vllm.renderers.base", "BaseRenderer.render_cmpl_async", ["self", "prompts", "tok_params"]),
        ("vllm.renderers.base", "BaseRenderer.default_cmpl_tok_params", None),
        ("runpod.serverless", "start", ["config"]),
        ("runpod.http_client", "AsyncClientSession", None),
        ("runpod.serverless.modules.rp_http", "send_result", ["session", "job_data", "job"]),
        ("runpod", "Endpoint.run", ["self", "request_input"]),
        ("runpod", "Endpoint.run_sync", ["self", "request_input", "timeout"]),
        ("runpod", "AsyncioEndpoint.run", ["self", "endpoint_input"]),
    ],
)
def test_what_we_use_of_a_dependency_is_there(module: str, path: str, parameters: list[str] | None) -> None:
    found = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    if parameters is not None:
        accepted = inspect.signature(found).parameters
        assert set(parameters) <= accepted.keys()


@pytest.mark.parametrize("gib", [0, 24, 80])
def test_every_engine_argument_is_one_of_vllms(gib: int) -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs

    arguments = engine_arguments(Settings(), cpu=gib == 0, device_bytes=gib * 2**30)
    assert arguments.keys() <= AsyncEngineArgs.__dataclass_fields__.keys()


def test_a_small_card_halves_the_cache_and_a_large_one_keeps_the_models_type() -> None:
    chosen = [
        engine_arguments(Settings(), cpu=False, device_bytes=gib * 2**30)["kv_cache_dtype"] for gib in (24, 48, 80)
    ]
    assert chosen == ["fp8", "auto", "auto"]
    forced = Settings(kv_cache_dtype="bfloat16")
    assert engine_arguments(forced, cpu=False, device_bytes=24 * 2**30)["kv_cache_dtype"] == "bfloat16"


def test_the_context_is_left_to_vllm_to_fit() -> None:
    """The brief's 131,072 tokens do not fit a 24 GB card, and vLLM refuses to start on a length that does not fit."""
    for gib in (0, 24, 80):
        assert engine_arguments(Settings(), cpu=gib == 0, device_bytes=gib * 2**30)["max_model_len"] == -1
