# Every command finds or makes its own environment. Another interpreter gets another environment:
#   make PYTHON=/path/to/python3.13 test      uses .venv-3.13
SHELL := /bin/bash
.DEFAULT_GOAL := help

ifdef PYTHON
VENV := .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
else
VENV := .venv
endif
PY := $(VENV)/bin/python
DATA := .local
UP := $(PY) -m local_azure.up --data $(DATA)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Make the virtual environment with the pinned packages (does nothing when it is current)
	@tools/setup $(VENV) $(PYTHON)

.PHONY: run
run: setup ## Start everything on 127.0.0.1, send one notification per channel, stay up until Ctrl-C
	@$(UP) --samples $(ARGS)

.PHONY: demo
demo: setup ## The same as run, then stop; fails when something was not delivered
	@$(UP) --samples --exit-after-samples $(ARGS)

.PHONY: up
up: setup ## Start everything without sending samples, stay up until Ctrl-C
	@$(UP) $(ARGS)

.PHONY: token
token: setup ## Print the header to send (make -s token prints nothing else)
	@$(PY) -m local_azure.up.token --data $(DATA)

.PHONY: curl
curl: setup ## Print a curl call to paste, with that header
	@$(PY) -m local_azure.up.token --data $(DATA) --curl

.PHONY: test
test: setup ## Run all tests (ARGS="-k word" selects)
	$(PY) -m pytest $(ARGS)

.PHONY: bench
bench: setup ## Measure rates, latencies, CPU, RU, memory; report in bench/report (ARGS=--quick: 3 minutes)
	@$(PY) -m bench $(ARGS)

.PHONY: check
check: setup ## Formatting, lint, types
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy

.PHONY: faults
faults: setup ## Hurt the running service in every way we know and reckon (ARGS=--quick, ARGS="--only NAME --seed N")
	@$(PY) -m bench.faults $(ARGS)

.PHONY: simulate
simulate: setup ## Simulate a day and a spike, price the month; report in bench/report (ARGS="--daily 80e6": what if)
	@$(PY) -m bench.simulate $(ARGS)

.PHONY: clean-data
clean-data: ## Remove what the local stand-in stored: messages, documents, keys, logs
	@if [ -e $(DATA)/lock ] && ! flock -n $(DATA)/lock true; then echo "$(DATA) is in use; stop it first" >&2; exit 1; fi
	@rm -rf $(DATA) && echo "removed $(DATA)"

.PHONY: contract
contract: setup ## Write the OpenAPI document and the schemas of events anew (ARGS=--release: as the release to hold against)
	@$(PY) -m tools.contract $(ARGS)
