# make demo   shows it on real pictures          make test   runs every check
# make help   lists the rest
SHELL   := /bin/bash
TOOLS   ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/goldcrest
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 3s
UPLOT   := 1.6.32
# What setup installed for the tests that need it: a real S3 server, a real NATS server, published clients of imgproxy, a linter and a
# generator for openapi.yaml.
export GOLDCREST_VERSITYGW   ?= $(TOOLS)/bin/versitygw
export GOLDCREST_NATS_SERVER ?= $(TOOLS)/bin/nats-server
export IMGPROXY_CLIENTS      ?= $(TOOLS)/npm
export REDOCLY               ?= $(TOOLS)/npm/node_modules/.bin/redocly
export OAPI_CODEGEN         ?= $(TOOLS)/bin/oapi-codegen
export HELM                 ?= $(TOOLS)/bin/helm
export KUSTOMIZE            ?= $(TOOLS)/bin/kustomize
export GOLDCREST_CORPUS      ?= $(abspath ../shared/corpus)
# Extends PATH where setup had to fetch a Go toolchain.
SETUP = set -euo pipefail; out=$$(TOOLS="$(TOOLS)" .ci/setup $(1)); export "$${out:-PATH=$$PATH}"

.PHONY: help demo test fresh build vet lint unit fuzz e2e docs-check quality image-check bench soak chaos docs audit hooks release vendor-console clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: ## install what is needed, build, show it on real pictures and go on serving (ONCE=1 exits, DIR= for your own pictures)
	@$(call SETUP,demo); go build -ldflags "$(LDFLAGS)" -o goldcrest . && \
	exec ./goldcrest demo $(if $(ONCE),-once) $(if $(DIR),-dir "$(DIR)")

test: ## install what tests need; vet, staticcheck, unit tests with the race detector, a short fuzz of each target, e2e
	@$(call SETUP,test); $(MAKE) --no-print-directory vet unit fuzz e2e

fresh: ## make demo and make test in a bare Debian 13 root (as root; debootstrap fetches it once); CI runs it after make test
	@.ci/fresh

build: ## install what is needed and build ./goldcrest
	@$(call SETUP,build); go build -ldflags "$(LDFLAGS)" -o goldcrest .

vet: ## gofmt, go vet, staticcheck
	@bad=$$(gofmt -l .); [ -z "$$bad" ] || { echo "$$bad"; echo "gofmt: the files above are not formatted; run gofmt -w"; exit 1; }
	go vet ./...
	cd e2e && go vet ./...
	cd bench && go vet ./...
	$(TOOLS)/bin/staticcheck ./...
	cd bench && $(TOOLS)/bin/staticcheck ./...

lint: ## a few more linters (.golangci.yml); builds golangci-lint the first time, which takes minutes
	go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./...

unit: ## unit tests with the race detector; those in JavaScript and Python where node (20 or later) and python3 are installed
	.ci/retry -race -count=1 ./...
	cd bench && ../.ci/retry -race -count=1 ./...
	@if node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null; then \
		node --test $(wildcard deploy/cdn/*.test.mjs clients/js/*.test.js); \
	else echo "unit: there is no node 20 or later: the tests of deploy/cdn and clients/js are skipped"; fi
	@if command -v python3 >/dev/null; then \
		python=python3; python3 -c 'import celery, django' 2>/dev/null || ! /usr/bin/python3 -c 'import celery, django' 2>/dev/null || python=/usr/bin/python3; \
		$$python -B -W error -m unittest discover -s clients/python/tests; \
	else echo "unit: there is no python3: the tests of clients/python are skipped"; fi

# Until Go 1.27 a target may end in "context deadline exceeded" just as its time is up, with no input that fails (golang/go#75804).
fuzz: ## each fuzz target for FUZZTIME (default 3s)
	@set -euo pipefail; for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for target in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go | sed 's/func //'); do \
			echo "fuzz $$dir $$target"; out=$$(go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$dir 2>&1) || \
				{ grep -q 'context deadline exceeded' <<<"$$out" && ! grep -q 'Failing input written' <<<"$$out"; } || { echo "$$out"; exit 1; }; \
			echo "$$out" | tail -n 1; \
		done; done

e2e: ## black-box tests of the built binary
	cd e2e && ../.ci/retry -count=1 -timeout 40m ./...

docs-check: ## run every command of the documents, follow their links, hold their tables to the code; a part of unit and e2e
	go test -count=1 -run 'Docs|Documents|Links|Runbook|Deploy' ./house ./app ./variant ./server/... ./metrics ./config
	cd e2e && go test -count=1 -v -run 'TestDocs$$' .

quality: ## what each encoder makes of drawn pictures against what is promised, and of a part of the corpus where there is one
	@$(call SETUP,demo); go build -ldflags "$(LDFLAGS)" -o goldcrest . && ./goldcrest doctor -quality && \
	if [ -d "$(GOLDCREST_CORPUS)/photos" ]; then cd bench && go run ./quality report -check -all; \
	else echo "quality: there is no corpus at $(GOLDCREST_CORPUS): it is not measured"; fi

image-check: ## build the image without a registry and run it read-only as its own user (as root; else it is skipped)
	@.ci/image-check

bench: ## install what it compares with, print speed and memory as ratios against references in the same run, keep them in bench/results
	@$(call SETUP,bench); cd bench && go run . -out results -limit 45m

soak: ## ask for a mix for DURATION (default 8m) and print what grows: memory, files, threads, goroutines
	cd bench && go run . -run soak -v -soak $(or $(DURATION),8m) -limit 60m

chaos: ## let instances, NATS, the bucket and the origin fail at random for DURATION (default 2m), then check what was promised
	@$(call SETUP,bench); cd bench && go run . -run chaos -chaos $(or $(DURATION),2m) -limit 60m

vendor-console: ## fetch the console's chart library (pinned by UPLOT above) into server/console/uplot
	@set -euo pipefail; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	(cd "$$dir" && npm pack --silent uplot@$(UPLOT) >/dev/null && tar xzf uplot-$(UPLOT).tgz); \
	cp "$$dir"/package/dist/uPlot.iife.min.js "$$dir"/package/dist/uPlot.min.css "$$dir"/package/LICENSE server/console/uplot/

docs: ## regenerate docs/config.md
	go test ./config -run Docs -update -count=1

audit: ## known vulnerabilities in what the program uses, by govulncheck; not a part of test: it needs the database at vuln.go.dev
	@if curl -fsS -m 10 -o /dev/null https://vuln.go.dev/index/db.json 2>/dev/null; then go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...; \
	else echo "audit: vuln.go.dev cannot be reached from here: nothing was checked"; fi

hooks: ## have git run the quick checks before each commit (.ci/hooks/pre-commit)
	git config core.hooksPath .ci/hooks

release: ## build/release and the tag of VERSION: programs and packages (also for arm64), bills of materials, notes, checksums
	@$(if $(filter command,$(origin VERSION)),,echo "usage: make release VERSION=1.2.3" >&2; exit 1;) $(call SETUP,build); VERSION="$(VERSION)" .ci/release

clean: ## remove what builds leave behind
	rm -rf goldcrest data build
