# A newcomer needs two: `make run` and `make test`.
SHELL := /bin/bash
APT := apt-get install -y --no-install-recommends
ADMIN := $(shell [ "$$(id -u)" = 0 ] && command -v apt-get)

export DEFAULT_PORTS ?= 8000
export PORT ?= 8080
export FLOWPROXY_STATE_DIR ?= .flowproxy
export FLOWPROXY_CERTS ?= .flowproxy/certificates

.PHONY: help install run test soak bench bench-routing bench-control bench-streams lint audit sbom docs lock image base haproxy test-tools clean

help:
	@echo "make run      start Flowproxy with a demo route, in the foreground"
	@echo "make test     run every check and test"
	@echo "make soak     run the tests that take minutes"
	@echo "make bench    measure routing and changes at up to 10,000 services"
	@echo "make install  only set up .venv"

install: .venv/.installed

.venv/.installed: pyproject.toml requirements-dev.lock
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || { [ -n "$(ADMIN)" ] && apt-get update -qq && $(APT) python3-venv; } \
		|| { echo "python3-venv is missing: apt-get install python3-venv"; exit 1; }
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

haproxy:
	@command -v $${FLOWPROXY_HAPROXY:-haproxy} >/dev/null || { [ -n "$(ADMIN)" ] && apt-get update -qq && $(APT) haproxy; } \
		|| { echo "HAProxy is missing: apt-get install haproxy"; exit 1; }

run: install haproxy
	@exec .venv/bin/flowproxy serve --demo

# Where this user may not install packages, the tests that need them are skipped and say why.
test-tools:
	@missing=""; for tool in haproxy dockerd debootstrap iptables ip curl; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ] && [ -n "$(ADMIN)" ]; then \
		echo "installing what the tests need:$$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(APT) haproxy docker.io debootstrap iptables iproute2 curl >/dev/null; \
	fi

# Most tests wait for something, so that there are more processes than processors. Each takes a file at a time.
PYTEST := env -u DEFAULT_PORTS -u PORT -u FLOWPROXY_STATE_DIR -u FLOWPROXY_CERTS \
	.venv/bin/pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

test: install test-tools lint
	$(PYTEST)

# What takes minutes each: very many requests through very many reloads, nodes that die. And what `make test` does only
# a few times, many times. Two processes, for some measure what clients notice under load.
soak: install test-tools
	FLOWPROXY_SOAK=1 $(PYTEST) --numprocesses 2 --timeout 1800 -m "soak or longer"

# Both need a machine that does nothing else; the plots and tables go to docs/.
bench: bench-routing bench-control
	.venv/bin/python -m pip install -q --disable-pip-version-check --group bench
	PYTHONPATH=tests .venv/bin/python -m bench.report

bench-routing: install haproxy
	@command -v wrk >/dev/null || { [ -n "$(ADMIN)" ] && $(APT) wrk; } || { echo "wrk is missing: apt-get install wrk"; exit 1; }
	PYTHONPATH=tests .venv/bin/python -m bench.routing

bench-control: install test-tools
	PYTHONPATH=tests .venv/bin/python -m bench.control
	PYTHONPATH=tests .venv/bin/python -m bench.events

# Counts instructions and packets too, which does not need a quiet machine.
bench-streams: install haproxy
	@missing=""; for tool in h2load:nghttp2-client valgrind:valgrind strace:strace; do \
		command -v $${tool%%:*} >/dev/null || missing="$$missing $${tool##*:}"; done; \
	[ -z "$$missing" ] || { [ -n "$(ADMIN)" ] && $(APT) $$missing; } || { echo "missing: apt-get install$$missing"; exit 1; }
	PYTHONPATH=tests .venv/bin/python -m bench.streams

lint: install
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/codespell flowproxy templates docs tests README.md CONTRIBUTING.md CHANGELOG.md

# Known weaknesses of what we depend on. Where the database is out of reach this says so and finds nothing.
audit: .tools/.installed
	@.tools/bin/python -c "from urllib.request import urlopen; urlopen('https://api.osv.dev/v1/vulns/OSV-2020-111', timeout=10)" 2>/dev/null \
		|| { echo "no audit: api.osv.dev cannot be reached"; exit 0; }; \
	.tools/bin/pip-audit --vulnerability-service osv --disable-pip --no-deps -r requirements.lock

docs: install
	.venv/bin/python docs/generate.py

# What the image holds of Python, as CycloneDX: names, versions and hashes of the lock.
sbom: .tools/.installed
	.tools/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible -o sbom.json
	@echo "sbom.json: $$(grep -c '"purl"' sbom.json) components"

# Tools that look at what we depend on, apart from it.
.tools/.installed: requirements-tools.lock
	test -x .tools/bin/python || python3 -m venv .tools
	.tools/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-tools.lock
	@touch $@

# The exact versions of today, with their hashes; needs uv.
LOCK := uv pip compile -q -U --universal --python-version 3.11 --no-header --no-annotate --generate-hashes
lock:
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) --group dev pyproject.toml -o requirements-dev.lock
	$(LOCK) --group build -o requirements-build.lock
	$(LOCK) --group tools -o requirements-tools.lock

# The image, on exactly the base of docker/base.digest. `make base` records the base of today there.
image:
	docker build -t flowproxy:latest --build-arg BASE=$$(grep -v '^#' docker/base.digest) -f docker/Dockerfile .

base:
	docker pull -q debian:trixie-slim
	@digest=$$(docker image inspect --format '{{index .RepoDigests 0}}' debian:trixie-slim) && digest=$${digest#*@} \
		&& printf '%s\n' "# Recorded $$(date -u +%Y-%m-%d) by make base: the index of all architectures." \
			"debian:trixie-slim@$$digest" > docker/base.digest
	@cat docker/base.digest

clean:
	rm -rf .venv .tools .flowproxy .mypy_cache .pytest_cache .ruff_cache
