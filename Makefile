# A fresh clone needs make and Python 3.11 to 3.13 (with venv). The first command installs everything else into .venv.
# Another interpreter is chosen once, and kept: make book PYTHON=python3.12
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help environment labs book test quick gpu lint lock serve address clean

ENVIRONMENT := .venv
BIN := $(ENVIRONMENT)/bin
PYTHON ?= $(or $(wildcard $(BIN)/python),python3)
UV := uv==0.13.9
PORT ?= 8000

# The name of a stamp holds a hash of everything that its product depends on, so that a change of any of it asks for a new one.
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
hash = $(shell cat $(1) 2>/dev/null | sha256sum | cut -c1-16)
ENVIRONMENT_STAMP := $(ENVIRONMENT)/made-with-$(PYTHON_VERSION)-$(call hash,requirements.lock pyproject.toml)
WENT_WELL := _build/went-well-$(call hash,_config.yml book/_extensions/*.py book/_static/*)

# The notebooks of the book run on this environment's kernel, whatever other kernels the user has.
export JUPYTER_PREFER_ENV_PATH := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

help: ## show these lines
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 20

environment: $(ENVIRONMENT_STAMP) ## make or refresh the virtual environment in .venv

$(ENVIRONMENT_STAMP):
	@case "$(PYTHON_VERSION)" in 3.11|3.12|3.13) ;; *) \
	  echo "Python 3.11, 3.12 or 3.13 is needed, and '$(PYTHON)' is $(or $(PYTHON_VERSION),not to be found). Choose one: make book PYTHON=python3.12" >&2; \
	  exit 1;; esac
	@if ! $(BIN)/python -c 'import pip, sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(PYTHON_VERSION)")' 2>/dev/null; then \
	  $(PYTHON) -m venv --clear $(ENVIRONMENT) || { rm -rf $(ENVIRONMENT); exit 1; }; fi
	@echo "Installing requirements.lock into $(ENVIRONMENT): a few minutes the first time."
	@# The constraint holds for the tools that build a package which comes as source only.
	PIP_CONSTRAINT=requirements.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@rm -f $(ENVIRONMENT)/made-with-*
	@touch $@

# Versions that are already in the lock stay, unless requirements.txt asks for another: for the newest of everything, delete the lock first.
lock: ## write requirements.lock, the exact versions and hashes of everything, from requirements.txt
	@[ -x _build/lock/bin/uv ] || { $(PYTHON) -m venv --clear _build/lock && _build/lock/bin/pip install --quiet --disable-pip-version-check $(UV); }
	_build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --custom-compile-command "make lock" --output-file requirements.lock requirements.txt

labs: $(ENVIRONMENT_STAMP) ## write labs/*.ipynb and solutions/*.ipynb from solutions/*.py
	$(BIN)/python -m tools.labs

# Sphinx does not read a page again, nor repeat its warnings, unless the page has changed: after a build that failed, or with another
# extension or style, it reads all of them.
book: labs ## build the site into _build/html, executing the notebooks that changed
	@[ -e $(WENT_WELL) ] || rm -rf _build/.doctrees
	@rm -f _build/went-well-*
	-$(BIN)/python -m benchmarks.labs --changed # names a lab with too little room; whether that fails is for the tests
	$(BIN)/python -m tools.execute
	$(BIN)/jupyter-book build -W --keep-going -n .
	@touch $(WENT_WELL)

lint: $(ENVIRONMENT_STAMP) ## check style, and that the notebooks match their sources
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tools.labs --check

# The check comes before the book, which would write the notebooks again.
test: lint ## run every check and every test, including those of the book in a browser
	$(MAKE) book
	$(BIN)/python -m pytest --durations=30

quick: lint ## run every check, and every test that needs no training and no book
	$(BIN)/python -m pytest -m "not trains"

gpu: $(ENVIRONMENT_STAMP) ## run the tests that need an NVIDIA GPU, in minutes, and print a table; without one, say so
	$(BIN)/python -m pytest tests/gpu || [ $$? = 5 ] # without a GPU there is no test to run, and the line above says so

serve: book ## build the site and show it at http://localhost:8000 (PORT=...)
	$(BIN)/python -m http.server --directory _build/html --bind 127.0.0.1 $(PORT)

# Badges and setup cells hold the repository's address, which is written down in _config.yml.
ADDRESS_NOW = $(shell sed -n 's#^  url: https://github.com/##p' _config.yml)
address: $(ENVIRONMENT_STAMP) ## REPOSITORY=https://github.com/YOU/FORK puts your fork's address everywhere
	@[[ "$(REPOSITORY)" =~ ^https://github.com/[^/]+/[^/]+$$ ]] || { echo "Say: make address REPOSITORY=https://github.com/YOU/FORK" >&2; exit 1; }
	sed -i 's#$(ADDRESS_NOW)#$(REPOSITORY:https://github.com/%=%)#g' _config.yml README.md
	$(BIN)/python -m tools.labs

clean: ## remove the site and the executed notebooks; the environment stays
	rm -rf _build .pytest_cache .ruff_cache
