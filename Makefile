# Two commands start here: `make demo` and `make test`. Each installs what is missing, fetches the
# models and builds; a second run does neither.

# The system packages: cmake builds the Opus decoder's library, sipp calls us in the tests.
BUILD_PACKAGES = cmake make gcc g++ python3-pip
TEST_PACKAGES = $(BUILD_PACKAGES) sip-tester

MODELS = models/store
export SIDETONE_MODELS = $(CURDIR)/$(MODELS)

.PHONY: demo test bench lint models build build-packages test-packages help

help:
	@echo 'make demo    play calls of real speech to an appliance on loopback'
	@echo 'make test    format, lints, tests, and the demo at speed'
	@echo 'make bench   what a packet, a window and a second of speech cost'

demo: build models
	target/release/sidetone demo

# The demonstration runs the development build: the models, which are the load, run as fast in it.
test: lint test-packages models
	cargo build --locked
	target/debug/sidetone demo --fast
	@if command -v cargo-nextest >/dev/null; \
	then cargo nextest run --locked; \
	else cargo test --locked --lib --bins --tests; fi

lint: build-packages
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

bench: build-packages models
	cargo bench --locked

build: build-packages
	cargo build --release --locked

models:
	models/fetch

build-packages:
	@tests/packages $(BUILD_PACKAGES)

test-packages:
	@tests/packages $(TEST_PACKAGES)
