# Concorde. `make help` lists the targets.
.DEFAULT_GOAL := build
SHELL := /bin/bash

BUILD ?= build
SAN   ?=
DEV   ?= # not empty: warnings are errors, for developers and continuous integration
ifeq ($(origin CC),default)
CC := $(if $(shell command -v gcc 2>/dev/null),gcc,clang)
endif
CCACHE := $(shell command -v ccache 2>/dev/null)
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1

FLOORS   := base matrix http storage rooms users federation server
PACKAGES := libmicrohttpd jansson libpq openssl libsodium yaml-0.1 libcurl libcares olm icu-i18n icu-uc
VERSION  := $(shell cat VERSION 2>/dev/null || echo 0.1.0)

PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)
CFLAGS   ?= -O2 -g
# Rows of tables may leave out their last fields, which are then zero. Only clang complains.
WARN     := -Wall -Wextra $(if $(DEV),-Werror) -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wno-unused-parameter -Wno-missing-field-initializers
CPPFLAGS += -I. -D_GNU_SOURCE -DCONCORDE_VERSION='"$(VERSION)"' $(PKG_CFLAGS)
ALL_CFLAGS = -std=gnu17 $(WARN) $(CFLAGS) -fstack-protector-strong $(HARDEN) $(SANFLAGS)
LDLIBS   += $(PKG_LIBS) -lcrypt -lpthread -lm
ifeq ($(SAN),asan)
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifeq ($(SAN),tsan)
SANFLAGS := -fsanitize=thread -fno-omit-frame-pointer
endif
# Hardening against memory errors; tests/api/test_hardening.py checks it in the program.
# Sanitizers have checks of their own, and _FORTIFY_SOURCE (which needs optimization) gets in their way.
accepts   = $(shell $(CC) -Werror $(1) -x c -c -o /dev/null /dev/null 2>/dev/null && echo '$(1)')
FORTIFIED = $(shell echo '\#include <string.h>' | $(CC) -O2 -D_FORTIFY_SOURCE=3 -E -dM -x c - 2>/dev/null | \
	awk '$$2 == "__USE_FORTIFY_LEVEL" { print $$3 }')
HARDEN  := -fPIE
ifeq ($(SANFLAGS),)
HARDEN  += $(call accepts,-fstack-clash-protection)
HARDEN  += $(if $(filter x86_64-%,$(shell $(CC) -dumpmachine)),$(call accepts,-fcf-protection))
HARDEN  += $(if $(filter -O1 -O2 -O3 -Os,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(or $(FORTIFIED),2))
endif
LDFLAGS += $(SANFLAGS) -pie -Wl,-z,relro,-z,now,-z,noexecstack

SOURCES := $(foreach f,$(FLOORS),$(shell find $(f) -name '*.c' 2>/dev/null))
MAIN    := server/main.c
# A program of its own, for decoding hostile images: the server is not linked with libvips.
THUMBNAIL     := $(addprefix server/media/thumbnail_,child.c image.c)
THUMBNAIL_OBJ := $(THUMBNAIL:%.c=$(BUILD)/obj/%.o)
VIPS_CFLAGS    = $(patsubst -I%,-isystem%,$(shell pkg-config --cflags vips))
VIPS_LIBS      = $(shell pkg-config --libs vips gmodule-no-export-2.0)
LIB_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out $(MAIN) $(THUMBNAIL),$(SOURCES)))
UNIT    := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
MIGRATIONS := $(sort $(wildcard schema/[0-9]*.sql))

# The number of parallel jobs, unless the caller has given one (make -j4 test).
JOBS = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
AGAIN = $(MAKE) --no-print-directory $(JOBS)

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system

.PHONY: help build deps run install test unit api olm clients rust-clients interop nodes nodes-api nodes-clients chaos fault neighbours soak fuzz fuzz-replay asan tsan bench model \
        schema-objects format format-check compile_commands.json tidy lto coverage check layers words clean
help: ## list the targets
	@grep -hE '^[a-z_.-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 24

build: $(BUILD)/concorde $(BUILD)/concorde-thumbnail ## compile build/concorde

# Another make, started after the installation, finds the new packages.
deps: ## install the packages for building, running and testing (Debian 12, apt-get)
	@scripts/deps.sh run test

run: ## install missing packages, build, and run the server with its data in ./data
	@scripts/deps.sh run
	@$(AGAIN) -s build
	@exec $(BUILD)/concorde serve --data data

$(BUILD)/concorde.8: $(BUILD)/concorde scripts/man-page.py
	@scripts/man-page.py $(BUILD)/concorde > $@.new && mv $@.new $@

install: build $(BUILD)/concorde.8 ## install under PREFIX (/usr/local), with a systemd unit; DESTDIR is for packages
	install -D -m 644 $(BUILD)/concorde.8 $(DESTDIR)$(PREFIX)/share/man/man8/concorde.8
	install -D -m 755 $(BUILD)/concorde $(DESTDIR)$(PREFIX)/bin/concorde
	install -D -m 755 $(BUILD)/concorde-thumbnail $(DESTDIR)$(PREFIX)/bin/concorde-thumbnail
	install -d $(DESTDIR)$(UNITDIR)
	install -D -m 644 deploy/sysusers.conf $(DESTDIR)$(SYSCONFDIR)/sysusers.d/concorde.conf
	sed 's|@PREFIX@|$(PREFIX)|g; s|@SYSCONFDIR@|$(SYSCONFDIR)|g' deploy/concorde.service \
	    > $(DESTDIR)$(UNITDIR)/concorde.service
	sed 's|concorde/concorde.yaml|concorde/%i.yaml|; s|^StateDirectory=concorde|&/%i|; s|^Description=Concorde|& (%i)|; s|systemd-sysusers.*|systemd-sysusers|; s|now concorde|&@NAME|' \
	    $(DESTDIR)$(UNITDIR)/concorde.service > $(DESTDIR)$(UNITDIR)/concorde@.service
	[ -e $(DESTDIR)$(SYSCONFDIR)/concorde/concorde.yaml ] || \
	    install -D -m 640 deploy/concorde.yaml $(DESTDIR)$(SYSCONFDIR)/concorde/concorde.yaml

# This file changes with the flags, so that objects are then compiled again: a line for compiling, one for linking.
quoted = '$(subst ','\'',$(1))'
FLAGS := $(call quoted,$(CC) $(CPPFLAGS) $(ALL_CFLAGS)) $(call quoted,$(LDFLAGS) $(LDLIBS))
ifneq ($(filter-out help clean deps format format-check,$(or $(MAKECMDGOALS),build)),)
$(shell mkdir -p $(BUILD) && { printf '%s\n' $(FLAGS) | cmp -s - $(BUILD)/flags || printf '%s\n' $(FLAGS) > $(BUILD)/flags; })
endif

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CCACHE) $(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# The migrations are built into the binary.
$(BUILD)/gen/schema_data.c: schema/objects.txt $(MIGRATIONS) scripts/embed-schema.sh
	@mkdir -p $(@D)
	@scripts/embed-schema.sh schema/objects.txt $(MIGRATIONS) > $@.new && mv $@.new $@
$(BUILD)/obj/gen/schema_data.o: $(BUILD)/gen/schema_data.c $(BUILD)/flags
	@mkdir -p $(@D)
	@$(CCACHE) $(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c $< -o $@

schema-objects: $(BUILD)/unit/test_migrate ## list all objects that the migrations make, after a new one
	@SCHEMA_OBJECTS=schema/objects.txt $(BUILD)/unit/test_migrate > /dev/null 2>&1; \
	    git diff --stat schema/objects.txt

$(BUILD)/libconcorde.a: $(LIB_OBJ) $(BUILD)/obj/gen/schema_data.o
	@rm -f $@ && ar rcs $@ $^

$(BUILD)/concorde: $(BUILD)/obj/server/main.o $(BUILD)/libconcorde.a
	@echo "  LD $@"
	@$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The allow-list of its system calls: only it and its tests are linked with libseccomp.
CONFINED := $(BUILD)/unit/test_thumbnail_calls $(BUILD)/unit/test_thumbnail_confine
$(BUILD)/obj/server/media/thumbnail_calls.o: CPPFLAGS += $(shell pkg-config --cflags libseccomp)
$(CONFINED): CPPFLAGS += $(shell pkg-config --cflags libseccomp)
$(CONFINED): LDLIBS += $(shell pkg-config --libs libseccomp)
$(THUMBNAIL_OBJ): CPPFLAGS += $(VIPS_CFLAGS)
$(BUILD)/concorde-thumbnail: $(THUMBNAIL_OBJ) $(BUILD)/libconcorde.a
	@echo "  LD $@"
	@$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(VIPS_LIBS) $(shell pkg-config --libs libseccomp)

$(BUILD)/unit/%: tests/unit/%.c $(BUILD)/libconcorde.a $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CCACHE) $(CC) $(CPPFLAGS) $(ALL_CFLAGS) -Itests/unit -MMD -MP -MT $@ -c $< -o $@.o
	@$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $@.o $(WHOLE) $(BUILD)/libconcorde.a $(LDLIBS) -lcmocka
# These tests change something while these functions run.
$(BUILD)/unit/test_room_races: LDFLAGS += $(foreach f,room_cache_list_new room_load room_state_members \
	room_summaries_read,-Wl,--wrap=$(f))
$(BUILD)/unit/test_own_rules: LDFLAGS += $(foreach f,room_cache_list_new room_load members_have_own_rules,\
	-Wl,--wrap=$(f))
# This test must see every registered statement, also those that it does not refer to.
$(BUILD)/unit/test_sql: WHOLE := $(filter $(BUILD)/obj/storage/%,$(LIB_OBJ))

test: ## install missing packages, build, run every suite; ends with `N passed, N failed`
	@scripts/deps.sh run test
	@$(AGAIN) -s build
	@$(AGAIN) -s -k $(UNIT) $(OLM) || true # a suite that does not build counts as failed
	@$(AGAIN) -s -k BUILD=build-asan SAN=asan $(addprefix build-asan/fuzz/,$(FUZZ)) || true
	@BUILD=$(BUILD) scripts/test.sh

unit: $(UNIT) ## build and run the unit tests
	@tests/unit/run.sh $(UNIT)

api: build ## play clients and servers against the running server
	@CONCORDE_BIN=$(abspath $(BUILD)/concorde) WORKERS=$${WORKERS:-$$((2 * $(shell nproc)))} tests/pytest.sh api

OLM := $(BUILD)/olm/test_olm_devices
olm: build $(OLM) ## let devices with real libolm accounts use the server
	@tests/olm/run.sh $(BUILD)/concorde $(OLM)

$(OLM): $(wildcard tests/olm/*.[ch]) $(BUILD)/libconcorde.a
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(filter %.c %.a,$^) $(LDLIBS) -lcmocka

clients: build ## let real clients use the server
	@CONCORDE_BIN=$(abspath $(BUILD)/concorde) tests/clients/run.sh

rust-clients: build ## the same with the core of Element X, built with cargo (BUILD_SECONDS, 1500, at most)
	@CONCORDE_BIN=$(abspath $(BUILD)/concorde) tests/clients/rust/run.sh

interop: build ## let Synapse, from its package, federate with the server
	@CONCORDE_BIN=$(abspath $(BUILD)/concorde) WORKERS=$${WORKERS:-$(shell nproc)} tests/interop/run.sh

nodes: build ## NODES (3) on one database, killed, paused and cut off, while clients' histories are checked
	@scripts/deps.sh run test nodes
	@CONCORDE_BIN=$(abspath $(BUILD)/concorde) tests/pytest.sh nodes -s

nodes-api: build ## make api, against NODES (3) of which each request meets a random one
	@SUITE=$@ NODES=$${NODES:-3} $(MAKE) --no-print-directory BUILD=$(BUILD) api

nodes-clients: build ## make clients, against such nodes
	@SUITE=$@ NODES=$${NODES:-3} $(MAKE) --no-print-directory BUILD=$(BUILD) clients

# Nothing is tried again: a history that is wrong once is wrong.
chaos: build ## the same for CHAOS_SECONDS (600); CHAOS_SEED, CHAOS_CLIENTS, CHAOS_FAULTS: see tests/nodes/test_chaos.py
	@CONCORDE_BIN=$(abspath $(BUILD)/concorde) AGAIN_MAX=0 CHAOS_SECONDS=$${CHAOS_SECONDS:-600} \
	    tests/pytest.sh nodes -s -k chaos

fault: build ## kill, starve and cut off the server under load
	@CONCORDE_BIN=$(abspath $(BUILD)/concorde) tests/pytest.sh fault --ignore tests/fault/neighbours

neighbours: build ## attack the server, and measure the effect on others
	@CONCORDE_BIN=$(abspath $(BUILD)/concorde) tests/pytest.sh fault/neighbours

SOAK_SECONDS ?= 1200
soak: build ## joins followed by messages at once, redactions out of order: under load, SOAK_SECONDS (1200) each
	@for what in joins redactions; do CONCORDE_BIN=$(abspath $(BUILD)/concorde) PYTHONPATH=tests/api \
	    tests/python.sh tests/soak/$$what.py $(SOAK_SECONDS) || exit 1; done

asan: ## unit and API tests under AddressSanitizer and UBSan
	@$(AGAIN) BUILD=build-asan SAN=asan build $(UNIT:$(BUILD)/%=build-asan/%)
	@$(MAKE) --no-print-directory BUILD=build-asan SAN=asan unit api

tsan: ## unit tests under ThreadSanitizer
	@$(AGAIN) BUILD=build-tsan SAN=tsan unit

BENCH_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard bench/*.c))
$(BUILD)/concorde-bench: $(BENCH_OBJ) $(BUILD)/libconcorde.a
	@echo "  LD $@"
	@$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

model: ## check the models of the order protocol (tests/model/README.md)
	@tests/model/run.sh

bench: build $(BUILD)/concorde-bench ## measure (BENCH="send fed_in": only those)
	@bench/run.sh $(BUILD)/concorde $(BUILD)/concorde-bench $(BENCH)

# A fuzz target gets its main() from libFuzzer (make fuzz, clang) or from replay.c (gcc).
FUZZ      := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_MAIN ?= tests/fuzz/replay.c
export FUZZ_SECONDS ?= 60
$(BUILD)/fuzz/%: tests/fuzz/%.c $(wildcard tests/fuzz/*.h) $(FUZZ_MAIN) $(BUILD)/libconcorde.a
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) $(FUZZ_ENGINE) -Itests/fuzz -o $@ $< $(FUZZ_MAIN) \
		$(FUZZ_MORE) $(BUILD)/libconcorde.a $(LDLIBS)
# These run on the whole server.
FUZZ_WHOLE := $(addprefix $(BUILD)/fuzz/fuzz_,client_request server_request remote_answer)
$(FUZZ_WHOLE): FUZZ_MORE := $(addprefix tests/fuzz/,whole_server.c empty_db.c answering_host.c)
$(FUZZ_WHOLE): tests/fuzz/whole_server.c tests/fuzz/empty_db.c tests/fuzz/answering_host.c
# This one runs the decoding of concorde-thumbnail.
FUZZ_IMAGE_OBJ := $(BUILD)/obj/server/media/thumbnail_image.o
$(BUILD)/fuzz/fuzz_image: FUZZ_MORE := $(FUZZ_IMAGE_OBJ)
$(BUILD)/fuzz/fuzz_image: $(FUZZ_IMAGE_OBJ)
$(BUILD)/fuzz/fuzz_image: private CPPFLAGS += $(VIPS_CFLAGS)
$(BUILD)/fuzz/fuzz_image: private LDLIBS += $(VIPS_LIBS)

fuzz: ## fuzz every parser of hostile bytes for FUZZ_SECONDS (60) each
	@$(AGAIN) BUILD=build-fuzz CC=clang FUZZ_MAIN= FUZZ_ENGINE=-fsanitize=fuzzer \
		SANFLAGS="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all" \
		$(addprefix build-fuzz/fuzz/,$(FUZZ))
	@tests/fuzz/run.sh $(addprefix build-fuzz/fuzz/,$(FUZZ))

fuzz-replay: ## replay the fuzzing corpus under the address sanitizer
	@$(AGAIN) BUILD=build-asan SAN=asan $(addprefix build-asan/fuzz/,$(FUZZ))
	@tests/fuzz/replay.sh $(addprefix build-asan/fuzz/,$(FUZZ))

format: ## format every C file
	@git ls-files '*.c' '*.h' | xargs clang-format -i

format-check: ## is every C file formatted?
	@git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror

# Written each time, since new files must be in it.
compile_commands.json: $(BUILD)/flags ## how each file is compiled, for clangd and clang-tidy
	@scripts/compile-commands.py $(BUILD)/flags $(SOURCES) $(wildcard tests/unit/*.c tests/fuzz/*.c bench/*.c) > $@

# How many states of a function the analyzer explores: more take longer (clang's default is 225000).
TIDY_STATES ?= 50000
# A file is checked again when it is compiled again: if its headers, flags and checks are unchanged, it is skipped.
$(BUILD)/tidy/%.ok: $(BUILD)/obj/%.o .clang-tidy | compile_commands.json
	@mkdir -p $(@D)
	@echo "  TIDY $*.c"
	@clang-tidy -p . --quiet $(addprefix --extra-arg=-Xclang --extra-arg=,-analyzer-config max-nodes=$(TIDY_STATES)) $*.c 2> >(grep -vE '^[0-9]+ warnings? generated' >&2) && touch $@

tidy: ## let clang-tidy look for faults (.clang-tidy)
	@scripts/deps.sh run tidy
	@$(AGAIN) -s -k $(SOURCES:%.c=$(BUILD)/tidy/%.ok)

# Compiles the whole program as one, to find a function or variable whose declaration in one file differs from its
# definition in another (-Wlto-type-mismatch; pointed-to types are not compared). Across files gcc cannot relate an
# error to an output; `make build` has that check for each file.
lto: ## is every function and variable defined as it is declared elsewhere?
	@scripts/deps.sh run lto
	@$(AGAIN) -s BUILD=build-lto CC=gcc DEV=1 CFLAGS="-O1 -flto=auto -Wlto-type-mismatch -Wno-maybe-uninitialized" build

# A separate build, without -Werror: at -O1 gcc has other warnings.
COVERED ?= unit api
COVERAGE := BUILD=build-cov DEV= CFLAGS="-O1 -g" SANFLAGS="--coverage -fprofile-update=atomic"
coverage: ## which lines the suites COVERED ("unit api") run: by floor here, by file in build-cov/coverage.txt
	@scripts/deps.sh run test coverage
	@find build-cov -name '*.gcda' -delete 2>/dev/null || true
	@$(AGAIN) -s $(COVERAGE) build $(UNIT:$(BUILD)/%=build-cov/%)
	@$(MAKE) -j1 -k --no-print-directory $(COVERAGE) $(COVERED) || true # what fails has run, too
	@gcovr -r . --object-directory build-cov $(FLOORS:%=-f %/) --txt build-cov/coverage.txt --json-summary build-cov/coverage.json
	@scripts/coverage.py $(FLOORS) < build-cov/coverage.json

check: test ## the same as test

layers: build ## check that includes and symbols only go down the floors, and the sizes of files and folders
	@tests/layers.py $(BUILD)

words: ## check that words and names mean what a Matrix engineer reads in them (docs/glossary.md)
	@tests/words.py

clean: ## remove built files
	rm -rf $(BUILD) build-asan build-tsan build-fuzz build-lto build-cov build-tools compile_commands.json

-include $(shell find $(BUILD) -type f -name '*.d' 2>/dev/null)
