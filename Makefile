# Two commands start here: `make demo` and `make test`. Each installs what is missing, fetches the
# models and builds; a second run does neither.

# The system packages: cmake builds the Opus decoder's library; sipp and baresip call us in the tests, sipvicious
# scans us, Chromium looks at the live page, and Asterisk is fetched without being installed (tests/pbx/asterisk/fetch.sh).
BUILD_PACKAGES = cmake make gcc g++ python3-pip
TEST_PACKAGES = $(BUILD_PACKAGES) sip-tester baresip-core sipvicious openssl prometheus prometheus-alertmanager postgresql systemd \
                curl jq sqlite3 chromium chromium-driver fonts-dejavu-core

# What packs, and what looks at packages, manual pages and completions.
PACKING_PACKAGES = debhelper
LOOKING_PACKAGES = $(PACKING_PACKAGES) mmdebstrap lintian man-db mandoc fish zsh
# Built once, in target/tools; pinned, since what they write is kept.
CARGO_ABOUT = 0.9.3
CARGO_CYCLONEDX = 0.5.9

# The tests against real PBXs that load the recipes of config/pbx; `make test` runs them, too.
PBX_TESTS = asterisk asterisk_taps asterisk_verdicts asterisk_ways kamailio
# How long `make pbx-soak` calls.
SOAK_MINUTES ?= 60

MODELS = models/store
export SIDETONE_MODELS = $(CURDIR)/$(MODELS)
# ONNX Runtime reports to its maker without it, also from Python.
export ORT_DISABLE_TELEMETRY = 1

# How many legs `make scrape-cost` has.
LEGS ?= 500

# How long `make fuzz` stays with each of its targets.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS = message sdp siprec framing rtp rtcp srtp session capture

# What `make load` asks for, over UDP and then over TCP.
LOAD_SECONDS ?= 60
LOAD_RATE ?= 200

# Of how many recorded orders `make quality` uses one.
QUALITY_EVERY ?= 3

.PHONY: demo install package sbom notice test test-package test-pbx test-freeswitch pbx-soak bench vault-bench vault-crash quality speaker-eval keyword-eval keyword-load false-alarms streaming-models calibration load scrape-cost fuzz lint models build build-packages test-packages looking-packages help pictures

help:
	@echo 'make demo    play calls of real speech to an appliance on loopback'
	@echo 'make install as root: binary, models, configuration (what is there stays), vault and systemd unit; user sidetone'
	@echo 'make package Debian packages of the release build, in target/debian; make sbom: the list of its parts alone'
	@echo 'make notice  the licences of all Rust packages anew, in NOTICE (some minutes, and its tool the first time)'
	@echo 'make test-package install, upgrade and purge the packages in a fresh tree of Debian, as root (two minutes)'
	@echo 'make test    format, lints, tests, and the demo at speed'
	@echo 'make test-pbx the tests against real Asterisk and Kamailio alone: the recipes of config/pbx (three minutes)'
	@echo 'make pbx-soak twenty calls a minute through Asterisk for an hour (SOAK_MINUTES=60)'
	@echo 'make test-freeswitch the recipes in an installed FreeSWITCH, where there is one (a minute)'
	@echo 'make bench   what a packet, a window and a second of speech cost'
	@echo 'make vault-bench a million voiceprints on SQLite and on PostgreSQL (a quarter of an hour, 10 GB in TMPDIR)'
	@echo 'make vault-crash kill what writes to the vault 500 times, on each database; eight writers for a minute (ten minutes)'
	@echo 'make quality what loss and jitter cost: speaker score, phrases found, spectrum (some minutes)'
	@echo 'make speaker-eval how good the speaker decision is, beside plain Resemblyzer, and what a call costs (half an hour)'
	@echo 'make keyword-eval how many phrases are found, and how many that nobody said (ten minutes)'
	@echo 'make keyword-load what phrases cost at twenty calls, and how soon they are told (five minutes)'
	@echo 'make streaming-models make the tiny streaming models anew, and compare with the package sherpa-onnx (a minute)'
	@echo 'make false-alarms fit anew what a threshold costs in false alarms (fifteen minutes)'
	@echo 'make calibration fit the calibration of the speaker decision anew (CALIBRATION_EVERY=5: on one reader of five)'
	@echo 'make load    SIPp: 200 calls a second for a minute (LOAD_RATE=200 LOAD_SECONDS=60)'
	@echo 'make scrape-cost what a scrape costs at 500 legs, and whether it holds up a verdict (two minutes; LEGS=500)'
	@echo 'make pictures draw the pictures of README and docs anew (a minute)'
	@echo 'make fuzz    ten minutes of chance for each reader of bytes from the network (FUZZ_SECONDS=600)'

# The handbook's pictures, made anew from what they show.
pictures: build models
	target/release/sidetone demo > target/demo.txt
	docs/pictures/timeline.py < target/demo.txt > docs/pictures/demo.svg

demo: build models
	target/release/sidetone demo

# The demonstration runs the development build: the models, which are the load, run as fast in it.
# The packages come before the tests, whose summary is what a reader looks for at the end.
test: lint test-packages looking-packages models
	cargo build --locked
	target/debug/sidetone demo --fast
	tests/package/install target/debug/sidetone
	@if command -v cargo-nextest >/dev/null; \
	then cargo nextest run --locked; \
	else cargo test --locked --lib --bins --tests; fi

test-package: build-packages looking-packages models
	cargo build --locked
	tests/package/install target/debug/sidetone

test-pbx: test-packages models
	cargo test --locked $(addprefix --test ,$(PBX_TESTS)) -- --test-threads=2

pbx-soak: build test-packages models
	SIDETONE_BINARY=$(CURDIR)/target/release/sidetone SOAK_MINUTES=$(SOAK_MINUTES) \
	cargo test --locked --test asterisk_soak -- --ignored --nocapture

# No distribution has FreeSWITCH: one in PATH or in /usr/local/freeswitch/bin is used, or what SIDETONE_FREESWITCH names.
test-freeswitch: build-packages models
	cargo test --locked --test freeswitch --test freeswitch_calls --test notify_esl -- --nocapture

lint: build-packages
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

bench: build-packages models
	cargo bench --locked --bench media --bench models --bench signalling

vault-bench: build-packages test-packages
	cargo bench --locked --bench vault

vault-crash: build-packages test-packages
	SIDETONE_KILLS=500 SIDETONE_WRITERS_S=60 \
	cargo test --locked --test vault_crash --test vault_writers -- --nocapture --test-threads=1

quality: build-packages models
	SIDETONE_QUALITY_EVERY=$(QUALITY_EVERY) cargo bench --locked --bench loss

speaker-eval: build models
	tests/speaker/evaluate
	cargo bench --locked --bench speaker

keyword-eval: build models
	tests/keyword/evaluate

keyword-load: build models
	tests/keyword/load

false-alarms: build models
	tests/keyword/false-alarms

# The files come out the same, byte for byte; another release of the package is another reference.
streaming-models: models
	tests/streaming/venv
	target/streaming/bin/python tests/streaming/make.py
	target/streaming/bin/python tests/streaming/reference.py > tests/data/streaming/expected.json
	cargo test --locked --test streaming_models -- --nocapture

calibration: build models
	models/training/calibrate

load: build test-packages models
	SIDETONE_BINARY=$(CURDIR)/target/release/sidetone \
	SIDETONE_LOAD_SECONDS=$(LOAD_SECONDS) SIDETONE_LOAD_RATE=$(LOAD_RATE) \
	cargo test --locked --test sipp_load -- --nocapture --test-threads=1

scrape-cost: build models
	SIDETONE_BINARY=$(CURDIR)/target/release/sidetone SIDETONE_LEGS=$(LEGS) SIDETONE_ROUNDS=5 \
	cargo test --locked --test metrics cost:: -- --nocapture

# New inputs go to tests/fuzz/target/found, what breaks a check to tests/fuzz/target/findings; the
# messages of RFC 4475 are begun with where they lie beside us. Its lock file follows ours by itself.
fuzz: build-packages
	cd tests/fuzz && cargo build --release --target $$(rustc --print host-tuple)
	@set -e; for target in $(FUZZ_TARGETS); do \
	mkdir -p tests/fuzz/target/found/$$target tests/fuzz/target/findings; \
	more=; case $$target in message|framing) \
	[ ! -d ../shared/vectors/rfc4475 ] || more=../shared/vectors/rfc4475;; esac; \
	echo "fuzz: $$target for $(FUZZ_SECONDS) s"; \
	tests/fuzz/target/$$(rustc --print host-tuple)/release/$$target -max_total_time=$(FUZZ_SECONDS) \
	-timeout=5 -max_len=8192 -dict=tests/fuzz/tokens.dict -print_final_stats=1 \
	-artifact_prefix=tests/fuzz/target/findings/$$target- \
	tests/fuzz/target/found/$$target tests/fuzz/corpus/$$target $$more; done

build: build-packages
	cargo build --release --locked

# Where the unit looks for all of it. What is configured stays; a configuration beside it shows what a new release has.
install: build models
	install -D -m 644 systemd/sidetone.sysusers /usr/lib/sysusers.d/sidetone.conf
	install -D -m 644 systemd/sidetone.tmpfiles /usr/lib/tmpfiles.d/sidetone.conf
	systemd-sysusers sidetone.conf
	systemd-tmpfiles --create sidetone.conf
	install -D target/release/sidetone /usr/bin/sidetone
	for file in sidetone.toml policy.toml policy.de.toml; do \
	if [ -e /etc/sidetone/$$file ]; then install -m 644 config/$$file /etc/sidetone/$$file.new; \
	else install -m 644 config/$$file /etc/sidetone/$$file; fi; done
	cp -rL $(MODELS) /var/lib/sidetone/models.new
	rm -rf /var/lib/sidetone/models
	mv /var/lib/sidetone/models.new /var/lib/sidetone/models
	chown -R sidetone:sidetone /var/lib/sidetone
	/usr/bin/sidetone vault show >/dev/null 2>&1 || /usr/bin/sidetone vault init || \
	echo 'there is no vault yet: mend /etc/sidetone/sidetone.toml by sidetone.toml.new, then run: sidetone vault init'
	for language in de en; do \
	install -D -m 644 -t /usr/share/doc/sidetone/privacy/$$language config/privacy/$$language/*.md; done
	install -D -m 644 -t /etc/systemd/system systemd/sidetone.service systemd/sidetone.socket
	install -D -m 644 -t /usr/share/doc/sidetone/examples systemd/credentials.conf systemd/priority.conf

package: build models sbom
	@tests/packages $(PACKING_PACKAGES)
	debian/pack target/release/sidetone target/debian

sbom: target/tools/bin/cargo-cyclonedx
	PATH="$(CURDIR)/target/tools/bin:$$PATH" debian/sbom

# A build without optimisation reads 400 packages' licences for a quarter of an hour.
notice: target/tools/bin/cargo-about
	target/tools/bin/cargo-about generate --offline --locked -c debian/about.toml debian/about.hbs -o NOTICE

target/tools/bin/cargo-cyclonedx:
	cargo install cargo-cyclonedx --version $(CARGO_CYCLONEDX) --locked --debug --root target/tools

target/tools/bin/cargo-about:
	cargo install cargo-about --version $(CARGO_ABOUT) --locked --features cli --root target/tools

models:
	models/fetch

build-packages:
	@tests/packages $(BUILD_PACKAGES)

test-packages:
	@tests/packages $(TEST_PACKAGES)

looking-packages:
	@tests/packages $(LOOKING_PACKAGES)
