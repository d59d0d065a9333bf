# Two commands do the work: `make repro` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# the first Python from 3.11 on; PYTHON=... names another
CANDIDATES := $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3 python
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
# one thread a process: two stages never fight, and sums are added in one order
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export DVC_NO_ANALYTICS := 1

.PHONY: help env repro test lab bench docs check lock lint hooks clean

help:  ## list these targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

$(STAMP): requirements.lock settings.ini setup.py
	@python=""; for p in $(CANDIDATES); do \
	    if "$$p" -c "$(NEW_ENOUGH)" >/dev/null 2>&1; then python="$$p"; break; fi; done; \
	if [ -z "$$python" ]; then \
	    echo "quantlab needs Python 3.11 or newer and found none; install one, or name it: make PYTHON=/path/to/python"; exit 1; fi; \
	echo "environment: $$($$python --version), packages from requirements.lock"; \
	$$python -m venv --clear $(VENV) && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	    -r <(grep -A 40 '^uv==' requirements.lock | awk 'NR > 1 && !/^ /{exit} {print}') && \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock && \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . && \
	touch $(STAMP)

env: $(STAMP)  ## build .venv from the lock

repro: env  ## raw data to dossier and hand-over bundle
	@$(BIN)/dvc pull --quiet data.dvc
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro

test: env  ## all tests
	@$(BIN)/dvc pull --quiet data.dvc
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 2 --dist worksteal

lab: env  ## JupyterLab, opened on the first tutorial
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter lab nbs/tutorials/1_first_hour.ipynb

bench: env  ## side by side with the peers
	@for b in benchmarks/bench_*.py; do $(BIN)/python $$b || exit 1; done

docs: env  ## the notebooks as a site, in _docs
	@PYTHONPATH=nbs $(BIN)/sphinx-build -q -b html nbs _docs/html && echo "open _docs/html/index.html"

check: env  ## contracts of stages, parameters and notebooks
	@$(BIN)/quantlab check

lock:  ## resolve settings.ini anew into requirements.lock
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --extra learn --extra dev --extra docs setup.py --output-file requirements.lock --upgrade

lint: env  ## ruff
	@$(BIN)/ruff check . && $(BIN)/ruff format --check setup.py tests benchmarks

hooks: env  ## opt-in: clean notebooks on save and in git (writes to your Jupyter and git settings)
	@$(BIN)/nbdev-install-hooks

clean:  ## remove what the stages made; the ledger and the bundles stay
	rm -rf artifacts reports failed
