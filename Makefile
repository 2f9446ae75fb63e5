# Every target sets up .venv by itself, and again when pyproject.toml or the pinned versions
# change. A Python 3.11 or newer is all that has to be there; `make PYTHON=...` chooses one.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CONSTRAINTS := scripts/constraints.txt

IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c '$(IS_NEW_ENOUGH)' 2>/dev/null && echo "$$python" && break; done)

# Scripts that draw pictures for the documentation, each into the folder that --out names.
FIGURE_SCRIPTS := $(wildcard scripts/build_*_figures.py)

.PHONY: help demo docs test check bench format clean

help:
	@echo "make demo     show the main job, and draw graphs into out/"
	@echo "make docs     build the documentation as a site, to be read without a network"
	@echo "make test     run the tests"
	@echo "make check    lint, types, import contracts, examples in the documentation"
	@echo "make bench    measure the overhead against plain PyTorch"
	@echo "make format   reformat the code"
	@echo "make clean    remove everything that these commands made, except $(VENV)"

demo: $(INSTALLED)
	$(BIN)/inspect-autograd demo --out out
	$(BIN)/python scripts/nonscalar_backward.py --out out

# From scratch, since a docstring of any module may have changed; a warning is an error.
docs: $(INSTALLED)
	@for script in $(FIGURE_SCRIPTS); do \
		echo "$$script" && $(BIN)/python "$$script" --out docs/images || exit 1; done
	$(BIN)/python scripts/build_tour_notebook.py --out docs/tour
	$(BIN)/python -m sphinx -qEW --keep-going -b html -d out/site-cache docs out/site
	@echo "Open out/site/index.html in a browser; no network is needed."

# `make check` runs tests/docs.
test: $(INSTALLED)
	$(BIN)/python -m pytest -n auto --ignore=tests/docs

check: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q tests/docs

bench: $(INSTALLED)
	$(BIN)/python -m tests.bench

format: $(INSTALLED)
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

clean:
	rm -rf out build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find inspect_autograd scripts tests -type d -name __pycache__ -prune -exec rm -rf {} +

# A virtual environment that already works is kept and only brought up to date.
$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	@rm -f $@
	@$(BIN)/python -c 'import pip; $(IS_NEW_ENOUGH)' 2>/dev/null || \
		$(MAKE) --no-print-directory new-venv
	@echo "Installing into $(VENV); the first time this downloads PyTorch and takes minutes."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint $(CONSTRAINTS) --editable '.[dev]'
	@touch $@

.PHONY: new-venv
new-venv:
	@"$(PYTHON)" -c '$(IS_NEW_ENOUGH)' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed; $(or $(PYTHON),python3) is older or missing." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear $(VENV) || { \
		echo "$(PYTHON) cannot make a virtual environment: its venv module is missing" >&2; \
		echo "(on Debian and Ubuntu install the package python3-venv)." >&2; exit 1; }
