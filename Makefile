.DEFAULT_GOAL := help
BIN := .venv/bin
REAL_TESTS := tests/e2e tests/safety tests/packaging tests/integration

help: ## show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: ## everything that the other targets need
	@scripts/setup.sh

demo: setup ## the demo system through all five stages; prints the verdict and where the report is
	@$(BIN)/shakedown run examples/courier/plan.yaml

seeds: setup ## every row of the scenario catalogue by the examples' plans, a line a row (21 minutes on two quiet cores; FULL=1 with its figures: an hour; ONLY=raglox,R05 KEEP=dir WRITE=1)
	@$(BIN)/python benchmarks/seeds.py $(if $(FULL),--full) --only "$(ONLY)" $(if $(KEEP),--keep $(KEEP)) $(if $(WRITE),--write)

test: setup lint ## lint and all tests
	@$(BIN)/pytest -q -n 2 tests/unit
	@$(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder --durations=40 --durations-min=15 $(REAL_TESTS) || { code=$$?; [ $$code = 1 ] && $(MAKE) --no-print-directory test-again || exit $$code; }

# What failed beside two others is run once more by itself: on a full machine a test of real time may fail by chance; what is wrong fails alone too.
# Only where tests failed (1): of a run that broke or was interrupted nobody knows which tests are missing.
test-again:
	@echo "failed beside others; each is run again alone:" && $(BIN)/pytest -q -rA --last-failed --last-failed-no-failures none $(REAL_TESTS)

test-faults: setup ## every single fault on real containers (a quarter of an hour)
	@$(BIN)/pytest -q -n 4 --dist loadfile -m twins tests/integration/faults

lint: setup ## ruff, mypy, the layers of the imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .
	@$(BIN)/mypy
	@$(BIN)/lint-imports > /dev/null || { $(BIN)/lint-imports; exit 1; }

bench-load: setup ## our load generator beside others; writes the tables in benchmarks/README.md (10 to 15 minutes)
	@$(BIN)/python benchmarks/load.py

bench-leaks: setup ## how often the leak rule is right, on generated series; writes its table in benchmarks/README.md
	@$(BIN)/python benchmarks/leaks.py

bench-detection: setup ## what is found of courier's twenty defects, under which name, and false alarms (RUNS=3 SOUND=10 ONLY=leaks,sound,…; hours); ROWS=1: each row of the catalogue with its defect; SHORT=1: only the parts of a plan that it needs
	@$(BIN)/python $(if $(ROWS),benchmarks/rows.py,benchmarks/detection.py --runs $(or $(RUNS),3) --sound $(or $(SOUND),10)) --only "$(ONLY)" $(if $(SHORT),--short) $(if $(KEEP),--keep $(KEEP))

bench-ledger: setup ## a ledger of a million keys: time, disk, memory; writes its table in benchmarks/README.md (2 minutes)
	@$(BIN)/python benchmarks/ledger.py

bench-observer: setup ## what watching ten containers costs; writes its table in benchmarks/README.md (6 minutes)
	@$(BIN)/python benchmarks/observer.py

bench-faults: setup ## every fault on real containers, as asked and as measured; writes its table in benchmarks/README.md (25 minutes)
	@$(BIN)/python benchmarks/faults.py

bench-proxy: setup ## the proxy of the faults beside others; writes its table in benchmarks/README.md (2 minutes)
	@$(BIN)/python benchmarks/proxy.py

bench-suites: setup ## real suites repeated, beside plain pytest; writes its table in benchmarks/README.md (10 minutes, PyPI)
	@$(BIN)/python benchmarks/suites.py

bench-history: setup ## what questions cost with 10 000 runs in the store; writes its table in benchmarks/README.md (2 minutes)
	@$(BIN)/python benchmarks/history.py

bench-regression: setup ## how often the rules of regression are right, simulated (REAL=1: on forty real runs, half an hour); writes its table in benchmarks/README.md
	@$(BIN)/python benchmarks/regression$(if $(REAL),_runs).py

wheel: setup ## build the wheel into dist/
	@$(BIN)/python -m hatchling build -t wheel

lock: ## resolve the dependencies anew
	@.venv/uv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --group dev --output-file requirements.lock pyproject.toml

clean-docker: setup ## remove containers, networks, volumes and images of ours
	@$(BIN)/python scripts/clean_docker.py

.PHONY: help setup demo seeds test test-again test-faults lint bench-load bench-leaks bench-detection bench-ledger bench-observer bench-proxy bench-suites bench-history bench-regression wheel lock clean-docker
