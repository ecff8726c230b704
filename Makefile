# What people do here. `make` lists it.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

.PHONY: help
help: ## List these verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Compile the binary (target/debug/vertex-injector)
	cargo build --locked

.PHONY: demo
demo: ## Show an agent's way to a model's answer, on a Kubernetes of its own (PAUSE=1 waits before each step, STEP=NAME shows one)
	@PAUSE='$(PAUSE)' STEP='$(STEP)' hack/demo/run

.PHONY: test
test: ## Build what tests need (the first time ten minutes) and run all tests; those of a node need root
	hack/kube/install node
	hack/clients/install
	cargo test --locked --workspace

.PHONY: lint
lint: ## Check format and lints (warnings denied), that the core is pure and every test is run, and that no two files import each other
	hack/check/core
	hack/check/tests
	hack/check/imports
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings

.PHONY: crds
crds: ## Write the CRDs into the chart
	cargo run --locked --quiet -- crds --output-dir charts/vertex-injector/files/crds

.PHONY: docs
docs: ## Write docs/reference and the README of the chart from the code
	UPDATE_DOCS=1 cargo test --locked --quiet --test docs

.PHONY: bench
bench: ## Measure one admission review, the webhook with up to 100,000 policies, and the Vertex proxy against direct calls (builds a release)
	hack/bench/run

.PHONY: fuzz
fuzz: ## Compare what is read and written with what others make of it, a million generated inputs for each oracle (needs go)
	cargo run --locked --profile fuzz --package vertex-injector-fuzz -- all 1000000

.PHONY: image
image: ## Build the container image (buildah, no registry) as an OCI archive below target/
	hack/image/build release

.PHONY: image-load
image-load: ## Build the image and import it into the test node that runs here, or into CONTAINERD_ADDRESS
	hack/image/load "$$(hack/image/build release | sed -n 's/^ARCHIVE=//p')"

.PHONY: release
release: ## Make everything that a release has (target/release-VERSION)
	hack/release/build

.PHONY: cluster
cluster: ## Run a Kubernetes control plane for trying things out, until Ctrl-C
	hack/kube/cluster control-plane
