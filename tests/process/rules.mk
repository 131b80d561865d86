# SPDX-License-Identifier: BSD-2-Clause
#
# Builds the programs of tests/process; included by the Makefile, or used alone from the top directory:
#     make -f tests/process/rules.mk process-tests BUILD=build
# Needs BUILD, CC and CXX, and the library in BUILD. A source says by directives how it is built (see tests/run):
#     run: linked    also NAME.linked, which has the shared library in DT_NEEDED
#     run: static    also NAME.static, which has the archive in it
#     libs: -lfoo    more words for the link
# plugin_*.c are shared objects in BUILD/tests/process/plugins; a program may link one with -l:plugin_foo.so.

BUILD ?= build
PT_SRC := tests/process
PT_OUT := $(BUILD)/tests/process

PT_CFLAGS ?= -O1 -g -Wall -Wextra -Werror
PT_FLAGS = $(PT_CFLAGS) -fno-builtin -pthread -Iinclude
PT_LIBS = -L$(PT_OUT)/plugins -ldl -lm
PT_SHARED_LIBS = -L$(BUILD) -ltiermalloc -Wl,-rpath,'$$ORIGIN/../..'
PT_STATIC_LIBS = $(BUILD)/libtiermalloc.a -lm -ldl

PT_C := $(filter-out $(wildcard $(PT_SRC)/plugin_*.c),$(wildcard $(PT_SRC)/*.c))
PT_CC := $(wildcard $(PT_SRC)/*.cc)
PT_PLUGINS := $(patsubst $(PT_SRC)/%.c,$(PT_OUT)/plugins/%.so,$(wildcard $(PT_SRC)/plugin_*.c))
pt_how = $(shell grep -l '^/\* run: .*$(1)' $(PT_C) $(PT_CC))
pt_name = $(basename $(notdir $(1)))
PT_PLAIN := $(addprefix $(PT_OUT)/,$(call pt_name,$(PT_C) $(PT_CC)))
PT_LINKED := $(patsubst %,$(PT_OUT)/%.linked,$(call pt_name,$(call pt_how,linked)))
PT_STATIC := $(patsubst %,$(PT_OUT)/%.static,$(call pt_name,$(call pt_how,static)))
# The link words a source asks for; read by the shell of the recipe, which leaves $ORIGIN in them alone.
PT_ASKED = $$(sed -n '1,30s,^/\* libs: \(.*\) \*/$$,\1,p' $<)

.PHONY: process-tests
process-tests: $(PT_PLAIN) $(PT_LINKED) $(PT_STATIC) $(PT_PLUGINS)

$(PT_OUT)/plugins/%.so: $(PT_SRC)/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -std=gnu11 $(PT_FLAGS) -shared -fPIC $< -o $@ $(PT_ASKED)

define pt_program
$(PT_OUT)/%$(1): $(PT_SRC)/%.c $(PT_SRC)/check.h include/tiermalloc.h $(2) | $(PT_PLUGINS)
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$$(CC) -std=gnu11 $$(PT_FLAGS) $$< -o $$@ $(3) $$(PT_LIBS) $$(PT_ASKED)
$(PT_OUT)/%$(1): $(PT_SRC)/%.cc include/tiermalloc.h $(2) | $(PT_PLUGINS)
	@mkdir -p $$(@D)
	$$(call say,CXX,$$@)
	$$(Q)$$(CXX) -std=gnu++17 -fsized-deallocation $$(PT_FLAGS) $$< -o $$@ $(3) $$(PT_LIBS) $$(PT_ASKED)
endef
$(PT_LINKED): $(BUILD)/libtiermalloc.so.0
$(PT_STATIC): $(BUILD)/libtiermalloc.a
$(eval $(call pt_program,.linked,,$$(PT_SHARED_LIBS)))
$(eval $(call pt_program,.static,,$$(PT_STATIC_LIBS)))
$(eval $(call pt_program,,,))
