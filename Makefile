# One environment, one way to run each thing. `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PY ?= $(BIN)/python
TRAIN := $(addprefix train-,photo photo-fast denoise deblur inpaint)

.DEFAULT_GOAL := help
.PHONY: help demo test check format $(TRAIN) benchmark gpu-check clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '  make %-16s train a shipped bundle anew: PHOTOS=folder\n' $(TRAIN)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "restore needs Python 3.11 or newer: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)  ## restore sample photos with the shipped weights and write demo/index.html
	$(BIN)/restore demo --out demo

test: $(STAMP)  ## run the tests
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(STAMP)  ## format, lint, types and layers, as CI does
	$(BIN)/ruff format --check restore tests
	$(BIN)/ruff check restore tests
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## format the code and mend what can be mended
	$(BIN)/ruff format restore tests
	$(BIN)/ruff check --fix restore tests

$(TRAIN): train-%: $(STAMP)
	$(BIN)/restore fit --config configs/$*.yaml $(if $(PHOTOS),--data.photos_dir "$(PHOTOS)")

benchmark: $(STAMP)  ## measure speed and memory on this machine
	$(BIN)/restore benchmark --speed

# make gpu-check PY=python3 where torch is installed already and nothing can be downloaded.
gpu-check: $(if $(filter file,$(origin PY)),$(STAMP))  ## on a machine with a GPU: its tests, mixed precision, speed and memory
	@case "$$($(PY) -c 'import torch; print(torch.cuda.is_available())')" in \
	True) $(PY) -m pytest -m gpu tests/gpu && \
		$(PY) -m restore benchmark --speed network photo training --device cuda --out benchmark/gpu ;; \
	False) echo "gpu-check: skipped, torch sees no CUDA GPU here" ;; \
	*) echo "gpu-check: $(PY) cannot import torch"; exit 1 ;; \
	esac

clean:  ## remove what the commands wrote; keeps .venv
	rm -rf demo runs build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
