"""What vLLM is told about one answer, and what it says about it."""

from typing import Any

from records import Generation, GenerationOptions, TokenProbability


def sampling_params(options: GenerationOptions) -> Any:
    """Return vLLM's SamplingParams.

    Raises:
        VLLMError, ValueError: vLLM refuses them.
    """
    from vllm import SamplingParams
    from vllm.platforms import current_platform
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    has_schema = options.schema is not None
    return SamplingParams(
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k if options.temperature else 0,
        presence_penalty=options.presence_penalty,
        stop=list(options.stop) or None,
        # The CPU build keeps a generator for each seeded request, and some of them end the engine for all.
        seed=None if current_platform.is_cpu() else options.seed,
        output_kind=RequestOutputKind.FINAL_ONLY,
        structured_outputs=StructuredOutputsParams(json=dict(options.schema or {})) if has_schema else None,
        logprobs=0 if has_schema else None,  # of the sampled token alone, which costs nothing
    )


def generation(finished: Any, render_s: float, generate_s: float) -> Generation:
    """Return what vLLM's RequestOutput of a finished request says."""
    output = finished.outputs[0]
    return Generation(
        text=output.text,
        finish_reason=output.finish_reason,
        prompt_tokens=len(finished.prompt_token_ids or ()),
        completion_tokens=len(output.token_ids),
        render_s=render_s,
        generate_s=generate_s,
        cached_tokens=finished.num_cached_tokens or 0,
        log_probabilities=_log_probabilities(output),
    )


def _log_probabilities(output: Any) -> tuple[TokenProbability, ...]:
    """Those of the text's tokens. A character that several tokens make up ends with each of them."""
    found, end = [], 0
    for token_id, choices in zip(output.token_ids, output.logprobs or (), strict=False):
        sampled = choices[token_id]
        end += len(sampled.decoded_token or "")
        found.append(TokenProbability(min(end, len(output.text)), sampled.logprob))
    return tuple(found)
