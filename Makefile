# One verb for each need; every recipe is one script or tool. `make` alone lists the verbs.
.DEFAULT_GOAL := help
.PHONY: help run test build bench fuzz format lint clean

help:  ## list these verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  make run takes DEMO=0 LISTEN=host:port DATA=folder CONFIG=waybill.yaml; make fuzz takes SECONDS_EACH=60"

run:  ## install what is missing, build, start Waybill with a demo (DEMO=0: empty)
	@LISTEN='$(LISTEN)' DATA='$(DATA)' CONFIG='$(CONFIG)' DEMO='$(DEMO)' scripts/run

test:  ## install what is missing, build, run every test
	@scripts/install-deps test
	@/usr/bin/python3 scripts/test.py all

build:  ## install what is missing, build the release
	@scripts/install-deps run
	@scripts/build release waybill

bench:  ## build the benchmarks and run them
	@scripts/install-deps bench
	@scripts/bench

fuzz:  ## run every fuzzer for SECONDS_EACH (60), keeping what it finds in build/fuzz
	@scripts/install-deps test
	@/usr/bin/python3 scripts/test.py fuzz --fuzz-seconds $(or $(SECONDS_EACH),60)

format:  ## put every C++ file into the house format
	@scripts/install-deps lint
	@git ls-files -z 'src/*.h' 'src/*.cpp' | xargs -0 clang-format-19 -i

lint:  ## clang-tidy over src, and the rules that tests hold
	@scripts/install-deps lint
	@scripts/lint

clean:  ## remove what was built (installed packages and data stay)
	rm -rf build console/dist
