# The commands of the README. Each installs what it misses (scripts/bootstrap.sh); the build itself is CMake's.
# Variables: PREFIX and DESTDIR for `make install`, TORVYN_CACHE for the folder of the compiled engine.
PREFIX ?= /usr/local

.PHONY: build demo test test-fresh bench bench-flows release install format lint clean help
.NOTPARALLEL:

build: ## build/torvyn, optimised (the default)
	@scripts/bootstrap.sh build guests
	@test -f build/build.ninja || cmake --preset quick
	@cmake --build build

release: ## the same with the engine optimised as a whole: what `make install` installs; minutes more, once
	@scripts/bootstrap.sh build guests
	@grep -qs '^TORVYN_ENGINE:STRING=release' build/CMakeCache.txt || cmake --preset release
	@cmake --build build

demo: ## run the example pipeline on a day of recorded readings
	@scripts/bootstrap.sh build guests demo
	@$(MAKE) build
	@scripts/demo.sh

test: ## all tests: formatting, lint, layers, unit, integration, conformance, sanitizers
	@scripts/bootstrap.sh build guests test
	@scripts/test.sh

test-fresh: ## both commands of the README in an empty Debian 12; half an hour, as root, before a release
	@scripts/test_fresh.sh

bench: release ## measure; lines "name value unit", and build/bench.json
	@cmake --build build --target benchmarks
	@python3 bench/run.py --build build

bench-flows: release ## measure many flows: shares, latency, memory; some minutes, on an idle machine
	@scripts/bootstrap.sh test
	@test -f build/dev/build.ninja || cmake --preset dev
	@cmake --build build/dev --target simulation
	@cmake --build build --target benchmarks
	@python3 bench/flows.py --build build

# Under sudo the build is the calling user's: root may have neither their toolchain nor their cache.
install: ## install to PREFIX (/usr/local), under DESTDIR if given; builds `release` first
	@$${SUDO_USER:+sudo -H -u "$$SUDO_USER"} $(MAKE) --no-print-directory release
	@DESTDIR="$(DESTDIR)" cmake --install build --prefix "$(PREFIX)" --strip

format: ## format the C sources in place
	@scripts/bootstrap.sh test
	@scripts/format.sh --fix

lint: ## check formatting, layers and clang-tidy only
	@scripts/bootstrap.sh build guests test
	@test -f build/dev/build.ninja || cmake --preset dev
	@cmake --build build/dev
	@ctest --test-dir build/dev --output-on-failure -L lint

clean: ## remove build/ (the compiled engine stays in the cache)
	@rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20
