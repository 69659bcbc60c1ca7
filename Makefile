# `make local` and `make test` need nothing set up beforehand; see .ci/setup.
PYTHON := .venv/bin/python
READY := .venv/.ready
# One more than two cores can run: a process that waits for an engine leaves its core to another one.
TEST_PROCESSES := 3

# Bytecode is kept: without it every process compiles torch and vLLM anew, a dozen seconds.
unexport PYTHONDONTWRITEBYTECODE

# Lines are broken before the terminal would; on a narrow one the descriptions stand below the names.
define HELP
BEGIN { if (width < 20) width = 80; indent = width < 80 ? 4 : 24 }
{
	printf indent == 4 ? "make %s\n%4s" : "make %-18s %.0s", $$1, ""
	column = indent
	n = split($$2, words, " ")
	for (i = 1; i <= n; i++) {
		if (column > indent && column + 1 + length(words[i]) > width) { printf "\n%*s", indent, ""; column = indent }
		if (column > indent) { printf " "; column++ }
		printf "%s", words[i]
		column += length(words[i])
	}
	print ""
}
endef
export HELP

.DEFAULT_GOAL := help
.PHONY: help setup local serve test test-fast test-all check format bench bench-worker bench-ingest bench-gpu bench-download bench-soak bench-tiny-model tiny-model foreign clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' -v width="$${COLUMNS:-$$(stty size 2>/dev/null </dev/tty | cut -d ' ' -f 2)}" "$$HELP"

setup: $(READY) ## make .venv and install what is missing, with apt-get too: 1 GB, once

$(READY): requirements.txt requirements-cpu.txt pyproject.toml .ci/setup $(wildcard tests/torchvision_cpu/*)
	@.ci/setup
	@touch $@

local: $(READY) ## answer a question about a generated video, on the real engine
	@$(PYTHON) test_local.py --temperature 0

serve: $(READY) ## serve the API on this machine, on PORT: a stand-in for RunPod, and a worker with the test model
	@PYTHONPATH=tests $(PYTHON) -m runpod_stand_in --worker $(if $(PORT),--port $(PORT))

test: $(READY) ## run the tests
	@$(PYTHON) -m pytest -n $(TEST_PROCESSES)

test-fast: $(READY) ## run the tests that start no engine, no worker and no decoder: a minute
	@$(PYTHON) -m pytest -n $(TEST_PROCESSES) -m "not slow and not exhaustive"

test-all: $(READY) ## run all tests, exhaustive ones too, and measure their coverage, which must not fall
	@$(PYTHON) -m pytest -n $(TEST_PROCESSES) -m "" --cov --cov-report=term:skip-covered

check: $(READY) ## check everything that can be checked without running it: code, scripts, workflow, Dockerfile
	@.venv/bin/ruff format --check
	@.venv/bin/ruff check
	@.venv/bin/mypy src tests test_local.py example_usage.py
	@.ci/imports
	@.venv/bin/codespell
	@.venv/bin/shellcheck $(wildcard .ci/* findings/*.sh)
	@PATH="$(CURDIR)/.venv/bin:$$PATH" jactionlint  # runs shellcheck on the workflow's scripts
	@.venv/bin/zizmor --offline --pedantic --quiet .github
	@.venv/bin/hadolint Dockerfile

format: $(READY) ## format the code
	@.venv/bin/ruff format
	@.venv/bin/ruff check --fix

bench: bench-worker bench-ingest bench-download bench-soak bench-tiny-model ## run all benchmarks that need no GPU

bench-worker: $(READY) ## measure batching, overhead, memory and import time
	@$(PYTHON) tests/benchmarks/bench_worker.py

bench-ingest: $(READY) .cache/peers/.ready ## measure getting frames from files, against other readers; forty minutes
	@$(PYTHON) tests/benchmarks/bench_ingest.py

.cache/peers/.ready: tests/benchmarks/peers.txt $(READY)
	@.venv/bin/uv pip install --quiet --no-deps --target $(@D) -r $<
	@touch $@

bench-gpu: ## measure the worker on a GPU, in its image, with random weights; ten minutes
	@command -v nvidia-smi >/dev/null || { echo "bench-gpu: no NVIDIA driver on this machine." >&2; exit 1; }
	@python3 tests/benchmarks/bench_gpu.py

bench-download: $(READY) ## measure what the guards cost, beside plain requests
	@$(PYTHON) tests/benchmarks/bench_download.py

bench-soak: $(READY) ## send a thousand mixed jobs, a fifth of them hostile, through one worker
	@$(PYTHON) tests/benchmarks/bench_soak.py

bench-tiny-model: $(READY) ## measure how well the test model reads clips it never saw
	@$(PYTHON) tests/benchmarks/bench_tiny_model.py

tiny-model: $(READY) ## train the test model again from nothing: an hour and a half on two cores, resumed if interrupted
	@$(PYTHON) tests/tiny_model/train.py

foreign: $(READY) ## make the foreign files, and print what the worker says of each beside what is right
	@$(PYTHON) tests/foreign/table.py

clean: ## remove the caches, and .venv if make made it
	@rm -rf .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@.ci/setup --remove
