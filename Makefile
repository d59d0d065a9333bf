# Two commands do the work: `make repro` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# the first Python from 3.11 on; PYTHON=... names another, and then no other is taken
CANDIDATES := $(or $(PYTHON),python3.11 python3.12 python3.13 python3.14 python3 python)
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
VERSION := import sys; print("Python %d.%d" % sys.version_info[:2])
# an environment holds absolute paths, so it belongs to one folder, which its stamp names: a copied or moved project builds its own
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif
# one thread a process: two stages never fight, and sums are added in one order
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export DVC_NO_ANALYTICS := 1

.PHONY: help env python repro test lab bench docs check data export lock lint hooks clean

help:  ## list these targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

$(STAMP): requirements.lock settings.ini setup.py | python
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
	mkdir -p -m 700 .dvc/tmp/site && chmod 700 .dvc/tmp/site && \
	$(BIN)/dvc config --quiet --local core.site_cache_dir "$(CURDIR)/.dvc/tmp/site" && \
	echo "$(CURDIR)" > $(STAMP)

# where PYTHON is given: is it one we can use, and is .venv made with it?
python:
ifneq ($(PYTHON),)
	@"$(PYTHON)" -c "$(NEW_ENOUGH)" 2>/dev/null || { \
	    echo "PYTHON=$(PYTHON) is not a Python 3.11 or newer ($$("$(PYTHON)" --version 2>&1 | head -1)); name another"; exit 1; }
	@if [ -f $(STAMP) ] && [ "$$("$(PYTHON)" -c '$(VERSION)')" != "$$($(BIN)/python -c '$(VERSION)')" ]; then \
	    echo "$(VENV) was made with $$($(BIN)/python -c '$(VERSION)'), not with PYTHON=$(PYTHON); remove $(VENV) to have it made anew"; exit 1; fi
endif

env: python $(STAMP)  ## build .venv from the lock

# DVC is mute or says twenty lines where it cannot pull; one sentence says what to do
data: env
	@said="$$($(BIN)/dvc pull --remote store data.dvc 2>&1)" || { \
	    own="$$(printf '%s\n' "$$said" | grep -m 1 -o 'data/.*' || true)"; \
	    case "$$said" in \
	    *"unsaved files"*) echo "make data: DVC would remove $$own, which is no part of the sample's data; move it out of data/ (quantlab init DIR makes a project for data of your own), then run make again";; \
	    *"issing cache files"*) echo "make data: .dvc/store, the sample's data in git, is not whole; restore it (git restore .dvc/store), then run make again";; \
	    *) echo "make data: dvc pull failed: $$(printf '%s\n' "$$said" | grep -m 1 ERROR || printf '%s\n' "$$said" | tail -1)";; \
	    esac; exit 1; }

repro: check  ## raw data to dossier and hand-over bundle
	@$(MAKE) --no-print-directory data
	@mkdir -p artifacts && rm -f artifacts/times.txt
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro
	@if [ -f artifacts/times.txt ]; then sort -rn artifacts/times.txt; \
	    awk '{ total += $$1 } END { printf "%8.1f s  all stages that ran\n", total }' artifacts/times.txt; fi
	@$(BIN)/quantlab check --reproduced || true

test: data  ## all tests; at the end, what was skipped and how to have it
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 2 -rs

# the root is the project, not the folder of the notebook; the setting lets cells say how long they took
LAB_SETTINGS := $(VENV)/share/jupyter/lab/settings
lab: env  ## JupyterLab at the project's root, opened on the page to start from
	@mkdir -p $(LAB_SETTINGS) && \
	    echo '{"@jupyterlab/notebook-extension:tracker": {"recordTiming": true}}' > $(LAB_SETTINGS)/overrides.json
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter lab --ServerApp.root_dir="$(CURDIR)" \
	    --LabApp.default_url=/lab/tree/nbs/tutorials/0_start.ipynb

bench: env  ## side by side with the peers
	@for b in benchmarks/bench_*.py; do $(BIN)/python $$b || exit 1; done

docs: env  ## the notebooks as a site, in _docs
	@PYTHONPATH=nbs $(BIN)/sphinx-build -q -W --keep-going -j 2 -b html nbs _docs/html && echo "open _docs/html/index.html"

check: env  ## contracts of stages, parameters and notebooks, and this machine
	@$(BIN)/quantlab check

export: env  ## the library from the notebooks, and every notebook clean (the stages without their outputs)
	@$(BIN)/nbdev-export
	@$(BIN)/jupyter nbconvert --log-level ERROR --clear-output --inplace nbs/stages/*.ipynb
	@$(BIN)/nbdev-clean

# `all` is every extra but rl: its torch is gigabytes, and those who train install it beside
lock:  ## resolve settings.ini anew into requirements.lock
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --extra all setup.py --output-file requirements.lock --upgrade

lint: env  ## ruff
	@$(BIN)/ruff check . && $(BIN)/ruff format --check setup.py tests benchmarks

hooks: env  ## opt-in: clean notebooks on save and in git (writes to your Jupyter and git settings)
	@$(BIN)/nbdev-install-hooks

clean:  ## remove what the stages made; the ledger and the bundles stay
	rm -rf artifacts reports failed
