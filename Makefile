# Everything needed is set up by the command that needs it; nothing is written outside this folder.
#   make report   build every committed evaluation into reports/ (skips what is up to date)
#   make test     the tests that take seconds
#   make verify   style, types, every test, and the committed reports rebuilt and compared
#   make bench    speed beside the peers, as ratios in one run (installs the peers)
#   make lab      JupyterLab on the tutorials
#   make notebooks  run the notebooks anew and store what they show, which the tests compare
#   make lock     resolve the dependencies anew

SHELL := /bin/sh
.DEFAULT_GOAL := report
.PHONY: report notebooks test verify lint types check bench lab lock clean

VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= python3
STAMP := $(VENV)/.impact-installed
BENCH := $(VENV)/.impact-bench
SPECS := $(wildcard reports/*/evaluation.toml)
PYTEST := env OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest
WORKERS ?= auto
export PYTEST_ADDOPTS
NOTEBOOKS := --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg notebooks
# Arithmetic as on a processor of 2011: reports must not depend on the machine that makes them.
OLD_PROCESSOR := OPENBLAS_CORETYPE=Sandybridge NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR"
TESTS ?= tests $(NOTEBOOKS)

report: $(STAMP)
	@$(BIN)/python -m impact report $(SPECS)

test: $(STAMP)
	@$(PYTEST) -n $(WORKERS) --dist loadscope -m "not slow and not spark" $(TESTS)
	@echo "Passed. To build the reports: make report. To check everything: make verify"

verify: lint types $(STAMP)
	@$(PYTEST) -n $(WORKERS) --dist loadscope -m "not spark" $(TESTS)
	@$(BIN)/python -m impact report --check --quiet $(SPECS)
	@env $(OLD_PROCESSOR) $(BIN)/python -m impact report --check --quiet $(SPECS)
	@echo "Verified: style, types, every test, and the committed reports byte for byte on two kinds of processor"

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP)
	@$(BIN)/mypy

bench: $(BENCH)
	@$(BIN)/python -m pytest tests/benchmarks -p no:xdist

# Peers are not locked by hash; what they share with the locked packages keeps its version.
$(BENCH): $(STAMP)
	@sed -n 's/^\([A-Za-z0-9._-]*==[^ ;\\]*\).*/\1/p' requirements.lock > $(VENV)/constraints.txt
	@$(BIN)/python -m pip install --constraint $(VENV)/constraints.txt --editable ".[bench]"
	@touch $@

notebooks: $(STAMP)
	@$(BIN)/jupyter nbconvert --log-level WARN --to notebook --inplace --execute \
	  --ExecutePreprocessor.record_timing=False --ClearMetadataPreprocessor.enabled=True \
	  --ClearMetadataPreprocessor.preserve_cell_metadata_mask=tags \
	  --ClearMetadataPreprocessor.preserve_nb_metadata_mask=kernelspec \
	  notebooks/*.ipynb notebooks/tutorials/*.ipynb

lab: $(STAMP)
	@$(BIN)/jupyter lab notebooks/tutorials

# What builds and installs comes first, by its hash from the lock; where there is no uv, pip does the work.
$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "impact needs Python 3.11 or later. Name one: make PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) from requirements.lock (once; half a minute on a fast line)"
	@awk '/^(uv|setuptools)==/ {found=1} found {print} found && !/\\$$/ {found=0}' requirements.lock \
	  > $(VENV)/builders.lock
	@$(BIN)/python -m pip install --quiet --require-hashes -r $(VENV)/builders.lock \
	  || awk '/^setuptools==/ {found=1} found {print} found && !/\\$$/ {exit}' $(VENV)/builders.lock \
	     | $(BIN)/python -m pip install --quiet --require-hashes -r /dev/stdin
	@uv=$$(command -v uv || echo $(BIN)/uv); \
	if $$uv --version >/dev/null 2>&1; \
	then install="$$uv pip install --python $(BIN)/python --compile-bytecode"; \
	else install="$(BIN)/python -m pip install --progress-bar on"; fi; \
	env -u PYTHONDONTWRITEBYTECODE $$install --require-hashes --no-build-isolation -r requirements.lock \
	  && env -u PYTHONDONTWRITEBYTECODE $$install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

LOCK_OPTIONS := --generate-hashes --universal --python-version 3.11 --no-emit-index-url \
  --no-emit-find-links --no-header --no-annotate --quiet

lock: $(STAMP)
	@$(BIN)/uv pip compile pyproject.toml --extra lab --extra pdf --extra docx --extra excel --extra parquet \
	  --extra scale --extra data --extra test --extra dev $(LOCK_OPTIONS) \
	  --output-file requirements.lock
	@! grep -nE '://|^file:|@ ' requirements.lock

clean:
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
