# `make` lists the targets. Everything runs from this folder, as root or as an ordinary user.
.DEFAULT_GOAL := help
.PHONY: help run cluster setup dev test lint test-python test-web test-e2e test-cluster web image lock ci clean
SHELL := /bin/bash
PY := .venv/bin/python -P
FLAGS ?=
CI_PARTS ?=
# What the cluster profile is tested with, unchanged, besides its adapters.
JOURNEYS = tests/e2e/test_tick_to_trade.py tests/e2e/test_tenants.py tests/e2e/test_journeys.py
# `$(call part,NAME)COMMAND` runs a part of the tests; continuous integration is told how long it took.
part = begun=$$SECONDS; tell() { code=$$?; [ -z "$(CI_PARTS)" ] || printf '%-7s %5s min    %s\n' \
	"$$([ $$code -eq 0 ] && echo ok || echo FAILED)" \
	"$$(awk -v s=$$((SECONDS - begun)) 'BEGIN { printf "%.1f", s / 60 }')" "$(1)" >> "$(CI_PARTS)"; }; \
	trap tell EXIT;

help: ## List the targets
	@echo "Orion"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo "  ./orion --help    everything else; ORION_PORT and ORION_DATA_DIR choose port and data"

run: ## Start the platform (sets itself up first); Ctrl-C stops it
	@exec ./orion up

cluster: ## The same on Kafka, PostgreSQL, Redis, S3 and Keycloak, all on this machine
	@exec ./orion cluster

setup: ## Set up what running needs
	@./orion setup

dev: ## Set up what tests need too
	@./orion setup --dev

test: dev lint test-python test-web test-e2e ## Everything: lint, Python, web, end to end in Chromium

lint: dev ## Style, types, import law
	@$(call part,lint) $(PY) -m ruff check . && $(PY) -m pyright && \
	$(PY) -c 'import sys; from importlinter.cli import lint_imports_command as main; sys.exit(main())'

test-python: dev ## Python tests without the browser and the slow ones
	@$(call part,python) $(PY) -m pytest -m "not browser and not slow and not cluster" $(FLAGS)

test-web: dev ## The web's lint, types and tests
	@$(call part,web) cd web && PATH="$$PATH:$(CURDIR)/.venv/bin" && \
	npm run lint && npm run typecheck && npm test

test-e2e: dev ## The journeys in Chromium on the real stack
	@$(call part,end to end) $(PY) -m pytest -m "browser and not slow" tests $(FLAGS)

test-cluster: ## The cluster profile on real servers on this machine: adapters, then the trade and its journeys
	@./orion setup --cluster && bash infra/tools && \
	{ $(call part,cluster) $(PY) -m pytest -m "cluster and not slow" tests $(FLAGS) && \
	ORION_TEST_PROFILE=cluster $(PY) -m pytest -m "not slow" $(JOURNEYS) $(FLAGS); }

web: setup ## Build the web (part of setup)

image: ## Build the image without Docker (as root; buildah and debootstrap)
	@infra/images/build

lock: dev ## Pin every package anew where requirements/*.in changed (UPGRADE=1: to the newest)
	@for name in setup runtime dev cluster image node; do \
	  extra=""; [ $$name = dev ] && extra="-c requirements/runtime.txt"; \
	  [ $$name = cluster ] && extra="-c requirements/runtime.txt -c requirements/dev.txt"; \
	  [ $$name = image ] && extra="-c requirements/cluster.txt"; \
	  .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-annotate --no-header $(if $(UPGRADE),--upgrade) $$extra \
	    requirements/$$name.in -o requirements/$$name.txt && echo "locked requirements/$$name.txt" || exit 1; \
	done

ci: ## What continuous integration runs
	@bash .ci/run

clean: ## Remove what was built; keeps the data in .orion
	rm -rf .venv .cache web/node_modules web/dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks migrations -name __pycache__ -type d -prune -exec rm -rf {} +
