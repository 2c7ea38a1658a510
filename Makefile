SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := $(foreach room,__main__ kernels pairs losses miners search metrics models datamodules lightning_modules callbacks running commands,-p ranklight.$(room))

.PHONY: help quickstart test soak check bench bench-gpu clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.venv/installed: setup.cfg pyproject.toml constraints.txt
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[test]' --constraint constraints.txt
	touch $@

# mypy does not see setup.cfg's mapping of the root to the package; by this link it does.
.types/ranklight:
	mkdir -p .types
	ln -s .. $@

quickstart: .venv/installed ## Train on handwritten digits, test on unseen ones, draw what was learnt
	$(BIN)/ranklight fit --config experiments/digits/multi_similarity.yaml --test_after_fit true

test: .venv/installed ## Run every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --quiet --numprocesses 2 --dist loadfile

soak: .venv/installed ## Kill a run at random, 20 times on one rank and 6 on two
	RANKLIGHT_KILLS=20 $(BIN)/python -m pytest --quiet tests/resume/test_killed.py

check: .venv/installed .types/ranklight ## Formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	MYPYPATH=.types $(BIN)/mypy $(PACKAGES)

bench: .venv/installed ## Time losses, sampler and evaluation side by side with their peers
	$(BIN)/python -m benchmarks

bench-gpu: .venv/installed ## The same for a GPU: losses, evaluation, and the training step of ResNet-50
	$(BIN)/python -m benchmarks.gpu

clean: ## Remove what was made, but not the runs
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
