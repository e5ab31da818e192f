# The commands of this repository; `make` alone lists them. Everything installs through constraints.txt into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST_OPTIONS ?=

# One thread per operation: the networks of the tests are too small to share between cores.
test check: export OMP_NUM_THREADS := 1

.DEFAULT_GOAL := help
.PHONY: help study test check format-check lint types layers format wheel clean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "foolscope needs Python 3.11 or newer; say which with make PYTHON=python3.11")'
	@$(PYTHON) -m venv --clear $(VENV)
	@echo 'Installing what constraints.txt pins; this takes a minute or two.'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt --editable '.[dev]'
	@touch $@

study: $(STAMP) ## set up, then run the first study and write its report
	@$(BIN)/foolscope study

test: $(STAMP) ## set up, then run all tests and examples; types and shapes are checked at each call
	$(BIN)/python -m pytest -n auto --jaxtyping-packages=foolscope,typechecking.checked --doctest-modules src tests $(PYTEST_OPTIONS)

check: format-check lint types layers test ## everything that CI asks of a change

format-check: $(STAMP)
	$(BIN)/ruff format --check .

lint: $(STAMP)
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports --no-logo

format: $(STAMP) ## put code in the one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

wheel: $(STAMP) ## build wheel and sdist, try the wheel in an empty environment outside the repository
	PYTHON=$(BIN)/python scripts/check_wheel

clean: ## remove the environment, builds and caches; runs and reports stay
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
