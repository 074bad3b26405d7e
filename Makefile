# The same commands for developers, pre-commit and CI. Every target creates the virtual environment if necessary.
SCALE ?= cpu
DATA ?= auto
SEEDS ?=
EXPERIMENTS ?= core
JOBS ?=
HOURS ?=
RECORD ?=
LAUNCHER ?= local
WAIT ?= 1
DRY_RUN ?=
TEST_JOBS ?= 3
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NEXT := .venv-next
PEERS := .venv-peers

.DEFAULT_GOAL := help
.PHONY: help install lock lint format type test test-fast docs docs-serve notebook dist test-next reproduce-ablations report verify watch open-table reference-models bench bench-quality bench-peers stress clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  make %-20s %s\n", $$1, $$2}'
	@echo
	@echo "  make reproduce-ablations takes SCALE=smoke|cpu|laptop|paper DATA=auto|isbi2012|synthetic|... SEEDS=n"
	@echo "       EXPERIMENTS=core|all|name,name,... JOBS=n (unet-repro reproduce --help lists the names)"
	@echo "       LAUNCHER=local|joblib|slurm DRY_RUN=1 (print progress and estimated time only)"
	@echo "       WAIT=0 (with LAUNCHER=slurm: only submit the jobs; unet-repro sweep-status shows them)"
	@echo "       SCALE=laptop trains until the claims are decided; HOURS=8 stops it earlier, to be continued"

install: $(READY) ## create the virtual environment .venv with all dependencies

# requirements.lock has the hash of every package but torch, whose build depends on the machine. What pyproject.toml has
# asked for since the last `make lock` is added at the end.
$(READY): pyproject.toml constraints.txt requirements.lock
	@rm -f $@
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; choose one: make PYTHON=python3.12") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $@
	@echo "ready: \`source $(VENV)/bin/activate\`, then \`unet-repro --help\`"

lock: $(READY) ## renew requirements.lock within constraints.txt, for all platforms and Pythons, with hashes
	$(BIN)/python -m pip install --quiet --constraint constraints.txt '$(shell sed -nE 's/^lock = \["([^"]+)"\].*/\1/p' pyproject.toml)'
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --constraint constraints.txt \
	  --generate-hashes --no-emit-package torch --no-annotate --no-emit-index-url --upgrade \
	  --custom-compile-command 'make lock' --output-file requirements.lock pyproject.toml

lint: $(READY) ## ruff and strict types; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## apply ruff's fixes and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: $(READY) ## strict types only
	$(BIN)/mypy

test: $(READY) ## run all tests; set UNET_REPRO_DATA to include tests on real data
	$(BIN)/pytest -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder

test-fast: $(READY) ## run the tests of single modules that take no training, in less than two minutes
	$(BIN)/pytest -n $(TEST_JOBS) tests/unit -m 'not slow'

# Not in requirements.lock, which is what running and testing need.
$(VENV)/.docs: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[docs]'
	@touch $@

docs: $(VENV)/.docs ## build the documentation in site/, with warnings as errors, and check its links
	$(BIN)/python docs/make build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python docs/make/check.py site
	@echo "open site/index.html"

docs-serve: docs ## the same, at http://127.0.0.1:8000
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory site 8000

notebook: $(VENV)/.docs ## execute examples/quickstart.py, and write the notebook with what it printed and drew
	rm -rf build/notebook && mkdir -p build/notebook
	$(BIN)/jupytext --to ipynb --execute --run-path build/notebook --output examples/quickstart.ipynb examples/quickstart.py

dist: $(READY) ## build wheel and sdist in dist/, and check what an index would refuse
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*

$(NEXT): $(READY)
	$(BIN)/python -m venv $@
	echo "import site; site.addsitedir('$$(echo $(CURDIR)/$(VENV)/lib/python3*/site-packages)')" \
	  > $$(echo $@/lib/python3*/site-packages)/next.pth
	$@/bin/python -m pip install --quiet --pre --upgrade hydra-core omegaconf || { rm -rf $@; exit 1; }

test-next: $(NEXT) ## run the tests of the configuration on the newest pre-releases of Hydra and OmegaConf, in .venv-next
	$(NEXT)/bin/python -m pip list 2>/dev/null | grep -E '^(hydra-core|omegaconf) '
	$(NEXT)/bin/python -m pytest -W default tests/config tests/integration/test_own_files.py

reproduce-ablations: $(READY) ## train the ablations and write reports/ablations; resumable
	$(BIN)/unet-repro reproduce --scale $(SCALE) --data $(DATA) --experiments $(EXPERIMENTS) \
	  --launcher $(LAUNCHER) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(JOBS),--jobs $(JOBS)) $(if $(DRY_RUN),--dry-run) \
	  $(if $(HOURS),--hours $(HOURS)) $(if $(RECORD),--record) $(if $(filter 0,$(WAIT)),--no-wait)

report: $(READY) ## write page, verdicts, tables and figures of the runs trained so far
	$(BIN)/unet-repro report

verify: $(READY) ## check that README and page agree with the record, and train one of its runs again
	$(BIN)/unet-repro verify $(if $(RUN),--run $(RUN))

watch: $(READY) ## update the page while a suite runs elsewhere
	$(BIN)/unet-repro report --watch

$(VENV)/.bench: $(READY) # elasticdeform's wheel is built for NumPy 1
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-binary elasticdeform --editable '.[bench]'
	@touch $@

bench: $(VENV)/.bench ## benchmark against this machine's limits and other libraries; over an hour
	$(BIN)/python benchmarks/training_step.py $(if $(wildcard ../before/src),--before ../before/src)
	for name in neighbour cost_model suite commands parallel resume prediction; do \
	  $(BIN)/python benchmarks/$$name.py || exit 1; done
	for name in augment weight_maps measures; do OMP_NUM_THREADS=1 $(BIN)/python benchmarks/$$name.py || exit 1; done
	if nvidia-smi >/dev/null 2>&1; then $(BIN)/python benchmarks/training_step.py --device cuda --batch 4 --tile 572; fi
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/table.py

bench-quality: $(VENV)/.bench ## quality on EM: against MONAI at equal training time, and with bf16; over two hours
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/precision.py
	$(BIN)/python benchmarks/table.py

# torchvision, which nnU-Net's dependencies ask for and no training here uses, needs torch's build for the same machine.
$(PEERS)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --constraint constraints.txt torch
	$(PEERS)/bin/python -m pip install --quiet --constraint constraints.txt --no-binary elasticdeform --editable '.[peers]'
	$(PEERS)/bin/python -m pip uninstall --quiet --yes torchvision
	@touch $@

MINUTES := 10
bench-peers: $(READY) $(PEERS)/.ready ## nnU-Net, Cellpose and BasicUNet on the open table's folds, MINUTES each; resumable, about 8 hours
	$(PEERS)/bin/python benchmarks/peers.py --minutes $(MINUTES)
	$(BIN)/unet-repro report --record

VIEWS := 1 8
open-table: $(READY) ## train and measure the recommended settings on all public images; resumable, JOBS=n at once
	for name in kfold sequences objects; do \
	  $(BIN)/unet-repro train -m experiment=$$name seed=0,1,2 $$(test $$name = kfold && echo data=isbi2012) \
	    hydra/launcher=local $(if $(JOBS),hydra.launcher.jobs=$(JOBS)) || exit 1; done
	for views in $(VIEWS); do \
	  $(BIN)/unet-repro evaluate comparison=kfold views=$$views record=experiments/record/open && \
	  $(BIN)/unet-repro evaluate comparison=sequences part=test checkpoint=last views=$$views record=experiments/record/open && \
	  $(BIN)/unet-repro evaluate comparison=objects checkpoint=last views=$$views warping=false gold=false \
	    record=experiments/record/open || exit 1; done
	$(BIN)/unet-repro report --record

reference-models: $(READY) ## pack trained runs as networks of this program: NETWORKS="em-membranes=runs/ID hela-dic=runs/ID"
	$(BIN)/python benchmarks/reference_models.py $(NETWORKS)

stress: $(READY) ## kill a sweep's workers at random 50 times, compare with an undisturbed sweep, and publish the result
	$(BIN)/python benchmarks/stress.py --publish experiments/README.md

clean: ## remove the virtual environment and caches, but not runs and reports
	rm -rf $(VENV) $(NEXT) $(PEERS) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
