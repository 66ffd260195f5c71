# Each target sets up .venv by itself when it is needed, with Python >= 3.10, git and make and nothing else.

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
# Tests mostly wait: three processes keep two cores busy.
JOBS   ?= 3
BIN    := $(VENV)/bin
LAB    := $(VENV)/.ready-lab
TEST   := $(VENV)/.ready-test
PIP     = $(BIN)/python -m pip -qq --disable-pip-version-check --no-input
export PIP_ROOT_USER_ACTION = ignore

.DEFAULT_GOAL := help
.PHONY: help demo lab test bench pictures lint matrix wheel clean

help: ## what can be made (this list)
	@echo "make TARGET [PYTHON=python3.12] [VENV=.venv] [JOBS=3] [ARGS='options for the command behind it']"
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do printf '  %-8s %s\n' "$$name" "$$text"; done

demo: $(LAB) ## run the quickstart notebook against the simulator, print its log, write a report
	@$(BIN)/imagen-nb demo $(ARGS)

lab: $(LAB) ## open JupyterLab on notebooks/
	@$(BIN)/imagen-nb lab $(ARGS)

test: $(TEST) ## the whole test suite, the browser part included when a Chromium can be had
	@$(BIN)/python tests/support/chromium.py --get
	@$(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=loadgroup $(ARGS)

bench: $(TEST) ## speed and memory, side by side with the official client; fails where a figure is missed
	@$(BIN)/python tests/bench $(ARGS)

pictures: $(TEST) ## take the README's pictures anew, from a real JupyterLab
	@$(BIN)/python tests/browser/screenshots.py

lint: $(TEST) ## ruff, mypy and the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/lint-imports --no-cache

matrix: $(TEST) ## kernel tests on the lowest, a middle and the newest set of versions
	@$(BIN)/python tests/matrix/sets.py $(ARGS)

wheel: $(TEST) ## build dist/*.whl
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null
	@ls dist/*.whl

clean: ## remove what the other targets made, except .venv
	rm -rf build dist artifacts notebooks/out .venv-matrix .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find imagen_nb tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(LAB): pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV) with JupyterLab; this happens once ..."
	@$(PIP) install --editable '.[lab]'
	@touch $@

$(TEST): pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV) for development; this happens once ..."
	@$(PIP) install --editable '.[test]'
	@touch $(LAB) $@

# The first of $(PYTHON), python3.13 ... python3.10 that is new enough; one named by hand is taken at its word.
$(BIN)/python:
	@is_new() { "$$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; }; \
	found=; \
	for each in "$(PYTHON)" $(if $(filter file,$(origin PYTHON)),python3.13 python3.12 python3.11 python3.10); do \
	  if is_new "$$each"; then found=$$each; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Python 3.10 or newer is needed, and $(PYTHON) is $$("$(PYTHON)" --version 2>&1 || true)." >&2; \
	  echo "Install one, or name it: make PYTHON=/path/to/python3 ..." >&2; exit 1; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	  echo "$$found cannot make virtual environments: its venv or ensurepip module is missing." >&2; \
	  echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	fi; \
	"$$found" -m venv "$(VENV)"
