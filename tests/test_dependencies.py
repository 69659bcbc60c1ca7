"""Every name of vLLM and runpod that the code touches: an upgrade that moves one fails here first."""

import importlib
import inspect
from typing import Any

import pytest

from config import Settings
from engine.arguments import Gpu, engine_arguments

GIB = 2**30


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
        ("vllm.platforms", "current_platform.has_device_capability", ["capability"]),
        ("httpx2", "HTTPError", None),
        ("httpcore2", "AsyncConnectionPool", ["ssl_context", "network_backend"]),
        (
            "httpcore2",
            "AsyncNetworkBackend.connect_tcp",
            ["self", "host", "port", "timeout", "local_address", "socket_options"],
        ),
        ("httpcore2", "AsyncNetworkStream.start_tls", ["self", "ssl_context", "server_hostname", "timeout"]),
        ("httpcore2", "URL", ["scheme", "host", "port", "target"]),
        ("vllm.engine.arg_utils", "AsyncEngineArgs.create_engine_config", []),
        ("vllm.v1.engine.async_llm", "AsyncLLM.from_vllm_config", ["vllm_config", "stat_loggers", "disable_log_stats"]),
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
        ("runpod.serverless", "register_fitness_check", ["func"]),
        ("runpod.http_client", "AsyncClientSession", None),
        ("runpod.serverless.modules.rp_http", "send_result", ["session", "job_data", "job"]),
        ("runpod", "Endpoint.run", ["self", "request_input"]),
        ("runpod", "Endpoint.run_sync", ["self", "request_input", "timeout"]),
        ("runpod", "AsyncioEndpoint.run", ["self", "endpoint_input"]),
    ],
)
def test_what_we_use_of_a_dependency_is_there(module: str, path: str, parameters: list[str] | None) -> None:
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    if parameters is not None:
        accepted = inspect.signature(found).parameters
        assert set(parameters) <= accepted.keys()


AMPERE_24, ADA_24, ADA_48, HOPPER_80 = (
    Gpu(24 * GIB, False),
    Gpu(24 * GIB, True),
    Gpu(48 * GIB, True),
    Gpu(80 * GIB, True),
)


@pytest.mark.parametrize("gpu", [None, ADA_24, HOPPER_80])
def test_every_engine_argument_is_one_of_vllms(gpu: Gpu | None) -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs

    arguments = engine_arguments(Settings(), gpu)
    assert arguments.keys() <= AsyncEngineArgs.__dataclass_fields__.keys()


def test_a_small_card_that_can_halves_the_cache_and_others_keep_the_models_type() -> None:
    cards = (AMPERE_24, ADA_24, ADA_48, HOPPER_80)
    assert [engine_arguments(Settings(), gpu)["kv_cache_dtype"] for gpu in cards] == ["auto", "fp8", "auto", "auto"]
    assert engine_arguments(Settings(kv_cache_dtype="bfloat16"), ADA_24)["kv_cache_dtype"] == "bfloat16"


def test_the_context_is_left_to_vllm_to_fit() -> None:
    """The brief's 131,072 tokens do not fit a 24 GB card, and vLLM refuses to start on a length that does not fit."""
    for gpu in (None, ADA_24, HOPPER_80):
        assert engine_arguments(Settings(), gpu)["max_model_len"] == -1
