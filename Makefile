# Two commands do everything on a fresh Debian or Ubuntu machine: `make hub` and `make test`.

NPM_STAMP := node_modules/.package-lock.json
# scripts/install.sh puts a Node there where the machine's own is missing or too old.
export PATH := $(CURDIR)/.tools/node/bin:$(PATH)

.PHONY: hub test nightly check bench build install install-test install-nightly clean

hub: install build ## crawl a few kernels, serve them on port 8080, show a get
	scripts/hub.sh

test: install-test build ## lint, types, all tests
	npm run check

# What is too slow for every push: real kernels of the machine's mirror, large indexes, many kills.
nightly: install-nightly build ## all tests, also those that take minutes each
	BTFHUB_NIGHTLY=1 npm run check

check: $(NPM_STAMP) ## lint, types and tests, nothing installed
	npm run check

bench: install-test build ## ratios against what people use today
	node dist/bench/main.js

build: $(NPM_STAMP)
	npm run --silent build

install:
	scripts/install.sh hub

install-test:
	scripts/install.sh test

install-nightly:
	scripts/install.sh nightly

$(NPM_STAMP): package-lock.json | install
	npm ci --no-audit --no-fund
	@touch $@

clean:
	rm -rf dist examples/c/build
