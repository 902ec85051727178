# Every target makes the environment first if it is missing; `make check test` is what a change must pass.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
VERSIONS ?= 3.11 3.12 3.13
PAIRS  ?= 9
FAULTS ?= pairs

# The story of one failed release on a sample shop: needs only git and kubectl.
demo: $(VENV)/.done
	$(BIN)/rollback demo

# Whole runs that are disturbed or killed, a sample that is drawn anew each time (its seed is printed), and all that is
# long. `make test-faults FAULTS=all`: every class of request × every kind of fault, once and for good; a kill at every
# event and write of a run.
test-faults: $(VENV)/.done
	ROLLBACK_TEST_FAULTS=$(FAULTS) $(BIN)/pytest -n 2 tests/cli/test_faults.py tests/test_kill_points.py
	$(BIN)/pytest -n 2 -m "long and not alone" --ignore=tests/cluster --ignore=tests/jenkins
	$(BIN)/pytest -m "long and alone" --ignore=tests/cluster --ignore=tests/jenkins

# Everything, nothing drawn: before an issue is ended. At the end, what each part cost and its last line.
test-all: $(VENV)/.done
	.ci/run all

.PHONY: demo check test test-guards test-old test-all test-jenkins test-faults test-wheel test-oldest cluster \
	test-cluster bench wheel wheelhouse audit schema jenkins lock clean

$(VENV)/.done: locks/build.txt locks/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rollback_lib needs Python 3.11 or newer, and $(PYTHON) is %d.%d: try make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r locks/build.txt
	$(BIN)/pip install --quiet --require-hashes --no-build-isolation -r locks/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

check: $(VENV)/.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Three workers, since runs wait for pods: two cores are busy then.
test: $(VENV)/.done
	$(BIN)/pytest -n 3 --dist worksteal -m "not long" --ignore=tests/cluster --ignore=tests/jenkins \
		--ignore=tests/supply

# Each line of tests/GUARANTEES.md taken out, in a copy: the tests that stand beside it must fail.
test-guards: $(VENV)/.done
	$(BIN)/python -m tests.guards

# Tests of this checkout on an older one's code, to see that they fail there: REF=64a6d43 TESTS="tests/test_new.py".
test-old: $(VENV)/.done
	@$(BIN)/python tests/older.py "$(REF)" $(TESTS)

# Jenkinsfile.rollback on Jenkins's own engine (needs Java and Maven; fetches three jars the first time).
test-jenkins: $(VENV)/.done
	$(BIN)/python tests/jenkins/jars.py
	$(BIN)/pytest -n 2 tests/jenkins

# What an administrator installs from (jenkins/README.md), in dist/: the wheel of what git has here, its lock and its bill
# of materials. Nothing of it is asked for anywhere.
wheel: $(VENV)/.done
	$(BIN)/python -m supply wheel

# These, and the wheels of all that the lock names, for this machine's platform, this Python and VERSIONS.
wheelhouse: $(VENV)/.done
	$(BIN)/python -m supply wheelhouse $(VERSIONS)

# From that folder alone, on each Python of these that is here: installed, tried, and the pipeline's own install step.
test-wheel: wheelhouse
	$(BIN)/pytest -v -n 2 --dist loadgroup tests/supply

# The oldest of what pyproject.toml allows tells the demo's story too (needs uv).
test-oldest: $(VENV)/.done
	uv venv --quiet --clear --python $(BIN)/python build/oldest
	uv pip install --quiet --python build/oldest --resolution lowest-direct .
	cd build && oldest/bin/rollback demo

# Known advisories on what the lock names. 1: there are; 2: nobody could be asked. AUDIT="-s osv" asks another index.
audit: $(VENV)/.done
	$(BIN)/python -m supply audit $(AUDIT)

# About 9 minutes the first time (it compiles Kubernetes); seconds after that.
cluster: $(VENV)/.done
	$(BIN)/python tests/cluster/build.py

# With it the kubectl that was built with the cluster is tried on the sandbox. A file stays with one worker: some tell a
# story in their order.
test-cluster: $(VENV)/.done
	$(BIN)/pytest -n 2 --dist loadscope -m "not alone" tests/cluster tests/sandbox/test_kubectl.py
	$(BIN)/pytest -m alone tests/cluster

bench: $(VENV)/.done
	$(BIN)/python -m benchmarks --pairs $(PAIRS)

# The JSON Schemas of rollback.yaml and report.json, from the models; tests hold them equal.
schema: $(VENV)/.done
	$(BIN)/python -c "import json; from rollback_lib.core.settings.model import schema; print(json.dumps(schema(), indent=2, ensure_ascii=False))" > rollback_lib/rollback.schema.json
	$(BIN)/python -c "import json; from rollback_lib.core.report.model import schema; print(json.dumps(schema(), indent=2, ensure_ascii=False))" > rollback_lib/report.schema.json

# The Jenkins job wherever it is written, from the one schema of parameters, and what it may do in the cluster, as
# README has it too, from the one table of rights; tests hold them equal.
jenkins: $(VENV)/.done
	$(BIN)/rollback jenkins render Jenkinsfile.rollback
	$(BIN)/rollback jenkins render jenkins/seed.groovy
	$(BIN)/python -c "from rollback_lib.core.jenkins import job as j; print(j.config_xml(j.parameters(), j.Source('https://git.example.com/shop.git')), end='')" > jenkins/config.xml
	$(BIN)/python -c "from rollback_lib.core.rights import role; print(role.rbac_yaml(), end='')" > jenkins/rbac.yaml
	$(BIN)/python -c "from pathlib import Path; from rollback_lib.core.rights import role; print(role.in_readme(Path('README.md').read_text(encoding='utf-8')), end='')" > README.md.new
	mv README.md.new README.md

# Names no index: whoever installs decides where packages come from.
LOCK = uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links
lock:
	echo 'setuptools>=77' | $(LOCK) -o locks/build.txt -
	$(LOCK) -o locks/run.txt pyproject.toml
	$(LOCK) --extra dev -o locks/dev.txt pyproject.toml

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
