# Crossover: every verb sets up what it needs and does nothing twice.
BACKEND ?= tensorflow
ifeq ($(filter $(BACKEND),tensorflow jax torch),)
$(error BACKEND is '$(BACKEND)': choose tensorflow, jax or torch)
endif
# An environment a backend: their CUDA libraries don't mix, and none can break another's.
ifeq ($(VENV),system)
override VENV := .venv-system$(if $(filter-out tensorflow,$(BACKEND)),-$(BACKEND))
else
VENV := .venv$(if $(filter-out tensorflow,$(BACKEND)),-$(BACKEND))
endif
ifneq ($(word 2,$(VENV)),)
$(error VENV is '$(VENV)': its path may hold no space)
endif
BIN := $(VENV)/bin
# Where the driver's library shows a card, the script that makes the environment takes the lock
# with CUDA instead (some 3 GB more); torch has one for both.
LOCK := $(patsubst tensorflow,cpu,$(BACKEND))
# The references that have a sample report, with the backend of its study; the README shows the first.
SAMPLES ?= nvidia-h100:jax amd-epyc-2-cores:tensorflow
SOURCES := $(patsubst %,notebooks/%.ipynb,train ceilings explain own summary)
NAMES := WIDTHS DEVICES PROTOCOLS REPEATS EPOCHS BATCH_SIZE BACKEND THREADS SEED SHARDS PROFILE PARTITIONS NOTEBOOKS \
  CPU_PRICE GPU_PRICE
# A misspelt setting is refused by the script that makes the environment, and not ignored.
GIVEN = $(foreach word,$(MAKEOVERRIDES),$(if $(findstring =,$(word)),$(firstword $(subst =, ,$(word)))))
MISSPELT = $(filter-out $(NAMES) $(OTHERS),$(GIVEN))
OTHERS := PYTHON SAMPLES NAME VENV LOCK PARAMETERS MODEL SECONDS ENVIRONMENT
# The default backend is not handed on: `partial` is about the last study's.
ASKED = $(if $(filter file,$(origin BACKEND)),$(filter-out BACKEND,$(NAMES)),$(NAMES))
SETTINGS = $(foreach name,$(ASKED),$(if $($(name)),"$(name)=$($(name))"))
export CROSSOVER_KNOWN := $(NAMES) $(OTHERS)
export CROSSOVER_UNKNOWN = $(MISSPELT)
# What the user typed, for sentences that say what to type next.
export CROSSOVER_COMMAND = make $(MAKECMDGOALS)$(foreach name,$(filter-out PYTHON,$(GIVEN)), $(name)="$(patsubst .venv-system%,system,$($(name)))")
export PYTHON
# A lock that was named is meant; one that was chosen here gives way to its like with CUDA.
export CROSSOVER_LOCK_NAMED := $(filter command,$(origin LOCK))
export PYTHONUTF8 := 1
# What libraries write goes to the project's own folders, unless these variables say otherwise.
OWN := $(CURDIR)/data/runs/cache
export MPLCONFIGDIR ?= $(OWN)/matplotlib
export IPYTHONDIR ?= $(OWN)/ipython
# Colab's and Kaggle's, which names a module that our kernels need not have.
unexport MPLBACKEND
ifeq ($(shell [ -n "$$HOME" ] && place=$$(mktemp -d "$$HOME/.crossover-XXXXXX" 2>/dev/null) && \
  rmdir "$$place" && echo writable),)
export HOME := $(CURDIR)/data/runs/home
export PIP_NO_CACHE_DIR ?= 1
export UV_NO_CACHE ?= 1
endif
# Any Python 3 can read this script, which chooses among all that there are.
ENVIRONMENT ?= for each in $(BIN)/python python3 python3.13 python3.12 python3.11 "$$PYTHON"; do \
  "$$each" -I -c 'import sys; sys.exit(sys.version_info < (3, 7))' 2>/dev/null && \
  exec "$$each" -I -X utf8 requirements/environment.py $(VENV) $(BACKEND) $(WANTED); done; \
  echo "crossover: no Python 3 is on PATH: install Python 3.13, then run the same command." >&2; exit 1

.DEFAULT_GOAL := help
.PHONY: help report quick partial explain map mine predict lab sample test test-all test-slurm lint format lock record audit compiled \
  clean clean-env ready tested

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22
	@echo "Settings of report, quick, explain, map: $(NAMES), e.g. make report REPEATS=5"
	@echo "CPU_PRICE and GPU_PRICE are those of report, quick, partial and predict."
	@echo "Settings of all: BACKEND=jax, VENV=system (use the system's framework), PYTHON=python3.12"

report:  ## train what is missing, merge, plot, render figures/report.html
quick:  ## a quick look: three widths, one epoch, figures/quick/report.html
partial:  ## report what is recorded so far, train nothing
explain:  ## why: the path from published to tuned, trained in turns, then the report
map:  ## batch size x width: where the GPU pays off, then the report
report quick partial explain map: ready
	@$(BIN)/python -m crossover $@ $(SETTINGS)

mine: ready  ## your own model, measured: make mine MODEL=examples/convolution.py
	@$(BIN)/python -m crossover mine $(SETTINGS) "MODEL=$(MODEL)" "SECONDS=$(if $(filter command,$(origin SECONDS)),$(SECONDS))"

predict: ready  ## which device for my model: make predict PARAMETERS=500000 BATCH_SIZE=128
	@$(BIN)/python -m crossover predict "PARAMETERS=$(PARAMETERS)" "BATCH_SIZE=$(BATCH_SIZE)" \
	  "CPU_PRICE=$(CPU_PRICE)" "GPU_PRICE=$(GPU_PRICE)"

lab: ready  ## open the notebooks in JupyterLab, both kernels installed
	@$(BIN)/jupyter lab --ip=127.0.0.1 $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

record: ready  ## keep this machine's trials: make record NAME=my-box
	@$(BIN)/python -m crossover record "NAME=$(NAME)"

sample: tested  ## rebuild figures/reference from the tracked references, its pictures with Chromium
	@mkdir -p data/runs; for sample in $(SAMPLES); do name=$${sample%:*} run=data/runs/sample-$${sample%:*}; \
	  ( cd notebooks && ../$(BIN)/papermill summary.ipynb ../$$run.ipynb --kernel crossover-cpu \
	    --no-progress-bar --log-level ERROR -p backend $${sample#*:} -p records ../data/reference/$$name.jsonl \
	    -p ceilings ../data/reference/$$name -p rounds ../data/reference/$$name/rounds -p own ../data/reference/$$name/own \
	    -p figure_folder ../figures/reference/$$name -p table_folder ../figures/reference/$$name \
	    2>../$$run.log ) || { tail -n 5 $$run.log >&2; exit 1; }; \
	  $(BIN)/python -m crossover render NOTEBOOK=$$run.ipynb PAGE=figures/reference/$$name/report.html || exit 1; \
	done
	@$(BIN)/python docs/pictures.py figures/reference/$(firstword $(subst :, ,$(SAMPLES)))

test: tested lint  ## run the tests, in some six minutes on two cores
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not long"

# Three workers, for these tests wait for other processes a lot.
test-all: test  ## and those that take longest: kills, browsers, every backend, a SLURM
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 12 -m long

test-slurm: tested  ## run a study through a real SLURM on this machine (root, Debian's slurm-wlm and munge)
	@$(BIN)/python -m pytest -m slurm -s tests/test_slurm.py

lint: tested  ## check style, types and stripped notebooks
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy && $(BIN)/mypy --strict requirements/environment.py
	@$(BIN)/nbstripout --keep-id --verify $(SOURCES)

format: tested  ## format the code, strip the notebooks
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .
	@$(BIN)/nbstripout --keep-id $(SOURCES)

compiled:  ## compile the steps for a GPU that is not there: kernels, bytes, precision (Linux)
	@$(MAKE) --no-print-directory VENV=.venv-compiled LOCK=compiled ready
	@.venv-compiled/bin/python benchmarks/compiled.py 2>data/runs/compiled.log || { tail -n 5 data/runs/compiled.log >&2; exit 1; }

audit: tested  ## look the locked packages up in the vulnerability database (needs a network)
	@found=$$($(BIN)/pip-audit --disable-pip --require-hashes --progress-spinner off $$($(BIN)/python -c \
	  'import json, sys; print(*["--requirement=requirements/%s.txt" % lock for lock in json.load(open(sys.argv[1]))["locks"] if lock != "test"])' \
	  $(VENV)/ready) 2>&1); code=$$?; case "$$found" in \
	  *"Could not connect"*|*requests.exceptions*|*ServiceError*) \
	    echo "Not audited: the vulnerability database cannot be reached." ;; \
	  *) echo "$$found"; exit $$code ;; esac

lock:  ## resolve the locks anew (needs uv)
	@for lock in cpu test cuda jax jax-cuda torch compiled; do \
	cp requirements/cpu.txt requirements/$$lock.txt 2>/dev/null; \
	uv pip compile pyproject.toml --extra $$lock --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --quiet --output-file requirements/$$lock.txt || exit 1; done

clean:  ## remove this machine's reports and executed notebooks; trials stay
	@rm -rf figures/*.* figures/quick data/summary.csv data/crossover.csv data/chart.csv data/runs/*/notebooks data/runs/*/logs
	@echo "Removed this machine's reports and executed notebooks; the trials in data/runs stay."

clean-env:  ## remove the environment (of BACKEND)

# All three are one script's; a tenth of a second where the environment is whole.
ready: WANTED := $(LOCK)
tested: WANTED := $(LOCK) test
clean-env: WANTED := --remove
ready tested clean-env:
	@$(ENVIRONMENT)
