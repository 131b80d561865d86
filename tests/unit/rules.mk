# SPDX-License-Identifier: BSD-2-Clause
#
# Builds the unit tests; included by the Makefile, or used alone from the top directory:
#     make -f tests/unit/rules.mk unit-tests BUILD=build
# Needs BUILD, CC, CFLAGS and SANFLAGS; all but the last have a default. Each test_MODULE.c becomes
# BUILD/unit/test_MODULE, linked with the library's own objects, which are compiled once more with -DTM_FAULTS into
# BUILD/unit/obj. The front door (abi.c, boot.c, hooks.c and what hangs on jemalloc) is not among them: a test
# framework must not run on the malloc under test. A line "link: WORDS" in a comment of a test goes to its link.

BUILD ?= build
CFLAGS ?= -O2 -g
UT_SRC := tests/unit
UT_OUT := $(BUILD)/unit

ifeq ($(V),1)
UT_SAY := @:
else
UT_SAY := @printf '  %-7s %s\n' CC
Q := @
endif

UT_FLAGS = -std=gnu11 -D_GNU_SOURCE -DTM_FAULTS -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes \
	-Wpointer-arith -Wvla -Iinclude -Isrc -fPIE -pthread -MMD -MP $(CFLAGS) $(SANFLAGS)

UT_LIB := $(wildcard src/os/*.c src/coloring/*.c src/tiers/*.c) $(addprefix src/alloc/,options.c text.c report.c)
UT_OBJ := $(UT_LIB:src/%.c=$(UT_OUT)/obj/%.o) $(UT_OUT)/obj/unit.o
UT_BIN := $(patsubst $(UT_SRC)/%.c,$(UT_OUT)/%,$(wildcard $(UT_SRC)/test_*.c))

.PHONY: unit-tests
# kept from one run of make to the next
.SECONDARY: $(UT_OBJ) $(UT_BIN:$(UT_OUT)/%=$(UT_OUT)/obj/%.o)
unit-tests: $(UT_BIN)

$(UT_OUT)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(UT_SAY) $@
	$(Q)$(CC) $(UT_FLAGS) -c -o $@ $<

$(UT_OUT)/obj/%.o: $(UT_SRC)/%.c
	@mkdir -p $(@D)
	$(UT_SAY) $@
	$(Q)$(CC) $(UT_FLAGS) -c -o $@ $<

$(UT_OUT)/test_%: $(UT_OUT)/obj/test_%.o $(UT_OBJ)
	$(UT_SAY) $@
	$(Q)$(CC) $(CFLAGS) $(SANFLAGS) $(LDFLAGS) -pie -pthread -o $@ $^ \
		$$(sed -n '1,30s,^ \* link: \(.*\)$$,\1,p' $(UT_SRC)/test_$*.c) -lcriterion -lm

-include $(shell find $(UT_OUT) -name '*.d' 2>/dev/null)
