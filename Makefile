# `make demo` and `make test` set up all they need on a Debian machine with Go, Rust and Python.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

BIN := target/x86_64-unknown-linux-gnu/debug
NAME ?= demo

.PHONY: help
help: ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: demo
demo: ## From nothing to a scored request, on a cluster of its own; or on yours: KUBECONFIG=… REGISTRY=…
	@demo/run

.PHONY: down
down: ## Remove what `make demo` left running
	@cluster/cluster down --name $(NAME)

.PHONY: test
test: ## Everything that has to hold before a change lands
	@tests/run

.PHONY: test-all
test-all: test ## What takes longer too: the test clusters and images test themselves, an uninstall for real, a Gateway
	@cluster/test
	@images/test
	@charts/test --node
	@tests/real

.PHONY: chaos
chaos: build ## Everything that tries to knock the operator over, in hours: make chaos [SEED=7] [MINUTES=10 | SHARE=1/3] [JOBS=3]
	@tests/chaos $(if $(JOBS),--jobs $(JOBS)) $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SHARE),--share $(SHARE))

.PHONY: fuzz
fuzz: ## What comes from outside, made up at random, for as long as you like: make fuzz MINUTES=60
	@ATELIER_FUZZ_MINUTES=$(or $(MINUTES),10) cargo test --workspace --test fuzz -- --ignored --nocapture

.PHONY: mutants
mutants: build ## The operator broken on purpose: the above has to find it
	@tests/mutants

.PHONY: bench
bench: ## The gateway beside nginx, HAProxy and Envoy, some ten minutes: out/bench/report.md
	@bench/run $(BENCH_FLAGS)

.PHONY: build
build: ## The programs, static, for images and tests alike
	@cargo build --workspace --bins

.PHONY: images
images: build ## OCI archives in out/images
	@images/build

.PHONY: push
push: images ## Images to a registry: make push REGISTRY=registry.example.com/atelier
	@images/push $(PUSH_FLAGS) $(REGISTRY)

.PHONY: generate
generate: build ## Write crds/ and the chart's copy anew
	@$(BIN)/atelier crd crds
	@charts/sync-crds

.PHONY: verify
verify: generate ## Fail if what is generated differs from what is committed
	@git diff --exit-code -- crds charts/atelier/templates/crds
	@test -z "$$(git ls-files --others --exclude-standard -- crds charts/atelier/templates/crds)"

.PHONY: fmt
fmt: ## Format
	@cargo fmt --all

.PHONY: lint
lint: ## Lints, warnings refused
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets -- -D warnings

.PHONY: deny
deny: ## Licences, sources and banned crates
	@tests/deny
