# tiermalloc. `make help` lists the targets; V=1 shows the commands; everything built goes to build/.

VERSION := $(shell awk '/define TM_VERSION_(MAJOR|MINOR|PATCH)/ { v = v s $$3; s = "." } END { print v }' \
	include/tiermalloc.h)
SOVERSION := 0

CC      ?= cc
CXX     ?= c++
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
BINDIR  ?= $(PREFIX)/bin
INCDIR  ?= $(PREFIX)/include
MANDIR  ?= $(PREFIX)/share/man
DOCDIR  ?= $(PREFIX)/share/doc/tiermalloc

BUILD   ?= build$(addprefix /,$(SAN))
V       ?= 0
ifeq ($(V),0)
Q   := @
say  = @printf '  %-7s %s\n' '$(1)' '$(2)'
else
Q   :=
say  = @:
endif

ifneq ($(filter-out address undefined thread,$(SAN)),)
$(error SAN=$(SAN): accepted are address, undefined, thread)
endif

CFLAGS   ?= -O2 -g
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wpointer-arith -Wvla
BASE     := -std=gnu11 -D_GNU_SOURCE $(WARNINGS) -Iinclude -Isrc -MMD -MP
# Our own malloc must not be taken for one the compiler knows the behaviour of.
NOBUILTIN := -fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc -fno-builtin-free
LIBFLAGS := $(BASE) -fPIC -fvisibility=hidden -ftls-model=initial-exec $(NOBUILTIN)

.PHONY: all help deps test test-unit test-process test-preload test-numa bench bench-quick demo lint install uninstall clean
all: $(BUILD)/libtiermalloc.so $(BUILD)/libtiermalloc.a $(BUILD)/tiermalloc $(BUILD)/tiermalloc.pc

include mk/jemalloc.mk

# --- the library ---

LIB_SRC := $(wildcard src/os/*.c src/coloring/*.c src/tiers/*.c src/alloc/*.c)
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o)

# new-handlers throw through it
$(BUILD)/src/alloc/operators.o: LIBFLAGS += -fexceptions

$(BUILD)/src/%.o: src/%.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LIBFLAGS) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

SONAME := libtiermalloc.so.$(SOVERSION)
LDLIB  := -shared -Wl,-soname,$(SONAME) -Wl,--version-script=src/libtiermalloc.map -Wl,-z,defs -Wl,-z,now \
	-Wl,-z,relro -Wl,-z,nodlopen -Wl,-z,noexecstack -Wl,--as-needed

# Everything in one object, in which one jump of jemalloc's free is led to ours.
$(BUILD)/redirect: mk/redirect.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -O1 $(WARNINGS) -o $@ $<

$(BUILD)/whole.o: $(LIB_OBJ) $(JEMALLOC_O) $(BUILD)/redirect
	$(call say,LD,$@)
	$(Q)$(LD) -r -o $@ $(filter-out %/redirect,$^)
	$(Q)$(BUILD)/redirect $@ tmje_free tmje_free_default boot_free_default

$(BUILD)/$(SONAME): $(BUILD)/whole.o src/libtiermalloc.map
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(LDLIB) -o $@ $< -lm -lpthread -ldl

$(BUILD)/libtiermalloc.so: $(BUILD)/$(SONAME)
	$(Q)ln -sf $(SONAME) $@

# An archive cannot hide names, so they are made local, but for the exported ones.
$(BUILD)/libtiermalloc.a: $(BUILD)/whole.o src/libtiermalloc.map
	$(call say,AR,$@)
	$(Q)sed -e '/^\/\*/,/\*\//d' -e '/local:/,$$d' src/libtiermalloc.map | tr ';{ \t' '\n' | grep -v -e '^$$' -e : \
		>$(BUILD)/exports
	$(Q)objcopy --keep-global-symbols=$(BUILD)/exports $< $(BUILD)/libtiermalloc.o
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(BUILD)/libtiermalloc.o

# Changes when the place of installation does, for what has it built in.
$(BUILD)/prefix: FORCE
	@mkdir -p $(@D); echo '$(PREFIX) $(LIBDIR) $(INCDIR)' | cmp -s - $@ || echo '$(PREFIX) $(LIBDIR) $(INCDIR)' >$@
.PHONY: FORCE

$(BUILD)/tiermalloc.pc: tiermalloc.pc.in $(BUILD)/prefix
	$(call say,GEN,$@)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCDIR@|$(INCDIR)|' \
		-e 's|@VERSION@|$(VERSION)|' $< >$@

# --- the command ---

CLI_SRC := $(wildcard src/cli/*.c)
CLI_SHARED := src/alloc/options.c src/alloc/text.c src/tiers/birth.c src/tiers/calibrate.c src/tiers/cost.c \
	src/coloring/geometry.c src/os/os.c src/os/pages.c src/os/uffd.c src/os/perf.c src/os/perf_codes.c
CLI_OBJ := $(CLI_SRC:%.c=$(BUILD)/cli/%.o) $(CLI_SHARED:%.c=$(BUILD)/cli/%.o)


$(BUILD)/cli/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) -DTM_LIBDIR='"$(LIBDIR)"' $(CPPFLAGS) $(CFLAGS) $(SANFLAGS) -c -o $@ $<

$(BUILD)/cli/src/cli/library.o: $(BUILD)/prefix

$(BUILD)/tiermalloc: $(CLI_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(SANFLAGS) $(LDFLAGS) -o $@ $^ -lhwloc -lnuma -lcjson

# --- tests ---

# The sanitizers replace malloc, as we do, so they look at everything above jemalloc by itself: the unit tests and the
# command. Undefined behaviour is also trapped inside the library, where a report could not allocate.
ifneq ($(SAN),)
SANFLAGS := -fsanitize=$(SAN) -fno-omit-frame-pointer
endif
ifeq ($(SAN),undefined)
SANFLAGS += -fno-sanitize-recover=all
LIBFLAGS += -fsanitize=undefined -fsanitize-undefined-trap-on-error
endif

-include tests/unit/rules.mk
-include tests/process/rules.mk

SUITE_UNIT    := tests/unit/run
SUITE_PROCESS := tests/run tests/process
SUITE_CLI     := tests/run tests/cli
SUITE_PRELOAD := tests/preload/run
SUITE_COLD    := tests/preload/run -c hot_bytes:0
SUITES_address   := '$(SUITE_UNIT)' '$(SUITE_CLI)'
SUITES_thread    := '$(SUITE_UNIT)'
SUITES_undefined := '$(SUITE_UNIT)' '$(SUITE_CLI)' '$(SUITE_PROCESS)'
SUITES := $(if $(SAN),$(SUITES_$(SAN)),'$(SUITE_UNIT)' '$(SUITE_PROCESS)' '$(SUITE_CLI)' '$(SUITE_PRELOAD)' '$(SUITE_COLD)')

test: deps
	@$(MAKE) --no-print-directory test-built
.PHONY: test-built test-programs
test-programs: all unit-tests process-tests
test-built: test-programs
	@TM_BUILD=$(BUILD) tests/all $(SUITES)
test-unit: unit-tests
	@TM_BUILD=$(BUILD) $(SUITE_UNIT)
test-process: all process-tests
	@TM_BUILD=$(BUILD) $(SUITE_PROCESS)
test-preload: all
	@$(SUITE_PRELOAD)
test-numa: all
	@TM_BUILD=$(BUILD) tests/numa/run

# --- benchmarks and the demo ---

BENCH := $(patsubst bench/%.c,$(BUILD)/bench/%,$(filter-out bench/harness.c bench/report.c,$(wildcard bench/*.c)))
$(BUILD)/bench/%: bench/%.c bench/harness.c bench/report.c bench/harness.h bench/report.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARNINGS) -Iinclude $(CFLAGS) -o $@ $< bench/harness.c bench/report.c \
		-lcjson -lm -lpthread -ldl
.PHONY: bench-programs bench-instructions
bench-programs: all $(BENCH)
bench: deps-bench
	@$(MAKE) --no-print-directory bench-programs
	@bench/run
bench-quick: bench-programs
	@bench/run --quick
bench-instructions: bench-programs
	@bench/instructions

demo: deps-demo
	@$(MAKE) --no-print-directory -s all
	@bench/demo

# --- packages ---

.PHONY: deps-demo deps-bench
deps:
	@mk/deps mk/packages-build mk/packages-bench mk/packages-test tests/preload/deps
deps-demo:
	@mk/deps mk/packages-build
deps-bench:
	@mk/deps mk/packages-build mk/packages-bench

# --- lint ---

C_FILES := $(shell git ls-files '*.c' '*.h' '*.cc' '*.def' 2>/dev/null || find src include tests bench mk -name '*.[ch]')
C_FORMAT := $(filter-out %.def,$(C_FILES))
SH_FILES := $(shell grep -lIE '^\#!.*(ba|da|)sh' $$(git ls-files 2>/dev/null) .ci/run 2>/dev/null)
LINT_C  := $(filter src/%.c mk/%.c,$(C_FILES))

lint:
	$(call say,LINT,clang-format)
	$(Q)clang-format --style=file --dry-run --Werror $(C_FORMAT)
	$(call say,LINT,gcc and clang)
	$(Q)for f in $(LINT_C) $(filter bench/%.c,$(C_FILES)); do \
		for cc in gcc clang; do \
			$$cc $(BASE) -MF /dev/null -DTM_LIBDIR='""' $(NOBUILTIN) -fsyntax-only $$f || exit 1; done; done
	$(call say,LINT,clang-tidy)
	$(Q)clang-tidy --quiet $(LINT_C) -- -std=gnu11 -D_GNU_SOURCE -DTM_LIBDIR='""' -Iinclude -Isrc $(NOBUILTIN) 2>/dev/null
	$(call say,LINT,cppcheck)
	$(Q)cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability --inline-suppr \
		--suppressions-list=mk/cppcheck.txt -D_GNU_SOURCE -D__x86_64__ -DTM_LIBDIR='""' -Iinclude -Isrc $(LINT_C)
	$(call say,LINT,shellcheck)
	$(Q)shellcheck -x $(SH_FILES)
	$(call say,LINT,man pages)
	$(Q)for page in man/*.[0-9]; do mandoc -T lint -W warning $$page || exit 1; done

# --- installation ---

install: all
	$(call say,INSTALL,$(DESTDIR)$(PREFIX))
	$(Q)install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(BINDIR) $(DESTDIR)$(INCDIR) $(DESTDIR)$(DOCDIR) \
		$(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man3 $(DESTDIR)$(MANDIR)/man7
	$(Q)install -m 755 $(BUILD)/$(SONAME) $(DESTDIR)$(LIBDIR)/$(SONAME)
	$(Q)ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libtiermalloc.so
	$(Q)install -m 644 $(BUILD)/libtiermalloc.a $(DESTDIR)$(LIBDIR)/
	$(Q)install -m 644 $(BUILD)/tiermalloc.pc $(DESTDIR)$(LIBDIR)/pkgconfig/
	$(Q)install -m 755 $(BUILD)/tiermalloc $(DESTDIR)$(BINDIR)/
	$(Q)install -m 644 include/tiermalloc.h $(DESTDIR)$(INCDIR)/
	$(Q)for s in 1 3 7; do install -m 644 man/*.$$s $(DESTDIR)$(MANDIR)/man$$s/; done
	$(Q)install -m 644 README.md LICENSE docs/architecture.md $(DESTDIR)$(DOCDIR)/

uninstall:
	$(Q)rm -f $(DESTDIR)$(LIBDIR)/libtiermalloc.so $(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/libtiermalloc.a \
		$(DESTDIR)$(LIBDIR)/pkgconfig/tiermalloc.pc $(DESTDIR)$(BINDIR)/tiermalloc $(DESTDIR)$(INCDIR)/tiermalloc.h \
		$(foreach s,1 3 7,$(addprefix $(DESTDIR)$(MANDIR)/man$(s)/,$(notdir $(wildcard man/*.$(s)))))
	$(Q)rm -rf $(DESTDIR)$(DOCDIR)

help:
	@echo 'make                 the library, the archive and the command, in build/'
	@echo 'make demo            Redis with real traffic on a heap in two tiers, beside jemalloc'
	@echo 'make test            all tests; SAN=address, undefined or thread for the sanitizers'
	@echo 'make test-numa       tests in a virtual machine: old kernels, several nodes, system limits'
	@echo 'make bench           comparison with other allocators: build/bench/results.{json,md,png}'
	@echo 'make bench-instructions   instructions per call'
	@echo 'make lint            formatting, compilers, analysers'
	@echo 'make install         DESTDIR= PREFIX=/usr/local'
	@echo 'make deps            installs the packages that are missing'

clean:
	$(Q)rm -rf build

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
