# Dokuei. `make help` lists the commands; `make run` and `make test` are the two that matter.

PYTHON ?= python3
DATA ?= ../shared/data
RUNTIME ?= light
PORT ?= 8000
WORKERS ?= 0
MINUTES ?= 10
KILLS ?= 50
FUZZ ?= image form request card
PROOF ?= build/cluster-proof.md

BIN := .venv/bin
INSTALL := $(BIN)/python images/install.py --python $(BIN)/python --quiet --constraint constraints.txt --editable
LOCAL_CLUSTER := PYTHONPATH=tests/cluster $(BIN)/python -m localcluster
LOCKED := pyproject.toml constraints.txt
MODELS := $(notdir $(patsubst %/,%,$(dir $(wildcard model-store/*/card.yaml))))

.DEFAULT_GOAL := help
.PHONY: help soak portal portal-types portal-bench screenshots audit run analyse test test-cluster cluster-build cluster-up cluster-down test-images fuzz images base-image chart kserve-install lint format lock clean benchmark data-quality unseen-kinds

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "  make %-34s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "  models: $(MODELS)"

run: .venv/.$(RUNTIME) portal/dist/index.html ## Run model servers, router and portal here (RUNTIME=light|torchserve, PORT=8000)
	@$(BIN)/dokuei run --runtime $(RUNTIME) --port $(PORT)

analyse: .venv/.light ## Send FILE=… (an image, a folder or a zip) to what `make run` started, and print the answer
	@test -n "$(FILE)" || { echo "say which image: make analyse FILE=build/run/samples/chest-xray.dcm"; exit 2; }
	@$(BIN)/dokuei analyse "$(FILE)" --url http://127.0.0.1:$(PORT)

images: .venv/.light portal/dist/index.html ## Build the container images (TARGETS="router model-server …", BUILDER=docker|podman|buildah, BASE=a Debian 12)
	@$(BIN)/python -m images.build $(TARGETS) $(if $(BUILDER),--builder $(BUILDER)) $(if $(BASE),--base $(BASE))

base-image: .venv/.light ## Make a base image with debootstrap, where none can be pulled (as root, on Debian 12)
	@$(BIN)/python -m images.base $(if $(BUILDER),--builder $(BUILDER))

chart: .venv/.dev .cache/bin/helm ## Write what is made from the chart: its cards, schema, reference and the plain manifests
	$(BIN)/python charts/generate.py

kserve-install: .cache/bin/helm ## Install KServe, as the chart needs it, into the cluster of your kubeconfig
	@charts/kserve-install.sh .cache/bin/helm

test: .venv/.dev build/.chromium build/.rsyslog portal/dist/index.html .cache/bin/helm .cache/bin/oauth2-proxy ## Run every test, with real TorchServe, ONNX Runtime, PostgreSQL, oauth2-proxy, rsyslog and Chromium
	$(BIN)/python -m pytest

test-cluster: .venv/.dev .cache/bin/helm portal/dist/index.html build/.node ## Run a real Kubernetes with KServe on this machine, and Dokuei's tests on it (as root; TESTS=…; CLUSTER=a kubeconfig: on that one)
	@$(LOCAL_CLUSTER) test $(if $(CLUSTER),--kubeconfig $(CLUSTER)) -- --proof=$(PROOF) $(TESTS)

cluster-build: .venv/.dev portal/dist/index.html build/.node ## Build its programs and images, and start nothing
	@$(LOCAL_CLUSTER) build

cluster-up: .venv/.dev .cache/bin/helm portal/dist/index.html build/.node ## Start that Kubernetes, and leave it running
	@$(LOCAL_CLUSTER) up

cluster-down: ## End it, and take away what it left
	@$(LOCAL_CLUSTER) down

test-images: .venv/.dev portal/dist/index.html ## Build the images, run them as a cluster would, and ask them (needs podman)
	$(BIN)/python -m pytest tests/images/running.py

fuzz: .venv/.dev ## Feed mutated bytes to decoder and parsers for MINUTES=10 (FUZZ="image form request card")
	@for target in $(FUZZ); do \
	  $(BIN)/python tests/fuzz/fuzz.py $$target --seconds $$(( $(MINUTES) * 60 / $(words $(FUZZ)) )) || exit; done

audit: portal/node_modules/.package-lock.json ## Look for known vulnerabilities in all that is locked (asks PyPI and npm)
	@test -x build/audit/bin/pip-audit || { $(PYTHON) -m venv build/audit && build/audit/bin/pip install -q pip-audit==2.10.1; }
	build/audit/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r constraints.txt
	cd portal && npm audit

portal: portal/dist/index.html ## Build the portal

portal-types: .venv/.dev portal/node_modules/.package-lock.json ## Write the portal's types from the router's OpenAPI document
	@mkdir -p build
	$(BIN)/dokuei openapi > build/openapi.json
	cd portal && npm run --silent types

lint: .venv/.dev portal/node_modules/.package-lock.json ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd portal && npm run --silent check

format: .venv/.dev portal/node_modules/.package-lock.json ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	cd portal && npm run --silent format

train-%: .venv/.dev ## Train a model from DATA=… (default ../shared/data) without fold 0; goes on where it was interrupted
	$(BIN)/python -m training.train $* --data $(DATA) --workers $(WORKERS)

crossvalidate-%: .venv/.dev ## Train a model once for each of five folds, and measure it on them (WORKERS=2 beside a GPU)
	$(BIN)/python -m training.crossvalidate $* --data $(DATA) --workers $(WORKERS)

evaluate-%: .venv/.dev ## Measure a model's archive on the images of DATA=… that it did not learn from
	$(BIN)/python -m training.evaluate $* --data $(DATA)

ablate-%: .venv/.dev ## Train without each part of a model's recipe in turn, and compare
	$(BIN)/python -m training.ablate $* --data $(DATA) --workers $(WORKERS)

faithfulness-%: .venv/.dev ## Measure whether a classifier's heat map means something
	$(BIN)/python -m training.faithfulness $* --data $(DATA)

precision-%: .venv/.dev ## Measure whether a model would be as accurate in int8, and how much faster
	$(BIN)/python -m training.precision $* --data $(DATA)

unseen-kinds: .venv/.dev ## Measure whether the modality model keeps out kinds of images that it never saw
	$(BIN)/python -m training.unseen --data $(DATA)

data-quality: .venv/.dev ## Look for duplicates, leakage and conflicts in DATA=…
	$(BIN)/python -m training.quality --data $(DATA)

export-%: .venv/.dev ## Export trained weights to ONNX, verify them, and write the archive
	$(BIN)/python -m training.export $*

archive-%: .venv/.dev ## Renew an archive after an edit of its card or handler
	$(BIN)/python -m training.archive $*

sign-%: ## Sign an archive with KEY=a private key of Ed25519 (`openssl genpkey -algorithm ed25519 -out KEY`)
	@test -n "$(KEY)" || { echo "say with which key: make $@ KEY=…; openssl genpkey -algorithm ed25519 -out … makes one"; exit 2; }
	openssl pkeyutl -sign -rawin -inkey "$(KEY)" -in model-store/$*/$*.mar -out model-store/$*/$*.mar.sig
	@echo "wrote model-store/$*/$*.mar.sig, for those who trust (in DOKUEI_TRUSTED_KEYS):"
	@openssl pkey -in "$(KEY)" -pubout

golden-%: .venv/.dev ## Renew an archive's golden set, for a handler that is meant to answer otherwise than before
	$(BIN)/python -m training.golden $*

benchmark: .venv/.dev ## Measure cold start and latency of both model servers, and of the router
	$(BIN)/python benchmarks/model_servers.py
	$(BIN)/python benchmarks/analysis.py

soak: .venv/.dev ## Send studies for MINUTES=10 to what `make run` starts, kill its model servers KILLS=50 times, and compare every answer
	$(BIN)/python benchmarks/soak.py --minutes $(MINUTES) --kills $(KILLS)

portal-bench: .venv/.dev build/.chromium portal/dist/index.html ## Measure the portal: sizes, Lighthouse, slices, frames of the point cloud
	$(BIN)/python benchmarks/portal.py

screenshots: .venv/.dev build/.chromium portal/dist/index.html ## Take the pictures of docs/ anew
	$(BIN)/python docs/screenshots.py

lock: .venv/.dev ## Write what is installed now into constraints.txt, with the digests of its files
	$(BIN)/python -m images.lock

clean: ## Remove what was built, not the environment
	rm -rf build .cache portal/dist

# The environment grows: each stamp is a set of extras that is installed.

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info[:2] == (3, 11) else "Python 3.11 is needed; name it: make PYTHON=python3.11")'
	@$(PYTHON) -m venv .venv

.venv/bin/uv: | .venv/bin/python
	@mkdir -p build && sed -n '/^uv==/,/[^\\]$$/p' constraints.txt > build/uv.txt
	@$(BIN)/pip install --quiet --requirement build/uv.txt

.venv/.light: $(LOCKED) | .venv/bin/uv
	@echo "installing the router and the light model server (no torch) …"
	@$(INSTALL) ".[serve,router]"
	@touch $@

.venv/.torchserve: $(LOCKED) | .venv/bin/uv
	@echo "installing TorchServe (with torch, about 5 GB) …"
	@$(INSTALL) ".[serve,router,torchserve]"
	@touch $@ .venv/.light

.venv/.dev: $(LOCKED) | .venv/bin/uv
	@echo "installing everything for training and tests (with torch, about 6 GB) …"
	@$(INSTALL) ".[serve,router,postgresql,torchserve,training,dev]"
	@touch $@ .venv/.light .venv/.torchserve

# npm writes the hidden lock file last, so it is the stamp of a whole installation.
portal/node_modules/.package-lock.json: portal/package.json portal/package-lock.json
	@command -v npm >/dev/null || { echo "Node.js 20 with npm is needed to build the portal"; exit 2; }
	@echo "installing what the portal is built with …"
	@cd portal && npm ci --silent
	@touch $@

portal/dist/index.html: portal/node_modules/.package-lock.json portal/index.html portal/vite.config.ts $(shell find portal/src portal/public -type f)
	@cd portal && npm run --silent build -- --logLevel warn

.cache/bin/helm:
	@command -v go >/dev/null || { echo "Go is needed to build Helm"; exit 2; }
	@echo "building Helm …"
	@GOBIN="$(CURDIR)/.cache/bin" go install helm.sh/helm/v3/cmd/helm@v3.22.0

.cache/bin/oauth2-proxy:
	@command -v go >/dev/null || { echo "Go is needed to build oauth2-proxy"; exit 2; }
	@echo "building oauth2-proxy …"
	@GOBIN="$(CURDIR)/.cache/bin" go install github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.6

build/.chromium:
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -qq -y chromium fonts-noto-cjk >/dev/null; }
	@mkdir -p build && touch $@

build/.rsyslog:
	@apt-get update -qq && apt-get install -qq -y --no-install-recommends rsyslog rsyslog-openssl rsyslog-gnutls >/dev/null
	@mkdir -p build && touch $@

# What a node of Kubernetes needs, and what builds its images where nothing else does.
NODE_PACKAGES := iproute2 containerd runc containernetworking-plugins conntrack iptables ipset openssl pigz skopeo
build/.node:
	@apt-get update -qq && apt-get install -qq -y --no-install-recommends $(NODE_PACKAGES) \
	  $$(docker info >/dev/null 2>&1 || command -v podman >/dev/null || echo buildah golang-github-containers-image debootstrap) >/dev/null
	@mkdir -p build && touch $@
