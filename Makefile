# make demo and make test are all a machine with Python, make and a compiler needs; see make help.

# The Python that .venv has, or the first one that the ROS 2 wheels exist for; make PYTHON=python3.11
# names another.
IS_SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
CANDIDATES := python3 python3.13 python3.12 python3.11 python3.10
ifndef PYTHON
PYTHON := $(shell for python in .venv/bin/python $(CANDIDATES); do \
	$$python -c '$(IS_SUPPORTED)' 2>/dev/null && echo $$python && break; done)
endif

# A sourced ROS 2 installation must not mix with the one in .venv.
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH PYTHONHOME PYTHONPATH
unexport RMW_IMPLEMENTATION ROS_DISTRO _ROS_WHEELS_BOOTSTRAP_COMPLETE

# Nodes of demo and test hear this machine alone, and large images fit through shared memory.
export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST
export FASTDDS_DEFAULT_PROFILES_FILE := $(CURDIR)/config/fastdds.xml

# Threads of PyTorch that wait for each other do not spin: on a busy machine that is ten times faster.
export OMP_WAIT_POLICY := PASSIVE

BIN := .venv/bin

.PHONY: help setup demo test lint docs clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

setup:  ## Build .venv: ROS 2 from wheels, the messages, da3_ros in place; seconds when nothing changed
	@$(or $(PYTHON),false) -c '$(IS_SUPPORTED)' 2>/dev/null || { echo "setup: Python 3.10 to 3.13 is" \
		"needed; $(if $(PYTHON),$(PYTHON) is another,none of $(CANDIDATES) is one): name one with" \
		"make PYTHON=/path/to/python3." >&2; exit 1; }
	@$(PYTHON) test/environment/build.py

demo: setup  ## Render a scene, play it through the node over DDS, and report errors and latency
	@$(BIN)/da3 demo

lint: setup  ## Check style and the direction of the imports
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -m pytest -q test/unit/test_imports.py

test: lint  ## Run lint and all tests
	@$(BIN)/python -m pytest

# Sphinx stays out of .venv: nothing else needs it, and it wants an older docutils than ROS has.
docs: setup build/sphinx  ## Write the README's table of parameters; build the pages in build/docs
	@$(BIN)/python docs/parameters.py
	@PYTHONPATH=$$(echo build/sphinx/lib/python*/site-packages) $(BIN)/python -m sphinx --quiet \
		--fail-on-warning --keep-going --conf-dir docs --builder html . build/docs
	@echo "docs: build/docs/docs/index.html"

build/sphinx: docs/requirements.txt | setup
	@rm -rf $@ && $(BIN)/python -m venv $@
	@$@/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

clean:  ## Remove .venv and everything else that was built
	rm -rf .venv build install log demo_output *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
