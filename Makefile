# Two commands set everything up on a machine that has Python >= 3.11, make and a package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo quick test soak check minimum docs site screenshots clean

demo: $(VENV)/.base  ## install, index the Python documentation of this machine, search it
	$(BIN)/lsr demo

quick: $(VENV)/.dev  ## what to run while editing, in 90 seconds: lint, types, the tests that take little
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile -q -m "not slow"

test: $(VENV)/.dev  ## install what the tests need and run them all
	$(BIN)/python -m pytest -n 2 --dist loadfile

SOAK ?= 20
FAULTS := $(addprefix tests/index/test_,powercut.py kill.py damage.py hostile.py stateful.py concurrency.py) \
	tests/service/test_kill_server.py

soak: $(VENV)/.dev  ## the tests of faults, SOAK times as many of each
	LSR_FAULT_SCALE=$(SOAK) $(BIN)/python -m pytest -n 2 --dist load $(FAULTS)

check: $(VENV)/.dev  ## lint, format, types, import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

minimum:  ## the lowest versions of the dependencies, in an environment of their own, used once
	.ci/minimum lowest .venv-minimum $(PYTHON)

docs: $(VENV)/.dev  ## write the command reference from the commands themselves
	$(BIN)/typer lsr_service.cli.main utils docs --name lsr --title "Command line" --output docs/cli.md

site: docs  ## build the documentation site in site/
	$(BIN)/mkdocs build --strict

screenshots: $(VENV)/.base  ## the pictures of the search page, made with Chromium
	$(BIN)/python docs/screenshots.py

$(VENV)/.base: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[torch,dense,dev]"
	touch $@ $(VENV)/.base

clean:
	rm -rf $(VENV) .venv-* .numba_cache .pytest_cache .mypy_cache .ruff_cache
