# Bitgate. `make` alone lists the targets.

WASM_TARGET := wasm32-wasip1
CARGO_TARGET_DIR ?= target
# The two modules are built in directories of their own, so that neither evicts the other's objects.
TEST_HOOKS_DIR := $(CARGO_TARGET_DIR)/test-hooks
RELEASE := $(CARGO_TARGET_DIR)/$(WASM_TARGET)/release
TEST_HOOKS_RELEASE := $(TEST_HOOKS_DIR)/$(WASM_TARGET)/release

# The module starts at about 1 ms per KB. 1 KB is 1,024 bytes.
MAX_MODULE_KB := 600

BUILD_MODULE := scripts/build-module $(WASM_TARGET) bitgate
CLIPPY_MODULE := cargo clippy --locked --package bitgate --lib --target $(WASM_TARGET)
BENCH_EDGE := cargo bench --locked --profile measure --bench edge
CARGO_DOC := RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps --document-private-items

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: bench bench-edge bench-native bench-scale help instructions instructions-update wasm floor wasm-test-hooks bitgate envoy-binary run test check deny fuzz browser clean wasm-target components valgrind

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1 \2/p' Makefile | \
	while read -r target text; do printf '  make %-16s %s\n' "$$target" "$$text"; done

wasm: wasm-target ## Build target/bitgate.wasm and check its size
	$(BUILD_MODULE)
	@scripts/shrink-module $(RELEASE)/bitgate.wasm $(RELEASE)/bitgate.small.wasm
	@scripts/install-module $(RELEASE)/bitgate.small.wasm target/bitgate.wasm $(MAX_MODULE_KB)

wasm-test-hooks: wasm-target ## Build target/bitgate-test-hooks.wasm, the module with hooks for tests
	$(BUILD_MODULE) --features test-hooks --target-dir $(TEST_HOOKS_DIR)
	@scripts/shrink-module $(TEST_HOOKS_RELEASE)/bitgate.wasm $(TEST_HOOKS_RELEASE)/bitgate.small.wasm
	@scripts/install-module $(TEST_HOOKS_RELEASE)/bitgate.small.wasm target/bitgate-test-hooks.wasm

# Another filter to compare with: benches/floor.
floor: wasm-target
	scripts/build-module $(WASM_TARGET) bitgate-floor
	@scripts/shrink-module --quiet $(RELEASE)/bitgate_floor.wasm $(RELEASE)/bitgate_floor.small.wasm
	@scripts/install-module $(RELEASE)/bitgate_floor.small.wasm target/bitgate-floor.wasm

bitgate: ## Build target/bitgate, the command that checks configurations and makes keys
	cargo build --locked --release --package bitgate --bin bitgate
	@scripts/install-module $(CARGO_TARGET_DIR)/release/bitgate target/bitgate

envoy-binary: ## Print the path of the Envoy binary (ENVOY, or fetched once)
	@scripts/fetch-envoy

run: ## Serve http://localhost:10000 with the simulator, or with the real Bitbucket
	@EXAMPLE="$(EXAMPLE)" scripts/run

test: wasm wasm-test-hooks floor ## Run all tests, with a real Envoy; the last line has the counts
	@scripts/debian-tools git-http-backend git-lfs wrk h2load
	@ENVOY=$$(scripts/fetch-envoy) && export ENVOY && scripts/test

check: wasm components instructions ## Check format, lints, documentation, the module's size and instruction counts
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(CLIPPY_MODULE) -- -D warnings
	$(CLIPPY_MODULE) --features test-hooks -- -D warnings
	cargo clippy --locked --package bitgate-floor --target $(WASM_TARGET) -- -D warnings
	$(CARGO_DOC) --workspace
	$(CARGO_DOC) --package bitgate --lib --target $(WASM_TARGET)

instructions: valgrind ## Check that no request takes more instructions than was written down
	@scripts/instructions

instructions-update: valgrind ## Write down how many instructions requests take now
	@scripts/instructions --update

deny: ## Check licences, advisories and duplicates of the dependencies (needs cargo-deny)
	@cargo deny --version >/dev/null 2>&1 || { echo 'make deny needs: cargo install --locked cargo-deny' >&2; exit 1; }
	cargo deny --locked check

browser: ## Sign in with Chromium, and write screenshots to target/browser
	@scripts/browser

bench: bench-edge bench-native ## Measure what requests cost, in Envoy beside its own filters and natively

# BITGATE_BENCH_ONLY=name,… and other choices: docs/performance.md
bench-edge: wasm floor ## Measure what requests cost in Envoy, beside its own filters
	@scripts/debian-tools wrk h2load
	@ENVOY=$$(scripts/fetch-envoy) && export ENVOY && $(BENCH_EDGE)

bench-native: ## Measure what decisions cost, natively
	cargo bench --locked --profile measure --bench decision --bench costs

bench-scale: wasm floor ## Measure start-up, many sessions, and 15 minutes of full load
	@scripts/debian-tools wrk h2load
	@ENVOY=$$(scripts/fetch-envoy) && export ENVOY && $(BENCH_EDGE) -- $(or $(PART),scale)

fuzz: ## Fuzz what strangers can send (SECONDS for each target, 60)
	@scripts/fuzz $(or $(SECONDS),60)

clean: ## Remove everything that was built or fetched
	cargo clean
	rm -rf target

# Rust's own parts that this needs. They are added by name: nothing else of the toolchain changes.
wasm-target:
	@rustup target list --installed | grep -qx $(WASM_TARGET) || rustup target add $(WASM_TARGET)

components:
	@cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	@cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

# Callgrind is a part of it.
valgrind:
	@scripts/debian-tools valgrind
