# One word each. Every target does its own set-up, in .venv, and again when pyproject.toml changes.
#
#   make demo       from nothing to an actor's log, with a real container
#   make test       all checks and all tests; needs a container engine (installed and started on Debian and Ubuntu)
#   make test-fast  the tests that need neither an engine nor a running daemon
#   make check      format, lint, types, import contracts
#   make format     format the code, and repair what the linter can repair
#   make bench      what abacod takes for messages, executions and more, beside the least that could do the same
#   make serve      the daemon on 127.0.0.1:8000, with its data in ./abacod-data
#   make clean      remove all that make and the tools have made, but not ./abacod-data

BIN = .venv/bin
# The first Python that works is taken, newest first; set PYTHON to choose another.
PYTHON =

.PHONY: demo test test-fast check format bench serve clean engine

demo: .venv/installed engine
	@PATH="$$PWD/$(BIN):$$PATH" examples/quickstart.sh

test: .venv/installed engine check
	REQUIRE_DOCKER=1 $(BIN)/pytest

test-fast: .venv/installed
	$(BIN)/pytest -n 2 -m "not docker and not daemon"

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/bench engine
	$(BIN)/python -m bench

serve: .venv/installed engine
	$(BIN)/abacod serve

clean:
	rm -rf .venv build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

engine:
	@scripts/engine start

# A candidate is tried and not only looked for: Debian's python3 comes without ensurepip, and version managers put
# names on the PATH that do not run. `--group` needs pip 25.1.
.venv/installed: pyproject.toml
	@found=; for python in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
	    $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	    found=yes; \
	    $$python -c 'import ensurepip, venv' >/dev/null 2>&1 || continue; \
	    echo "Setting up .venv with $$($$python --version)"; \
	    exec $$python -m venv .venv; \
	done; \
	case $$found in \
	yes) echo "Python has no working venv module here; install it (Debian, Ubuntu: python3-venv)." >&2;; \
	*) echo "abacod needs Python 3.11 or newer, and none was found." >&2;; \
	esac; \
	exit 1
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . --group dev
	@touch $@

.venv/bench: .venv/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	@touch $@
