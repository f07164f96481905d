# What a newcomer needs is `make run` and `make test`; `make help` lists the rest.

LISTEN ?= 127.0.0.1:8080
DIR ?= .hsmgate
PYTHON ?= python3
T ?= tests
ARGS ?=

BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

.PHONY: run
run: .venv/run ## Make a demo in DIR (.hsmgate) and serve it on LISTEN (127.0.0.1:8080)
	@softhsm/install.sh softhsm2
	$(BIN)/hsmgate init "$(DIR)"
	exec $(BIN)/hsmgate serve --config "$(DIR)/hsmgate.toml" --listen "$(LISTEN)"

.PHONY: test
test: .venv/dev ## Run the tests; T=path for some of them, ARGS=... for pytest
	@softhsm/install.sh softhsm2 opensc openssl systemd chromium chromium-driver zsh fish
	@softhsm/promtool.sh $(BIN)/promtool
	$(BIN)/pytest -n 2 --dist loadfile $(T) $(ARGS)

.PHONY: conformance
conformance: .venv/dev ## Try every combination of the contract on SoftHSM and NSS and write docs/conformance.md
	@softhsm/install.sh softhsm2 opensc openssl
	$(BIN)/python -m tests.conformance.run --out docs/conformance.md

.PHONY: faults
faults: .venv/dev ## Break a token in every way under load and write docs/faults.md; ARGS="--only NAME,..." for some
	@softhsm/install.sh softhsm2 opensc openssl
	$(BIN)/python -m tests.faults.run --out docs/faults.md $(ARGS)

.PHONY: bench
bench: .venv/dev ## Measure against the token's own speed and write docs/benchmarks.md; ARGS=--quick for a minute's look
	@softhsm/install.sh softhsm2 opensc wrk
	$(BIN)/python -m benchmarks.run --out docs/benchmarks.md $(ARGS)

.PHONY: chart
chart: .venv/chart ## Render ops/helm with helm, which has to be there, and validate what Kubernetes would get
	@command -v helm >/dev/null || { echo "there is no helm: see docs/containers.md" >&2; exit 1; }
	$(BIN)/pytest -m chart tests/ops/test_chart.py $(ARGS)

.PHONY: attacks
attacks: .venv/dev ## Attack a gateway as someone hostile would and write the table of docs/security.md; ARGS="--only NAME,..."
	@softhsm/install.sh softhsm2 opensc openssl
	$(BIN)/python -m tests.attacks.run --out docs/security.md $(ARGS)

.PHONY: cluster
cluster: .venv/dev ## Kill and upgrade two gateways in turn behind a real HAProxy, under load
	@softhsm/install.sh softhsm2 opensc haproxy
	$(BIN)/python -m tests.cluster.run

.PHONY: fuzz
fuzz: .venv/fuzz ## Feed a million inputs to everything that reads bytes and write docs/fuzzing.md; ARGS="--target NAME --runs N"
	$(BIN)/python -m tests.fuzz.run --out docs/fuzzing.md $(ARGS)

.PHONY: lint
lint: .venv/dev ## Check style, types, bandit's list and known vulnerabilities of what is pinned
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive hatch_build.py hsmgate benchmarks .ci
	$(BIN)/python .ci/audit.py .venv/audited

.PHONY: format
format: .venv/dev ## Put the source into the one style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: dist
dist: .venv/dev ## Build the wheel and the sdist in dist/
	$(BIN)/python -m hatchling build --clean

.PHONY: constraints
constraints: ## Pin the newest versions of all dependencies
	rm -rf .venv
	@softhsm/install.sh gcc libc6-dev
	softhsm/venv.sh "$(PYTHON)" .venv
	$(BIN)/pip install --quiet --editable '.[dev,streebog,fuzz,chart]'
	$(BIN)/pip freeze --exclude-editable > constraints.txt

.PHONY: clean
clean: ## Remove what make made, but no DIR
	rm -rf .venv dist hsmgate/signer/_loop.so .pytest_cache .mypy_cache .ruff_cache .hypothesis

# What an install is made of; the compiler is for the signers' loop.
INSTALLED := pyproject.toml constraints.txt hatch_build.py hsmgate/signer/loop.c

# A stamp for what is installed: to run, or to develop as well.
.venv/run: $(INSTALLED)
	@softhsm/install.sh gcc libc6-dev
	softhsm/venv.sh "$(PYTHON)" .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/dev: $(INSTALLED)
	@softhsm/install.sh gcc libc6-dev
	softhsm/venv.sh "$(PYTHON)" .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,streebog]'
	touch $@ .venv/run

# atheris has wheels for few Pythons, so only what needs it asks for it.
.venv/fuzz: .venv/dev
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,streebog,fuzz]'
	touch $@

# 108 MiB of schemas, so only what needs them asks for them.
.venv/chart: .venv/dev
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,streebog,chart]'
	touch $@
