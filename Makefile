# Everything a newcomer needs; `make help` lists it.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test test-fast test-flink lint types bench clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install: $(STAMP)  ## create the virtual environment from the lock file (quick when nothing changed)

# --no-deps: the lock file is complete; it leaves out fasttext-predict, which would overwrite fasttext's files.
$(STAMP): requirements.lock setup.py pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	@# setuptools warns at every editable installation that the working folder may shadow the package; ours are mapped.
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

demo: install  ## make the synthetic crawl and run all seven stages on it
	$(BIN)/algok demo --work work/demo

flink-up: install  ## start a Flink cluster on this machine (Java 17; Maven the first time)
	$(BIN)/algok cluster up

flink-down: install  ## stop that cluster
	$(BIN)/algok cluster down

# The tests on Flink come alone: they share one cluster, which takes both cores, and kill what they must find at work.
# The others by file and in the order of their names: by number of tests, some long files of few tests would come last.
test: install  ## lint, types and all tests
	$(MAKE) --no-print-directory lint types
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not flink"
	$(BIN)/python -m pytest tests/integration

test-flink: install  ## only the tests on a real Flink cluster (Java 17; Maven the first time)
	$(BIN)/python -m pytest tests/integration

test-fast: install  ## the tests of under two minutes in all
	$(BIN)/python -m pytest -m "not slow" -n 2

lint: install  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy does not follow setup.py's folder map, so it reads a git-ignored folder of links.
types: install  ## mypy --strict
	@mkdir -p .typing/algok
	@for f in src/algok/*.py src/algok/py.typed; do ln -sfn ../../$$f .typing/algok/$$(basename $$f); done
	@for d in pipeline transforms filters dedup tokenizer; do ln -sfn ../../$$d .typing/algok/$$d; done
	$(BIN)/mypy -p algok

bench: install  ## the benchmarks of the line; ARGS=--quick for a short run
	$(BIN)/python -m benchmarks.run $(ARGS)

clean:  ## remove work folders and caches (keeps the virtual environment)
	rm -rf work build dist .mypy_cache .ruff_cache .pytest_cache .typing
