# Everything happens in .venv; nothing else is touched.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test test-all lint clean

demo: $(READY)
	$(BIN)/downshift demo --out build/demo

test: $(READY)
	$(BIN)/pytest -q -n 2

test-all: $(READY)
	$(BIN)/pytest -q -n 2 -m "slow or not slow"

lint: $(READY)
	$(BIN)/ruff check --ignore-noqa
	$(BIN)/ruff format --check

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Downshift needs Python 3.11 or newer, $(PYTHON) is older; make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' \
	  || { echo "$(PYTHON) cannot make virtual environments; apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
