# `make run` sets everything up and opens the demo case; `make test` runs the tests.
# TROCAR_TORCH=cpu|cuda chooses PyTorch's build (default: cuda where an NVIDIA driver answers).
PYTHON ?= python3
BIN := .venv/bin
ENV := OMP_NUM_THREADS=1 QT_QPA_PLATFORM=offscreen
PYTEST := $(ENV) $(BIN)/python -m pytest

.PHONY: run setup setup-dev test test-long lint bench clean

run: setup
	@$(BIN)/trocar demo

setup:
	@$(PYTHON) packaging/setup_env.py

setup-dev:
	@$(PYTHON) packaging/setup_env.py --dev

test: setup-dev
	$(PYTEST) -n 2 --dist worksteal -q

test-long: setup-dev
	$(PYTEST) -n 2 --dist worksteal -q -m long --timeout 3600

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: setup-dev
	$(BIN)/trocar bench

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
