# Concorde. `make help` lists the targets.
.DEFAULT_GOAL := build
SHELL := /bin/bash

BUILD ?= build
SAN   ?=
ifeq ($(origin CC),default)
CC := gcc
endif
CCACHE := $(shell command -v ccache 2>/dev/null)
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1

FLOORS   := base matrix http storage rooms federation server
PACKAGES := libmicrohttpd jansson libpq openssl libsodium yaml-0.1 libcurl libcares olm
VERSION  := $(shell cat VERSION 2>/dev/null || echo 0.1.0)

CFLAGS   ?= -O2 -g
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
CPPFLAGS += -I. -D_GNU_SOURCE -DCONCORDE_VERSION='"$(VERSION)"' $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
ALL_CFLAGS = -std=gnu17 $(WARN) $(CFLAGS) -fstack-protector-strong $(SANFLAGS)
LDLIBS   += $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lcrypt -lpthread -lm
ifeq ($(SAN),asan)
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifeq ($(SAN),tsan)
SANFLAGS := -fsanitize=thread -fno-omit-frame-pointer
endif
LDFLAGS  += $(SANFLAGS)

SOURCES := $(foreach f,$(FLOORS),$(shell find $(f) -name '*.c' 2>/dev/null))
MAIN    := server/main.c
LIB_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out $(MAIN),$(SOURCES)))
UNIT    := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
MIGRATIONS := $(sort $(wildcard schema/[0-9]*.sql))

.PHONY: help deps build unit format format-check layers clean
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 16

build: $(BUILD)/concorde ## compile build/concorde

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CCACHE) $(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# The migrations travel inside the binary.
$(BUILD)/gen/schema_data.c: $(MIGRATIONS) scripts/embed-schema.sh
	@mkdir -p $(@D)
	@scripts/embed-schema.sh $(MIGRATIONS) > $@.new && mv $@.new $@
$(BUILD)/obj/gen/schema_data.o: $(BUILD)/gen/schema_data.c
	@mkdir -p $(@D)
	@$(CCACHE) $(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c $< -o $@

$(BUILD)/libconcorde.a: $(LIB_OBJ) $(BUILD)/obj/gen/schema_data.o
	@rm -f $@ && ar rcs $@ $^

$(BUILD)/concorde: $(BUILD)/obj/server/main.o $(BUILD)/libconcorde.a
	@echo "  LD $@"
	@$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/unit/%: tests/unit/%.c $(BUILD)/libconcorde.a
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CCACHE) $(CC) $(CPPFLAGS) $(ALL_CFLAGS) -Itests/unit -MMD -MP -MT $@ -c $< -o $@.o
	@$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $@.o $(BUILD)/libconcorde.a $(LDLIBS) -lcmocka

unit: $(UNIT) ## build and run the unit tests
	@tests/unit/run.sh $(UNIT)

format: ## format every C file
	@git ls-files '*.c' '*.h' | xargs clang-format -i

format-check:
	@git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror

layers: ## check that includes only go down the floors
	@tests/layers.sh

clean: ## remove what was built
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
