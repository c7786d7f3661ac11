# `make help` lists the targets. Each makes what it needs: the virtual environment, the extension, the broker.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:
.DELETE_ON_ERROR:

BRIDGE ?= memory://
SECONDS ?= 15
FUZZ_SECONDS ?= 120
SCALE ?= 1
BENCH ?=
# Which wheels `make wheels` builds (a part of a platform's name; all unless given), and whether it builds them once more to compare.
WHEELS ?=
REPRODUCE ?=
# Where the compilers and emulators for ARM are kept.
ARM_KIT ?= .arm
KIT := $(abspath $(ARM_KIT))
# Which emulated systems `make test-arm` tests; all unless given.
ROOT ?=
# Of `make footprint`: minutes of each run, how many runs, and minutes of what is to run an hour.
MINUTES ?= 10
RUNS ?= 3
HOUR ?= 60
# Which Python makes the virtual environment; the first that is new enough unless given.
PYTHON ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# What `make faults` and `make bench` are compared with; nothing else needs it.
PEERS := $(VENV)/peers
WORKFLOWS := $(VENV)/workflows
# Where `make image` and `make systemd` make what they run: roots of Debian, an image.
DEVICE ?= target/device
BUILT := $(VENV)/.built
SOURCES := Cargo.toml Cargo.lock pyproject.toml \
	$(shell find rust -path '*/fuzz' -prune -o -path '*/benches' -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print)

CHECKS := "$(BIN)/ruff check ." "$(BIN)/ruff format --check ." "$(BIN)/mypy" "$(BIN)/pyright" \
	"$(BIN)/python -m mypy.stubtest purista_fast._core" "cargo fmt --all --check" \
	"cargo clippy --locked --quiet --workspace --all-targets -- -D warnings" "$(BIN)/python .ci/check_files.py"

# rustup puts cargo where a bare environment does not look, Debian the broker where only root does.
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/local/sbin:/usr/sbin
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
# The extension needs no libpython; without this the linker would look for one.
export PYO3_BUILD_EXTENSION_MODULE := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# $(call need,what finds it,command,package): root on Debian gets the package, everybody else is told its name.
define need
	@$(1) >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "$(2) is missing: installing $(3)"; \
	    export DEBIAN_FRONTEND=noninteractive; \
	    apt-get update -qq; apt-get install -y -qq --no-install-recommends $(3) >/dev/null; \
	  fi; \
	  $(1) >/dev/null 2>&1 || { echo "$(2) is missing: apt-get install $(3)" >&2; exit 1; }; \
	}
endef

.PHONY: help
help: ## list the targets
	@echo "purista-fast: make TARGET [VARIABLE=value]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(BUILT) ## watch data of this machine flow through services (BRIDGE=memory:// SECONDS=15)
	@$(BIN)/purista-fast demo --bridge "$(BRIDGE)" --seconds "$(SECONDS)"

.PHONY: demo-cloud
demo-cloud: $(BUILT) broker ## three devices, a cloud, and a link that is cut: what each side has, on one screen (SECONDS=30)
	@cd examples/fleet && "$(CURDIR)/$(BIN)/python" story.py $(if $(filter file,$(origin SECONDS)),30,$(SECONDS))

.PHONY: day
day: $(BUILT) broker ## what a day of a device costs, raw and prepared, write it into docs/edge-to-cloud.md
	$(BIN)/python -m benches.day

.PHONY: test
test: $(BUILT) broker ## run all tests: Rust, then Python with a real broker
	$(call need,command -v systemd-analyze,systemd-analyze,systemd)
	cargo test --locked --workspace
	$(BIN)/pytest $(ARGS)

.PHONY: test-arm
test-arm: $(INSTALLED) broker ## test the wheels of dist/ on emulated ARM, some hours, write docs/arm.md (ROOT=bookworm-arm64)
	$(call need,command -v ip,ip (network namespaces),iproute2)
	@ARM_KIT="$(KIT)" $(BIN)/python -m tools.arm.test $(ROOT)

.PHONY: lint
lint: $(BUILT) ## check style, types, and that no file names a machine or a registry
	@failed=; \
	for check in $(CHECKS); do \
	  echo "$$check"; $$check || failed="$$failed, $$check"; \
	done; \
	test -z "$$failed" || { echo "failed: $${failed#, }" >&2; exit 1; }

.PHONY: format
format: $(INSTALLED) rust ## put Python and Rust into the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	cargo fmt --all

.PHONY: faults
faults: $(BUILT) $(PEERS)/.installed broker ## prove the promises under faults with both transports, about two hours, write docs/faults.md (SCALE=1)
	$(call need,command -v ip,ip (network namespaces),iproute2)
	FAULTS=long FAULTS_SCALE="$(SCALE)" FAULTS_PEERS="$(CURDIR)/$(PEERS)/bin/python" FAULTS_TABLE="$(VENV)/faults.json" \
	  $(BIN)/pytest -o faulthandler_timeout=0 tests/faults $(ARGS); code=$$?; \
	FAULTS_SCALE="$(SCALE)" $(BIN)/python -m tests.faults.report "$(VENV)/faults.json" && exit $$code

.PHONY: bench
bench: $(BUILT) $(PEERS)/.installed broker ## measure beside the peers, write benches/results.json and docs/bench.svg (BENCH=A,B1 for some)
	$(call need,command -v valgrind,valgrind,valgrind)
	$(BIN)/python -m benches $(BENCH)

.PHONY: footprint
footprint: $(BUILT) $(PEERS)/.installed broker ## measure memory, CPU, start and disk, 75 minutes, write docs/footprint.md (MINUTES=10 RUNS=3 HOUR=60)
	$(BIN)/python -m benches.footprint $(MINUTES) $(RUNS) $(HOUR)

.PHONY: fuzz
fuzz: rust ## fuzz everything that parses bytes (FUZZ_SECONDS=120 for each)
	@cargo +nightly fuzz --version >/dev/null 2>&1 || { \
	  echo "cargo-fuzz is missing: rustup toolchain install nightly && cargo install cargo-fuzz" >&2; exit 1; }
	@cd rust/core && for target in $$(cargo +nightly fuzz list); do \
	  echo "fuzzing $$target for $(FUZZ_SECONDS) s"; \
	  mkdir -p "fuzz/corpus/$$target" "fuzz/seeds/$$target"; \
	  cargo +nightly fuzz run "$$target" "fuzz/corpus/$$target" "fuzz/seeds/$$target" -- \
	    -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 || exit 1; \
	done

.PHONY: wheels
wheels: $(INSTALLED) rust ## build and check the wheels, the sdist and a wheelhouse for ARM in dist/ (WHEELS=armv7 for some, REPRODUCE=1 twice)
	@PATH="$(CURDIR)/$(BIN):$$PATH" tools/arm/kit.sh "$(KIT)"
	@ARM_KIT="$(KIT)" "$(KIT)/venv/bin/python" -m tools.wheels.build $(if $(REPRODUCE),--reproduce) dist $(WHEELS)
	@ARM_KIT="$(KIT)" "$(KIT)/venv/bin/python" -m tools.wheels.wheelhouse dist/wheelhouse
	@"$(KIT)/venv/bin/python" -m tools.wheels.check dist/*.whl dist/wheelhouse/*.whl

.PHONY: image
image: $(INSTALLED) ## build the image of the Dockerfile from dist/ without Docker, run its demo, print its sizes
	$(call need,command -v buildah,buildah,buildah)
	$(call need,command -v mmdebstrap,mmdebstrap,mmdebstrap)
	tools/device/image.sh "$(DEVICE)/image" $(BIN)/python

.PHONY: systemd
systemd: $(INSTALLED) ## have a real systemd run the unit that `purista-fast systemd-unit` writes, from dist/
	$(call need,command -v systemd-nspawn,systemd-nspawn,systemd-container)
	$(call need,command -v mmdebstrap,mmdebstrap,mmdebstrap)
	tools/device/systemd.sh "$(DEVICE)/systemd" $(BIN)/python

.PHONY: workflows
workflows: $(WORKFLOWS)/.installed ## check the workflows of .github with zizmor, and with actionlint (needs Go)
	$(WORKFLOWS)/bin/zizmor --offline --quiet .github
	@command -v go >/dev/null || { echo "Go is missing, which runs actionlint: apt-get install golang-go" >&2; exit 1; }
	go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

# $(call locked,group,file,what for): the group of pyproject.toml (what runs and develops it if empty), with the hashes of every file.
define locked
	$(BIN)/python requirements/lock.py $(1) | $(BIN)/pip-compile - --quiet --upgrade --output-file requirements/$(2).txt \
	  --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
	  --no-emit-options --no-emit-index-url --no-emit-trusted-host --no-emit-find-links
	sed -i '1i # Made by `make lock` from pyproject.toml: $(3), with the hashes of every file.' requirements/$(2).txt
endef

.PHONY: lock
lock: $(INSTALLED) rust ## resolve requirements/*.txt and Cargo.lock anew
	$(call locked,,dev,what runs and develops purista-fast)
	$(call locked,peers,peers,the peers of `make bench` and `make faults`)
	$(call locked,wheels,wheels,what `make wheels` builds and checks with)
	$(call locked,workflows,workflows,what `make workflows` checks with)
	cargo update

.PHONY: clean
clean: ## remove everything that was made, the virtual environment included
	rm -rf $(VENV) target dist rust/core/fuzz/target .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -f python/purista_fast/_core*.so
	find . -name __pycache__ -prune -exec rm -rf {} +

.PHONY: rust
rust:
	@command -v cargo >/dev/null || { \
	  echo "cargo is missing: install Rust 1.85 or newer, with rustup or from your distribution" >&2; exit 1; }
	$(call need,command -v cc,a C compiler (Rust links with it),gcc libc6-dev)

.PHONY: broker
broker:
	$(call need,command -v mosquitto,mosquitto,mosquitto)
	$(call need,command -v openssl,openssl,openssl)

$(INSTALLED): requirements/dev.txt
	@set -e; found=; \
	for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14 python); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Python 3.11 or newer is missing$(if $(PYTHON), ($(PYTHON) is none)): apt-get install python3 python3-venv," \
	    "or make PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "$$found has no venv: installing python3-venv"; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -qq; apt-get install -y -qq --no-install-recommends python3-venv >/dev/null; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "the venv module of $$found is missing: apt-get install python3-venv" >&2; exit 1; \
	fi; \
	test -x $(BIN)/python || "$$found" -m venv $(VENV); \
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/dev.txt
	@touch $@

$(PEERS)/.installed: requirements/peers.txt $(INSTALLED)
	@test -x $(PEERS)/bin/python || $(BIN)/python -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --require-hashes --requirement requirements/peers.txt
	@touch $@

$(WORKFLOWS)/.installed: requirements/workflows.txt $(INSTALLED)
	@test -x $(WORKFLOWS)/bin/python || $(BIN)/python -m venv $(WORKFLOWS)
	@$(WORKFLOWS)/bin/python -m pip install --quiet --require-hashes --requirement requirements/workflows.txt
	@touch $@

$(BUILT): $(INSTALLED) $(SOURCES) | rust
	@echo "building the extension"
	@$(BIN)/maturin develop --release --locked --quiet
	@touch $@
