# Crossover: every verb sets up what it needs and does nothing twice.
PYTHON ?= python3
BACKEND ?= tensorflow
ifeq ($(filter $(BACKEND),tensorflow jax torch),)
$(error BACKEND is '$(BACKEND)': choose tensorflow, jax or torch)
endif
# An environment a backend: their CUDA libraries don't mix, and none can break another's.
VENV := .venv$(if $(filter-out tensorflow,$(BACKEND)),-$(BACKEND))
BIN := $(VENV)/bin
# The CUDA locks (some 3 GB more) only where an NVIDIA driver is present; torch has one for both.
LOCKS := $(if $(shell command -v nvidia-smi 2>/dev/null),tensorflow=cuda jax=jax-cuda torch=torch,\
  tensorflow=cpu jax=jax torch=torch)
LOCK := $(patsubst $(BACKEND)=%,%,$(filter $(BACKEND)=%,$(LOCKS)))
SAMPLE ?= amd-epyc-2-cores
NAMES := WIDTHS DEVICES PROTOCOLS REPEATS EPOCHS BATCH_SIZE BACKEND THREADS SEED SHARDS PROFILE PARTITIONS NOTEBOOKS
# A misspelt setting is handed on with the others, so that it is refused and not ignored.
GIVEN = $(foreach word,$(MAKEOVERRIDES),$(if $(findstring =,$(word)),$(firstword $(subst =, ,$(word)))))
MISSPELT = $(filter-out $(NAMES) PYTHON SAMPLE NAME VENV LOCK,$(GIVEN))
SETTINGS = $(foreach name,$(NAMES) $(MISSPELT),$(if $($(name)),"$(name)=$($(name))"))
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUTF8 := 1

.DEFAULT_GOAL := help
.PHONY: help report quick partial explain map predict lab sample test test-slurm lint format lock record audit \
  clean clean-env

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22
	@echo "Settings of report, quick, explain, map: $(NAMES), e.g. make report REPEATS=5"

report: $(VENV)/ready  ## train what is missing, merge, plot, render figures/report.html
	@$(BIN)/python -m crossover.study report $(SETTINGS)

quick: $(VENV)/ready  ## a quick look: three widths, one epoch, figures/quick/report.html
	@$(BIN)/python -m crossover.study quick $(SETTINGS)

partial: $(VENV)/ready  ## report what is recorded so far, train nothing
	@$(BIN)/python -m crossover.study partial $(SETTINGS)
explain: $(VENV)/ready  ## what each change of the published protocol buys (ablations), then the report
	@$(BIN)/python -m crossover.study explain $(SETTINGS)

map: $(VENV)/ready  ## batch size x width: where the GPU pays off, then the report
	@$(BIN)/python -m crossover.study map $(SETTINGS)

predict: $(VENV)/ready  ## which device for my model: make predict PARAMETERS=500000 BATCH_SIZE=128
	@$(BIN)/python -m crossover.report.ask PARAMETERS=$(PARAMETERS) BATCH_SIZE=$(BATCH_SIZE)

lab: $(VENV)/ready  ## open the notebooks in JupyterLab, both kernels installed
	@$(BIN)/jupyter lab --ip=127.0.0.1 $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

record: $(VENV)/ready  ## keep this machine's trials: make record NAME=my-box
	@$(BIN)/python -m crossover.records.reference "$(NAME)"

sample: $(VENV)/ready  ## rebuild figures/reference from the tracked references
	@mkdir -p data/runs && cd notebooks && ../$(BIN)/papermill summary.ipynb ../data/runs/sample.ipynb --kernel crossover-cpu \
	  --no-progress-bar --log-level ERROR -p records ../data/reference/$(SAMPLE).jsonl \
	  -p limits ../data/reference/$(SAMPLE) \
	  -p figure_folder ../figures/reference -p table_folder ../figures/reference 2>/dev/null
	@$(BIN)/python -m crossover.report.render data/runs/sample.ipynb figures/reference/report.html

test: $(VENV)/tested lint  ## run the tests
	@$(BIN)/python -m pytest

test-slurm: $(VENV)/tested  ## run a study through a real SLURM on this machine (root, Debian's slurm-wlm and munge)
	@$(BIN)/python -m pytest -m slurm -s tests/test_slurm.py

lint: $(VENV)/tested  ## check style, types and stripped notebooks
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/nbstripout --keep-id --verify notebooks/*.ipynb

format: $(VENV)/tested  ## format the code, strip the notebooks
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .
	@$(BIN)/nbstripout --keep-id notebooks/*.ipynb

audit: $(VENV)/tested  ## look the locked packages up in the vulnerability database (needs a network)
	@found=$$($(BIN)/pip-audit --disable-pip --require-hashes --progress-spinner off \
	  --requirement requirements/$(LOCK).txt 2>&1); code=$$?; case "$$found" in \
	  *"Could not connect"*|*requests.exceptions*|*ServiceError*) \
	    echo "Not audited: the vulnerability database cannot be reached." ;; \
	  *) echo "$$found"; exit $$code ;; esac

lock:  ## resolve the locks anew (needs uv)
	@for lock in cpu test cuda jax jax-cuda torch; do \
	cp requirements/cpu.txt requirements/$$lock.txt 2>/dev/null; \
	uv pip compile pyproject.toml --extra $$lock --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --quiet --output-file requirements/$$lock.txt || exit 1; done

clean:  ## remove this machine's reports and executed notebooks; trials stay
	@rm -rf figures/*.* figures/quick data/summary.csv data/crossover.csv data/runs/*/notebooks data/runs/*/logs

clean-env:  ## remove the environment (of BACKEND)
	@rm -rf $(VENV)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Crossover needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Creating the environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/ready: requirements/$(LOCK).txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing the locked packages ($(LOCK)); this takes a few minutes once"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/$(LOCK).txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index -e .
	@$(BIN)/python -m crossover.kernels
	@touch $@

$(VENV)/tested: requirements/test.txt | $(VENV)/ready
	@echo "Installing the locked test packages"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/test.txt
	@touch $@
