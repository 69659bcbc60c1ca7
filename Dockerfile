# The worker on vLLM's own image, which brings Python 3.12, CUDA 13, torch and vLLM.
#
#     docker build --platform linux/amd64 --tag USER/qwen3-vl-runpod .
#
# Stages: `packages` adds what vLLM's image lacks, `weights` holds the model or nothing, `worker` is what runs.

# The version in requirements.txt; tests/test_deployment.py keeps the two equal.
ARG VLLM_VERSION=0.32.0
# Override it with another build of the same version, such as -cu129 for drivers older than 580, or with a stand-in to
# test this file.
ARG BASE_IMAGE=vllm/vllm-openai:v${VLLM_VERSION}


FROM ${BASE_IMAGE} AS packages
# The version is not pinned because Ubuntu's archive keeps only the newest build of a package.
# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ffmpeg \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
# pyproject.toml overrides fastapi's version; without that, runpod and vLLM cannot be resolved together.
COPY requirements.txt pyproject.toml ./
# Install what the image lacks, but not vLLM itself: the image installed it from a file, so uv would replace it with
# PyPI's build of the same version. The build fails if the version of torch, which vLLM is compiled against, has changed
# afterwards, or if vLLM lacks a package that it did not lack before.
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
# Compile all packages now: uv writes no bytecode and the worker's user may not, so its two large processes would
# compile torch and vLLM again at every cold start. Errors are ignored because some packages contain files that are not
# valid in this version of Python.
RUN python3 -m compileall -q -j 0 "$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" >/dev/null \
    || true


# Based on vLLM's image instead of `packages`, so that a changed requirement does not download the weights again.
FROM ${BASE_IMAGE} AS weights
# Empty: the image has no weights. Qwen/Qwen3-VL-8B-Instruct-FP8: a larger image that starts without Hugging Face.
ARG MODEL_NAME=""
ARG MODEL_REVISION=main
# Only gated models need the secret; mounted this way, it leaves no trace in the image or its history.
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
# This user decodes files from strangers, so it owns nothing permanent but its home directory and the model cache.
RUN useradd --create-home --uid 10001 worker \
    && install --directory --owner=worker --group=worker /runpod-volume
COPY --from=weights /models /models
COPY config.yaml ./
COPY src src
RUN python3 -m compileall -q src

# A model in the image is named by its directory. An empty variable counts as unset: then config.yaml names the model.
ARG MODEL_NAME=""
ENV MODEL_NAME=${MODEL_NAME:+/models/checkpoint}
# RunPod puts an endpoint's cached model into $HF_HOME/hub. A network volume is mounted at /runpod-volume and keeps
# downloaded models; with neither, they are downloaded to the container's disk.
ENV HF_HOME=/runpod-volume/huggingface-cache
# Otherwise vLLM and Hugging Face report usage.
ENV DO_NOT_TRACK=1
# The engine is started from a thread of a process with many threads, where a fork can inherit a held lock.
ENV VLLM_WORKER_MULTIPROC_METHOD=spawn
# The SDK's system checks open a CUDA context in this process, which takes memory from the engine's process. The worker
# has its own checks.
ENV RUNPOD_SKIP_AUTO_SYSTEM_CHECKS=true
# `video` makes the host provide the library of the GPU's video decoder.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
ENV PYTHONUNBUFFERED=1
# Frames are allocated and freed in blocks of megabytes. By default glibc keeps freed ones in its heaps, which takes
# 12 % more memory.
ENV MALLOC_MMAP_THRESHOLD_=1048576 MALLOC_ARENA_MAX=2

# The numeric id lets a host see that this is not root without reading /etc/passwd.
USER 10001
# A missing package or an invalid config.yaml fails the build instead of the first job.
RUN ffprobe -version && PYTHONPATH=src python3 -c "import config, handler, runpod; config.load_settings()"
# The SDK finishes running jobs on SIGTERM.
STOPSIGNAL SIGTERM
# Otherwise vLLM's image would start its HTTP server with CMD as arguments.
ENTRYPOINT []
CMD ["python3", "src/handler.py"]
