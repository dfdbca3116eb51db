# candor. Every target does its own set-up: `make demo` on a fresh clone is all there is to type.
#
# The set-up checks what the machine must have, provides libtorch (scripts/libtorch) and tells cargo where it
# is; when it is done already it costs a second. Everything is built in release mode, so that tests, clippy
# and the binary share one build of the dependencies.

.DEFAULT_GOAL := help
.PHONY: help demo test bench bench-peer build setup test-programs parity golden gpu-check release fuzz lint format format-check clippy doc deny unused audit tools

CARGO ?= cargo
# What continuous integration adds, for instance --locked.
CARGO_FLAGS ?=
# Arguments for `candor demo`: make demo ARGS="--seed 1 --out runs/demo-1".
ARGS ?=

# How long `make fuzz` runs each of its targets.
SECS ?= 600

# The crates that are compared with golden files.
GOLDEN := data weights model train reward rl judge

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/candor/tools

# scripts/libtorch decides which libtorch is used. torch-sys reads these too and must not decide otherwise.
unexport LIBTORCH LIBTORCH_LIB LIBTORCH_INCLUDE LIBTORCH_STATIC LIBTORCH_CXX11_ABI LIBTORCH_USE_PYTORCH
SETUP_ENV := LIBTORCH_USE_PYTORCH='$(LIBTORCH_USE_PYTORCH)' CANDOR_CUDA='$(CANDOR_CUDA)'

# cargo takes these instead of what .cargo/config.toml says, and then programs would not find libtorch.
RPATH := -Clink-arg=-Wl,-rpath,$(CURDIR)/.libtorch/lib
ifdef RUSTFLAGS
export RUSTFLAGS := $(RUSTFLAGS) $(RPATH)
endif
ifdef RUSTDOCFLAGS
export RUSTDOCFLAGS := $(RUSTDOCFLAGS) $(RPATH)
endif

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-13s %s\n' "$$name" "$$text"; done

demo: build ## run every stage on the micro-world; ARGS="--seed 1" goes to candor demo
	$(TARGET_DIR)/release/candor demo $(ARGS)

test: setup test-programs ## run all tests
	$(CARGO) test --release --workspace $(CARGO_FLAGS)

bench: build ## measure speed and memory
	bench/run $(ARGS)

bench-peer: build ## compare with plain PyTorch, transformers and PEFT in at most ten minutes (needs the environment of parity/run)
	bench/peer $(ARGS)

build: setup ## build the candor binary
	$(CARGO) build --release --package candor-cli $(CARGO_FLAGS)

setup: ## check the machine, provide libtorch, configure cargo; CANDOR_CUDA=1 provides its CUDA half too
	@$(SETUP_ENV) scripts/prerequisites
	@$(SETUP_ENV) scripts/libtorch

test-programs: ## provide Chromium, axe-core and PostgreSQL for the annotation app's tests, where that is possible
	@scripts/test-programs

parity: setup ## compare with what Hugging Face and PyTorch computed and print the largest differences
	$(CARGO) test --release $(GOLDEN:%=--package candor-%) --test 'golden_*' $(CARGO_FLAGS) -- --nocapture

golden: ## record Hugging Face's and PyTorch's results again (installs 4.3 GB of pinned Python packages)
	parity/run $(ARGS)

gpu-check: ## compare a GPU with the CPU, and measure it beside transformers; ten minutes, builds nothing (ARGS="--device cuda:1")
	scripts/gpu-check $(ARGS)

release: setup ## make what users install: archive, wheel, bill of materials (scripts/release smoke, sudo scripts/release container try them)
	@scripts/tools release
	scripts/release $(ARGS)

fuzz: ## feed damaged models, adapters, images and prompts to their readers, SECS=600 seconds each (best with the nightly toolchain)
	fuzz/run $(SECS) $(ARGS)

lint: format-check deny unused clippy doc ## everything .ci/run checks besides the tests

format: ## format the code
	$(CARGO) fmt --all

format-check:
	@scripts/prerequisites --lint
	$(CARGO) fmt --all --check

clippy: setup
	$(CARGO) clippy --release --workspace --all-targets $(CARGO_FLAGS) -- -D warnings

doc: setup
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps --document-private-items $(CARGO_FLAGS)

deny: tools
	$(TOOLS)/bin/cargo-deny --all-features check --allow unused-wrapper bans licenses sources
	@for crate in candor-testing candor-testing-browser candor-pretend-cuda; do \
	users=$$($(CARGO) tree --offline --workspace --edges no-dev --invert $$crate --prefix none | tail -n +2) && \
	test -z "$$users" || { echo "$$crate may only be a dev-dependency, but is one of:" >&2; echo "$$users" >&2; exit 1; }; done

unused: tools
	$(TOOLS)/bin/cargo-machete

# Apart from `deny`, because the database of advisories is a git repository on github.com: a build that needs
# it fails when that host does, and changes its mind without a change of ours.
audit: tools ## look for dependencies with known vulnerabilities (needs github.com)
	$(TOOLS)/bin/cargo-deny --all-features check advisories

tools:
	@scripts/tools
