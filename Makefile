# make demo and make test need git, make and Python 3.11 or newer; the rest is installed into .venv.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test nightly check format clean

# Asked of each: does it run and is it new enough? (A pyenv shim may be on the path and not run.)
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)

BIN := .venv/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

help:
	@echo "make demo     train on real digits, sample, measure (about two minutes the first time)"
	@echo "make test     all checks: lint, types, import floors, tests"
	@echo "make nightly  what takes an hour: kills at every system call, full disks, a long soak"
	@echo "make check    the same without the tests"
	@echo "make format   put the code into shape"
	@echo "make clean    remove caches and build output (.venv and runs stay)"
	@echo "Python: the first of python3.11 (tested), 3.12, 3.13, python3; another one with PYTHON=/path/to/python"

demo: .venv/.installed
	@$(BIN)/unnoise demo

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --durations=15

nightly: .venv/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --run-slow -m slow --timeout=3600

check: .venv/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

format: .venv/.installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf build dist *.egg-info .pytest_cache .hypothesis .ruff_cache .import_linter_cache
	find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# A .venv that works is kept, whoever made it; a half-made one is made anew.
define make_venv
@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	python="$(PYTHON)"; \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "unnoise needs Python 3.11 or newer. Install it, or name it: make PYTHON=/path/to/python" >&2; exit 1; }; \
	"$$python" -m venv --clear .venv || { \
		echo "Could not make .venv. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; }
endef

.venv/.installed: pyproject.toml constraints.txt
	$(make_venv)
	@echo "Installing unnoise and what it needs into .venv (about a minute) ..."
	@$(PIP) -e .
	@touch $@

.venv/.installed-dev: pyproject.toml constraints.txt
	$(make_venv)
	@echo "Installing unnoise and the test tools into .venv (about a minute) ..."
	@$(PIP) -e '.[dev]'
	@touch .venv/.installed $@
