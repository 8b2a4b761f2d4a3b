# Each target says in one sentence what it does; `make` lists them.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/sh
# Without bytecode each of the parallel processes compiles every module again.
unexport PYTHONDONTWRITEBYTECODE

# The first Python that is new enough; `make PYTHON=...` names another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$python; break; }; done)

# What builds and deploys, and apart from it what checks the project.
READY := .venv/.installed
DEV := .venv-dev/.installed
# `python -m` and not the scripts beside it: those break when a checkout moves.
RUN := .venv-dev/bin/python -m
INSTALL = $(if $(PYTHON),,$(error Python 3.11 or newer is needed and none was found. \
	Install one, or name it: make PYTHON=/path/to/python3.11))$(PYTHON) requirements/install.py
DIST ?= dist

# The environment of a command has no default: a forgotten ENV= would mean another one.
# ARGS takes any option of build.py, as in `make launch ENV=dev ARGS=--emulator`.
ENV ?=
ARGS ?=
TARGETS := $(shell sed -n 's/^\.PHONY: //p' $(firstword $(MAKEFILE_LIST)))
UNKNOWN := $(filter-out $(TARGETS) .venv/.installed .venv-dev/.installed,$(MAKECMDGOALS))
SETTINGS := ENV ARGS DIST PYTHON
ON_COMMAND_LINE = $(filter command,$(firstword $(origin $(1))))
MISSPELT := $(strip $(foreach name,$(filter-out $(SETTINGS) -%,$(.VARIABLES)),\
	$(if $(call ON_COMMAND_LINE,$(name)),$(name))))
$(if $(UNKNOWN),$(error There is no target $(firstword $(UNKNOWN)), so nothing was done. \
	An environment is named with ENV=$(firstword $(UNKNOWN)); `make` lists the targets))
$(if $(MISSPELT),$(error make takes no $(firstword $(MISSPELT))=, so nothing was done. \
	It takes $(SETTINGS), in capitals))

# Nothing to change (4) is no error; make itself ends with 2 for any other exit code and
# prints it.
END = || { code=$$?; test $$code -eq 4 || exit $$code; }
BUILD_PY = @.venv/bin/python build.py $@
NEEDS_ENV = $(if $(strip $(ENV)),'$(ENV)',$(error $@ needs an environment: make $@ ENV=NAME))

.PHONY: help
help: ## List the targets.
	@echo 'Usage: make TARGET, or ./build.py COMMAND'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) \
		| awk -F'|' '{ printf "  %-10s %s\n", $$1, $$2 }'
	@echo
	@echo 'Begin with: make templates, then make local ENV=dev, which runs Airflow here.'
	@echo 'Nothing needs to be installed first but Python 3.11 or newer.'

.PHONY: templates
templates: $(READY) ## Compile, check and lint the templates, and write dist/.
	$(BUILD_PY) --dist '$(DIST)' $(ARGS)

.PHONY: parameters
parameters: $(READY) ## Check the parameter files (ENV= for one of them).
	$(BUILD_PY) $(if $(strip $(ENV)),'$(ENV)') $(ARGS)

.PHONY: publish
publish: $(READY) ## Upload dist/ to S3 (ENV=, ARGS=).
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS) $(END)

.PHONY: preflight
preflight: templates ## Check the account and region before a launch.
	$(BUILD_PY)

.PHONY: image
image: $(READY) ## Build the image of image/ in CodeBuild (ENV=).
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS) $(END)

.PHONY: dags
dags: $(READY) ## Release DAGs (ARGS='push dev dags/', list, diff, rollback).
	$(BUILD_PY) $(ARGS) $(END)

.PHONY: connections
connections: $(READY) ## Compare and write connections and variables (ENV=, ARGS=).
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS) $(END)

.PHONY: plan
plan: $(READY) ## Show what a launch would change, and change nothing.
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS) $(END)

.PHONY: launch
launch: $(READY) ## Create or update the stack of an environment.
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS) $(END)

.PHONY: status
status: $(READY) ## Show the status of a stack and its nested stacks.
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS) $(END)

.PHONY: events
events: $(READY) ## Show the events of the last operation of a stack.
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS) $(END)

.PHONY: diagnose
diagnose: $(READY) ## Explain why the last operation failed, and what to run next.
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS) $(END)

.PHONY: outputs
outputs: $(READY) ## Show the URLs, buckets and commands of a stack.
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS) $(END)

.PHONY: logs
logs: $(READY) ## Print the logs of the components (ARGS='scheduler --follow').
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS)

.PHONY: airflow
airflow: $(READY) ## Run one Airflow command (ENV=, ARGS='-- dags list').
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS)

.PHONY: cost
cost: $(READY) ## Estimate what an environment costs in a month (ENV=).
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS)

.PHONY: link
link: $(READY) ## Print a link to the console form of an environment.
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS) $(END)

.PHONY: catalog
catalog: $(READY) ## Add dist/ to Service Catalog as a new version.
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS) $(END)

.PHONY: role
role: $(READY) ## Write the roles that launch an environment (ENV=, ARGS=).
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS) $(END)

.PHONY: recover
recover: $(READY) ## Recover a stack from a failed or stuck state.
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS) $(END)

.PHONY: destroy
destroy: $(READY) ## Delete an environment, after a list of what holds data.
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS) $(END)

.PHONY: local
local: $(READY) ## Run an environment with Airflow on this machine.
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS) $(END)

.PHONY: verify
verify: $(READY) ## Run an environment on this machine and check that it works.
	$(BUILD_PY) $(NEEDS_ENV) --local $(ARGS)

.PHONY: emulator
emulator: $(READY) ## Start, stop or erase the emulator (ARGS=start, stop or erase).
	$(BUILD_PY) $(ARGS)

.PHONY: ls
ls: $(READY) ## List the environments with the state of their stacks.
	$(BUILD_PY) $(ARGS)

.PHONY: init
init: $(READY) ## Write the parameter file of a new environment (ENV=).
	$(BUILD_PY) $(NEEDS_ENV) $(ARGS)

.PHONY: doctor
doctor: $(READY) ## Check this machine: Python, disk, region, credentials.
	$(BUILD_PY) $(ARGS)

.PHONY: completion
completion: $(READY) ## Print a script of completions (ARGS=bash, zsh or fish).
	$(BUILD_PY) $(ARGS)

.PHONY: check
check: $(DEV) ## Check style, types and the fast tests; write nothing.
	@$(RUN) ruff check --quiet
	@$(RUN) ruff format --check --quiet
	@$(RUN) mypy --no-error-summary
	@$(RUN) pytest --quiet --numprocesses auto -m 'not slow'

.PHONY: test
test: $(DEV) ## Run every test.
	@$(RUN) pytest --quiet --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: coverage
coverage: $(DEV) ## Run the fast tests and list the lines that none of them runs.
	@$(RUN) pytest --quiet --numprocesses auto -m 'not slow' --cov --cov-report=term-missing:skip-covered

.PHONY: bench
bench: $(DEV) ## Measure compiling, linting and rebuilding against their floors.
	@$(RUN) benchmarks

.PHONY: simulate
simulate: templates ## Compare scaling policies on simulated days, with charts.
	@.venv/bin/python -m simulation --charts .cache/simulation $(ARGS)

.PHONY: format
format: $(DEV) ## Format the code, and apply the fixes of ruff.
	@$(RUN) ruff check --quiet --fix-only
	@$(RUN) ruff format --quiet

.PHONY: golden
golden: $(DEV) ## Rewrite the golden templates, for review.
	@UPDATE_GOLDEN=1 $(RUN) pytest --quiet tests/compliance/test_golden.py

.PHONY: reference
reference: $(READY) ## Write the generated pages of docs/.
	$(BUILD_PY)
	@.venv/bin/python -m cloudformation.transitions docs/refused-changes.md

.PHONY: options
options: ## Write the table of Airflow's options from the pinned Airflow.
	@$(INSTALL) .venv-airflow requirements/airflow.txt
	@AIRFLOW_HOME=.cache/airflow .venv-airflow/bin/python requirements/airflow_options.py \
		templates/airflow/airflow_options.json

.PHONY: pins
pins: ## Pin requirements/*.in, with hashes, for every Python and platform.
	@$(INSTALL)
	@$(PYTHON) -m requirements.lock

.PHONY: clean
clean: ## Delete dist/ and caches; .local/ and the packages in .venv* stay.
	@$(PYTHON) -m compiler.clean
	@rm -rf .cache .mypy_cache .ruff_cache \
		.pytest_cache .hypothesis .coverage
	@find . -name '.venv*' -prune -o -name __pycache__ -type d -exec rm -rf {} +

# An upgrade of Python can leave an environment without one.
gone = $(shell test -x $(1)/bin/python || echo gone)
.PHONY: gone

$(READY): requirements/tool.txt requirements/uv.txt requirements/install.py $(call gone,.venv)
	@$(INSTALL) .venv requirements/tool.txt

$(DEV): requirements/dev.txt requirements/uv.txt requirements/install.py $(call gone,.venv-dev)
	@$(INSTALL) .venv-dev requirements/dev.txt
