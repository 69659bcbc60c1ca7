# The worker on vLLM's own image, which brings Python 3.12, CUDA 13, torch and vLLM.
#
#     docker build --platform linux/amd64 --tag USER/qwen3-vl-runpod .
#
# Stages: `packages` adds what vLLM's image lacks, `weights` holds the model or nothing, `worker` is what runs.

# The version in requirements.txt; tests/test_deployment.py keeps the two equal.
ARG VLLM_VERSION=0.32.0
# Another build of the same version, such as -cu129 for drivers older than 580, or a stand-in for trying this file out.
ARG BASE_IMAGE=vllm/vllm-openai:v${VLLM_VERSION}


FROM ${BASE_IMAGE} AS packages
# Not pinned: Ubuntu's archive keeps only the newest build of a package.
# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ffmpeg \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
# pyproject.toml holds the override of fastapi, without which runpod and vLLM do not resolve together.
COPY requirements.txt pyproject.toml ./
# Only what is missing, and not vLLM itself: the image installed it from a file, so uv would replace it with PyPI's
# build of the same number. Afterwards torch, against which vLLM is compiled, must be the same, and vLLM must not miss
# anything that it did not miss before.
# hadolint takes the backticks that uv prints around a name for a command.
# hadolint ignore=SC2016
RUN versions="import importlib.metadata as m; print(*map(m.version, ['vllm', 'torch', 'torchvision']))" \
    && missing() { uv pip check --system >check.txt 2>&1; grep -F 'package `vllm`' check.txt || true; } \
    && engine() { python3 -c "$versions" && missing; } \
    && before=$(engine) \
    && sed '/^vllm==/d' requirements.txt >lacking.txt \
    && uv pip install --system --no-cache --requirements lacking.txt \
    && after=$(engine) \
    && echo "engine: $after" \
    && test "$before" = "$after" \
    && rm check.txt lacking.txt
# Bytecode is part of the image: uv writes none, the worker's user may not, and its two large processes would compile
# torch and vLLM anew at every cold start. Some packages hold files that are no Python of this version.
RUN python3 -m compileall -q -j 0 "$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" >/dev/null \
    || true


# From vLLM's image and not from `packages`: a changed requirement must not download the weights again.
FROM ${BASE_IMAGE} AS weights
# Empty: no weights in the image. Qwen/Qwen3-VL-8B-Instruct-FP8: a larger image that starts without Hugging Face.
ARG MODEL_NAME=""
ARG MODEL_REVISION=main
# The secret is needed for gated models only; a mount leaves no trace of it in the image or its history.
RUN --mount=type=secret,id=HF_TOKEN \
    mkdir --parents /models/checkpoint \
    && if [ -n "$MODEL_NAME" ]; then \
        HF_TOKEN="$(cat /run/secrets/HF_TOKEN 2>/dev/null || true)" \
            hf download "$MODEL_NAME" --revision "$MODEL_REVISION" --local-dir /models/checkpoint \
        && rm -rf /models/checkpoint/.cache; \
    fi \
    && chmod --recursive a+rX /models


FROM packages AS worker
# The version in src/version.py; tests/test_version.py keeps the two equal.
LABEL org.opencontainers.image.version="0.1.0"
# Files from strangers are decoded here. Of what lasts, this user owns its home and the model cache, nothing else.
RUN useradd --create-home --uid 10001 worker \
    && install --directory --owner=worker --group=worker /runpod-volume
COPY --from=weights /models /models
COPY config.yaml ./
COPY src src
RUN python3 -m compileall -q src

# A baked model goes by its directory. Empty is as good as unset: config.yaml names the model then.
ARG MODEL_NAME=""
ENV MODEL_NAME=${MODEL_NAME:+/models/checkpoint}
# $HF_HOME/hub is where RunPod puts an endpoint's cached model. A network volume is mounted above it and keeps
# downloads; without either, they land on the container's disk.
ENV HF_HOME=/runpod-volume/huggingface-cache
# vLLM and Hugging Face report usage otherwise.
ENV DO_NOT_TRACK=1
# The engine starts from a thread of a process that has many; a fork there can inherit a held lock.
ENV VLLM_WORKER_MULTIPROC_METHOD=spawn
# The SDK's system checks open a CUDA context in this process, and its memory is missing in the engine's. The worker has
# checks of its own.
ENV RUNPOD_SKIP_AUTO_SYSTEM_CHECKS=true
# `video` is the GPU's decoder; without it the host does not hand in its library.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
ENV PYTHONUNBUFFERED=1
# Frames come and go in blocks of megabytes. Left to itself, glibc keeps freed ones in its heaps: 12 % more memory.
ENV MALLOC_MMAP_THRESHOLD_=1048576 MALLOC_ARENA_MAX=2

# By number, so that a host can tell without /etc/passwd that this is not root.
USER 10001
# A missing package or a config.yaml that does not load fails the build instead of the first job.
RUN ffprobe -version && PYTHONPATH=src python3 -c "import config, handler, runpod; config.load_settings()"
# The SDK finishes running jobs on SIGTERM.
STOPSIGNAL SIGTERM
# vLLM's image would start its HTTP server with CMD as arguments.
ENTRYPOINT []
CMD ["python3", "src/handler.py"]
