# Every command works as the first one in a fresh clone, and does nothing twice.
#
#   make serve       the example applications on http://127.0.0.1:8000     ARGS='--bind [::1]:8080'
#   make test        the test suite, on a build with debug counters        ARGS='-k name'
#   make quick       its unit tests alone, in a few seconds                ARGS='-k name'
#   make extended    further cells of its matrices, and the distributions     ARGS='-k wheel'
#   make test-all    the same on every CPython from 3.11 up on this machine, and on the newest one of Debian sid
#   make coverage    the same with lines counted: a table of folders, pages in build/coverage/html
#   make debug       a server under gdb, with Cython source lines            GDB='-ex run' ARGS='main:app'
#   make asan        the same under AddressSanitizer and UndefinedBehaviorSanitizer
#   make stress      threads under load, with seeded delays                  N=1000000 SEED=1
#   make conformance long tests: millions of mutations, gigabytes      ARGS='-k streaming'
#   make browser     the example pages in a browser; screenshots in build/browser
#   make fuzz        fuzzing under the same sanitizers                      SECONDS=600 TARGET=access_log
#   make check       format, lint, types, Cython warnings, import layers, sizes, words
#   make format      format the Python files, and apply the linter's fixes
#   make bench       side by side with other servers                       ARGS='--help' PYTHON=python3.13
#   make bench-check  instructions of a request against the kept ones         ARGS=--renew
#   make flood       requests over TLS during floods of handshakes          ARGS='--rounds 1'
#   make attacks     the costs of attacks on HTTP/2, beside those of the attacker  ARGS='--held 10000'
#   make choices     WSGI and ASGI side by side, and whether `ianus check` recommends the right settings
#   make instructions  how many a request takes, by callgrind               ARGS='--modules asgi'
#   make build       compile the package in place; .venv/bin/ianus runs it
#   make pgo         records which branches of the compiled modules a request takes, for `make dist`
#   make dist        source distribution and wheel in dist/
#   make clean       remove everything that was made
#
# Three builds live side by side. The release build is compiled into the source tree, which .venv refers to
# (an editable install). The debug and sanitizer builds are copies of the package in build/, put in front of
# it with PYTHONPATH; PYTHONSAFEPATH keeps the current folder from getting in front of them.

# The measurements with PYTHON= have the environment and the builds of that version, as `make test-all` has.
ifneq ($(and $(filter command,$(origin PYTHON)),$(filter bench bench-check choices instructions,$(MAKECMDGOALS))),)
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV ?= build/python$(VERSION)/venv
BUILD ?= build/python$(VERSION)
endif

PYTHON ?= $(shell tools/pythons | head -n 1)
VENV ?= .venv
BUILD ?= build
CC ?= cc
ARGS ?=

BIN := $(VENV)/bin
SOURCES := $(sort $(shell find ianus -name '*.py' -o -name '*.p[xy][xdi]' -o -name '*.h' -o -name py.typed -o -name '*.json'))
MODULES := $(filter %.pyx,$(SOURCES))
DECLARATIONS := $(filter %.pxd %.h,$(SOURCES))

.DELETE_ON_ERROR:
.PHONY: serve test extended over-tls quick coverage debug test-all asan stress conformance browser fuzz fuzz-corpus check format bench bench-check choices flood attacks instructions build pgo dist clean venv always

serve: build
	exec $(BIN)/ianus --app-dir examples --mount /live=hello:app --mount /chat=chat:app $(ARGS) gate:app

# ---- the environment ---------------------------------------------------------------------------------------

# $(call debian,CHECK,PACKAGES): installs Debian packages unless CHECK succeeds.
debian = @{ $(1); } >/dev/null 2>&1 || { \
	if ! command -v apt-get >/dev/null; then echo "error: please install these Debian packages: $(2)"; exit 1; fi; \
	if test "$$(id -u)" = 0; then sudo=; elif command -v sudo >/dev/null; then sudo=sudo; else \
		echo "error: please run as root: apt-get install $(2)"; exit 1; fi; \
	echo "Installing $(2)"; \
	$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(2) >/dev/null; }

# Only the path to the package is installed here; compiling is the next step's, which shows its progress.
$(VENV)/.installed: pyproject.toml
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: needs CPython 3.11 or newer, as in: make PYTHON=/path/to/python3"; exit 1; }
	$(call debian,command -v $(CC),gcc libc6-dev)
	$(call debian,$(PYTHON) -m ensurepip --version,python3-venv)
	$(call debian,test -e "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h",python3-dev)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group dev
	IANUS_COMPILE=0 $(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[uvloop]'
	@touch $@

venv: $(VENV)/.installed

# ---- the builds --------------------------------------------------------------------------------------------

# The generated C files do not notice changed directives or another Cython.
build/.generator: pyproject.toml setup.py
	rm -rf build/cython build/check
	@mkdir -p build && touch $@

# Changes when a file is added or removed: make alone does not notice a removal.
build/.sources: always
	@mkdir -p build; echo '$(SOURCES)' | cmp -s - $@ || echo '$(SOURCES)' > $@

build: $(VENV)/.built

$(VENV)/.built: $(MODULES) $(DECLARATIONS) build/.generator build/.sources | $(VENV)/.installed
	$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

# $(call copy,DIRECTORY): builds a copy of the package. Python files are copied again, so that none is stale.
copy = if test -d $(1); then find $(1) -type f ! -name '*.so' -delete; fi
copy += && $(BIN)/python setup.py --quiet build --build-lib $(1) --build-temp $(1)/objects
# The tests start many servers; each would compile the Python files again if the environment switches bytecode off.
copy += && $(BIN)/python -m compileall -q $(1)/ianus

$(BUILD)/debug/.built: $(SOURCES) build/.generator build/.sources | $(VENV)/.installed
	export IANUS_DEBUG=1; $(call copy,$(@D))
	@touch $@

$(BUILD)/asan/.built: $(SOURCES) build/.generator build/.sources | $(VENV)/.installed
	export IANUS_ASAN=1; $(call copy,$(@D))
	@touch $@

# The sources lie beside the compiled modules; copies of those that are gone are removed.
build/coverage/.built: $(SOURCES) build/.generator build/.sources | $(VENV)/.installed
	@mkdir -p $(@D) && cp --parents --update --preserve=timestamps $(SOURCES) $(@D)
	@cd $(@D) && find ianus -type f ! -name '*.so' ! -name '*.c' | while read -r file; do \
		test -e $(CURDIR)/$$file || rm -f $$file $${file%.pyx}.c; done
	@ln -sfn $(CURDIR)/docs $(@D)/docs
	IANUS_COVERAGE=1 $(BIN)/python setup.py --quiet build_ext --build-lib $(@D) --build-temp $(@D)/objects
	@touch $@

$(BUILD)/fuzz/.built: $(SOURCES) build/.generator build/.sources | $(VENV)/.installed
	$(call debian,command -v clang && test -e "$$(clang -print-file-name=libclang_rt.asan_static-$$(uname -m).a)",clang libclang-rt-dev)
	$(BIN)/python -m pip install --quiet --group fuzz
	export IANUS_FUZZ=1 CC=clang; $(call copy,$(@D))
	@touch $@

# A release build that counts its branches, and a training of seconds that each wheel is optimised by.
$(BUILD)/profile/.built: $(SOURCES) bench/training.py build/.generator build/.sources | $(VENV)/.installed
	rm -rf build/profile/objects
	export IANUS_PROFILE=1; $(call copy,$(@D))
	PYTHONSAFEPATH=1 PYTHONPATH=$(abspath $(@D)):$(CURDIR)/bench $(BIN)/python bench/training.py
	@touch $@

pgo: $(BUILD)/profile/.built

# Compiler caches know the records of a module only at some paths.
dist: $(BUILD)/profile/.built
	CCACHE_DISABLE=1 IANUS_PROFILED=$(CURDIR) \
	$(BIN)/python -m build --no-isolation --outdir dist

# ---- the tests ---------------------------------------------------------------------------------------------

# $(call suite,DIRECTORY): runs pytest on the build in DIRECTORY; tests/test_build.py looks that it is that one.
# Each worker takes one file after the other, so that the servers which tests of a file share are started once;
# WORKERS=0 is none, as a debugger wants it. Three use two cores well, since many tests wait.
WORKERS ?= 3
suite = IANUS_BUILD=$(abspath $(1)) PYTHONPATH=$(abspath $(1)):$(CURDIR) PYTHONSAFEPATH=1 \
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: $(BUILD)/debug/.built
	$(call suite,$(BUILD)/debug) $(ARGS)

extended: $(BUILD)/debug/.built
	$(call suite,$(BUILD)/debug) -m extended $(ARGS)
	@$(BIN)/python -m tests.other_servers

# Tests that know nothing of TLS, over TLS: servers have a certificate, and clients trust it. All of them take an hour;
# `make conformance` runs some.
ENGINES ?= openssl python
OVER_TLS ?= tests/e2e tests/frameworks
OVER_TLS_CONFORMANCE ?= tests/proxies \
	$(addprefix tests/conformance/test_,autobahn.py lingering.py slow_clients.py stops.py streaming.py supervisor.py)
OVER_TLS_QUICK = $(addprefix tests/e2e/test_,requests.py websocket_messages.py wsgi_bodies.py) \
	$(addprefix tests/frameworks/test_,fastapi.py flask.py)
OVER_TLS_CONFORMANCE_QUICK = tests/conformance/test_autobahn.py tests/proxies/test_forwarded.py \
	-k "fragmentation or closing or url_by_rfc_7239"
over-tls: build
	$(call debian,command -v haproxy && command -v nginx && command -v caddy,haproxy nginx-light caddy)
	$(call debian,command -v slowhttptest && command -v wrk,slowhttptest wrk)
	$(BIN)/python -m pip install --quiet --group conformance
	@for engine in $(ENGINES); do \
		echo "---- over TLS, engine $$engine"; \
		export TESTS_OVER_TLS=$$engine IANUS_BUILD=$(CURDIR); \
		$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS) $(OVER_TLS) || exit 1; \
		$(BIN)/pytest -n $(WORKERS) --dist load --maxschedchunk 1 -m conformance $(ARGS) \
			$(OVER_TLS_CONFORMANCE) || exit 1; \
	done

# Units are the folders of tests that mirror the package's, without the tests that are marked slow, such as those that
# start processes. `make check` has test_layers and test_sizes.
UNITS = $(wildcard $(patsubst ianus/%,tests/%,$(wildcard ianus/*))) \
	$(addprefix tests/test_,bench.py build.py errors.py fuzzing.py instructions.py naming.py rows.py safe_paths.py undeclared.py)

# Two processes with a half each: with pytest-xdist both would collect all tests. The second one prints at the end; it
# may find no test for its ARGS (exit code 5). Files are in memory: a directory on a disk takes longer than a test.
UNITS_FIRST = $(filter tests/codec tests/exchange tests/migrate tests/settings,$(UNITS))
quick_half = IANUS_BUILD=$(abspath $(BUILD)/debug) PYTHONPATH=$(abspath $(BUILD)/debug):$(CURDIR) PYTHONSAFEPATH=1 \
	$(BIN)/pytest -p no:xdist --quiet -m 'not slow' --durations=5 --durations-min=1 $(ARGS)
quick: export PYTEST_DEBUG_TEMPROOT = $(wildcard /dev/shm)
quick: $(BUILD)/debug/.built
	@output=$$(mktemp); trap 'rm -f $$output' EXIT; \
	$(quick_half) $(filter-out $(UNITS_FIRST),$(UNITS)) > $$output 2>&1 & second=$$!; \
	$(quick_half) $(UNITS_FIRST); first=$$?; wait $$second; second=$$?; cat $$output; \
	case $$first,$$second in 0,0 | 0,5 | 5,0) ;; *) exit 1 ;; esac

test-all:
	@for python in $$(tools/pythons); do \
		version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		echo "---- Python $$version"; \
		$(MAKE) test PYTHON=$$python VENV=build/python$$version/venv BUILD=build/python$$version || exit 1; \
	done
	@echo "---- Python of Debian sid, compiler warnings are errors"
	tools/sid $(MAKE) test PYTHON=/usr/bin/python3 VENV=build/sid-python/venv BUILD=build/sid-python \
		CFLAGS=-Werror ARGS='$(ARGS)'
	tools/sid env CFLAGS=-Werror build/sid-python/venv/bin/python setup.py --quiet build \
		--build-lib build/sid-python/release --build-temp build/sid-python/release/objects

# Slow, since each line is traced, in servers and their workers too. Tests that fail for that reason do not matter.
coverage: build/coverage/.built
	@rm -f build/coverage/data*
	-$(subst $(BIN)/pytest,$(BIN)/coverage run -m pytest,$(call suite,build/coverage)) \
		-p tests.saved_coverage $(ARGS)
	$(BIN)/python tools/coverage_report.py

debug: $(BUILD)/debug/.built
	$(call debian,command -v gdb,gdb)
	PYTHONPATH=$(abspath $(BUILD))/debug PYTHONSAFEPATH=1 \
	gdb -ix tools/gdbinit $(GDB) \
		--args $(BIN)/python tools/serve_in_one_process.py $(or $(ARGS),--app-dir examples gate:app)

# Python's own allocator would hide overruns from the sanitizer. Reports go to files: a test captures its
# server's output, and any report at all is a failure.
# The C++ library is loaded early as well: the sanitizer looks up its function for exceptions, which some extension
# modules throw, at the start alone. Freed memory is held back from use up to 32 MiB a process, not 256: dozens of servers
# run at once.
SANITIZERS = $$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libstdc++.so.6)
asan: REPORTS = $(abspath $(BUILD))/asan/report
asan: $(BUILD)/asan/.built
	@rm -f $(REPORTS).*
	LD_PRELOAD="$(SANITIZERS)" PYTHONMALLOC=malloc \
	ASAN_OPTIONS=detect_leaks=0:handle_sigill=1:quarantine_size_mb=32:log_path=$(REPORTS) \
	$(call suite,$(BUILD)/asan) -m 'not greenlets' $(ARGS); \
	status=$$?; ! cat $(REPORTS).* 2>/dev/null && exit $$status

# Under the same sanitizers, whose build sleeps at each hand-off between threads, as SEED has it.
N ?= 100000
SEED ?= 1
stress: REPORTS = $(abspath $(BUILD))/asan/report
stress: $(BUILD)/asan/.built
	@rm -f $(REPORTS).*
	LD_PRELOAD="$(SANITIZERS)" PYTHONMALLOC=malloc \
	ASAN_OPTIONS=detect_leaks=0:handle_sigill=1:log_path=$(REPORTS) PYTHONSAFEPATH=1 \
	PYTHONPATH=$(abspath $(BUILD))/asan:$(CURDIR) \
	$(BIN)/python -m tests.conformance.stress --requests $(N) --seed $(SEED) $(ARGS); \
	status=$$?; ! cat $(REPORTS).* 2>/dev/null && exit $$status

# On the release build, as installed. Three tests at a time, since many wait; each has its own server, and single ones
# take minutes, so that with whole files some workers would have none at the end.
conformance: build
	$(call debian,command -v slowhttptest && command -v wrk,slowhttptest wrk)
	$(call debian,command -v nginx && command -v systemd-analyze,nginx-light systemd)
	$(call debian,command -v haproxy && test -e /usr/lib/nginx/modules/ngx_stream_module.so,haproxy libnginx-mod-stream)
	$(call debian,command -v caddy,caddy)
	$(call debian,ldconfig -p | grep -q libnghttp2.so.14,libnghttp2-14)
	$(call debian,command -v pebble && command -v testssl,pebble testssl.sh)
	$(BIN)/python -m pip install --quiet --group conformance
	@test -x build/sslyze/bin/sslyze || { $(BIN)/python -m venv build/sslyze && \
		build/sslyze/bin/python -m pip install --quiet 'sslyze>=6.3'; }
	IANUS_BUILD=$(CURDIR) $(BIN)/pytest -m conformance -n $(WORKERS) --dist load --maxschedchunk 1 $(ARGS)
	$(if $(ARGS),,@$(MAKE) --no-print-directory over-tls OVER_TLS='$(OVER_TLS_QUICK)' \
		OVER_TLS_CONFORMANCE='$(OVER_TLS_CONFORMANCE_QUICK)')

# Debian's browser: those that drivers bring along are other people's builds.
browser: build
	$(call debian,command -v chromium && command -v chromedriver,chromium chromium-driver)
	IANUS_BUILD=$(CURDIR) $(BIN)/pytest -m browser $(ARGS)

# A finding stays in fuzz/findings, and `make test` runs it again from then on. New inputs that reach more stay in
# build/ until `make fuzz-corpus` has the smallest set of them that reaches as much in fuzz/corpus.
TARGET ?= $(shell $(BIN)/python -c 'import fuzz; print(*fuzz.TARGETS)')
SECONDS ?= 60
INPUT ?=
fuzzer = PYTHONPATH=$(abspath $(BUILD))/fuzz:$(CURDIR) PYTHONSAFEPATH=1 PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
	LD_PRELOAD=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/asan_with_fuzzer.so \
	$(BIN)/python -m fuzz.run

fuzz: $(BUILD)/fuzz/.built
	@for target in $(TARGET); do \
		echo "---- $$target, $(SECONDS) s"; \
		corpus=$(BUILD)/corpus/$$target findings=fuzz/findings/$$target; \
		mkdir -p $$corpus fuzz/corpus/$$target $$findings; \
		$(fuzzer) $$target $(or $(INPUT),$$corpus fuzz/corpus/$$target $$findings) \
			-max_total_time=$(SECONDS) -timeout=20 -artifact_prefix=$$findings/ $(ARGS) || { \
			echo "error: to see it again: make fuzz TARGET=$$target INPUT=$$findings/..."; exit 1; }; \
	done

fuzz-corpus: $(BUILD)/fuzz/.built
	@for target in $(TARGET); do \
		corpus=$(BUILD)/corpus/$$target kept=fuzz/corpus/$$target; \
		mkdir -p $$corpus $$kept && cp -r $$kept/. $$corpus && rm -r $$kept && mkdir $$kept && \
		$(fuzzer) $$target -merge=1 $$kept $$corpus 2>&1 | tail -n 1; \
	done

# The cheap checks run first. Each step repeats only the work that a change makes necessary.
check: build/.generator | $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	PYTHONSAFEPATH=1 $(BIN)/pytest --quiet --noconftest tests/test_layers.py tests/test_sizes.py
	$(BIN)/python tools/words
	$(BIN)/python setup.py --quiet translate
	$(BIN)/python tools/undeclared.py
	@$(MAKE) --no-print-directory build/check/.linted
	$(BIN)/mypy

# cython-lint takes a second for 10 files, so it gets those that are newer than its last success.
build/check/.linted: export PATH := $(abspath $(BIN)):$(PATH)
build/check/.linted: build/.generator $(MODULES) $(filter %.pxd,$(DECLARATIONS)) | $(VENV)/.installed
	@echo cython-lint
	@$(BIN)/cython-lint $(filter-out build/.generator,$(if $(filter build/.generator,$?),$^,$?))
	@mkdir -p $(@D) && touch $@

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: build
	$(call debian,command -v wrk && ldconfig -p | grep -q libuv.so.1 && echo '#include <ev.h>' | $(CC) -E -,wrk libuv1 libev-dev)
	$(call debian,command -v h2load && command -v nginx && command -v openssl,nghttp2-client nginx-light openssl)
	$(BIN)/python bench/run.py $(ARGS)
	$(if $(ARGS),,$(BIN)/python bench/choices.py)

# The tables of docs/choosing.md; fails if a recommendation of `ianus check` is not right.
choices: build
	$(call debian,command -v wrk,wrk)
	$(BIN)/python bench/choices.py $(ARGS)

# make instructions ARGS='--tree ../other asgi' counts those of another checkout's release build.
instructions: build
	$(call debian,command -v valgrind,valgrind)
	$(BIN)/python bench/instructions.py $(ARGS)

# Established connections over TLS during floods of handshakes.
flood: build
	$(call debian,command -v openssl && echo '#include <openssl/ssl.h>' | $(CC) -E -,openssl libssl-dev)
	$(BIN)/python bench/flood.py $(ARGS)

# The known attacks on HTTP/2.
attacks: build
	$(BIN)/python bench/attacks.py $(ARGS)

# Fails if one of eight kinds of requests takes 1 % more instructions than bench/instructions.tsv has.
bench-check: build
	$(call debian,command -v valgrind,valgrind)
	$(BIN)/python bench/instructions.py --check $(ARGS)

clean:
	rm -rf $(VENV) build dist bench/.venv bench/build *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find ianus tests bench examples -name '*.so' -delete -o -name '*.pyc' -delete -o -name __pycache__ -empty -delete
