# The embedded jemalloc: Debian's PIC archive with every global name prefixed tmje_, so that no other jemalloc in the
# process, system's or bundled, can meet it. Four private names are led to our replacements (src/alloc/jemalloc.h).

JEMALLOC_A ?= $(firstword $(wildcard $(addsuffix /libjemalloc_pic.a,\
	$(shell $(CC) -print-multiarch 2>/dev/null | sed 's,^,/usr/lib/,') /usr/lib /usr/local/lib)))
JEMALLOC_O := $(BUILD)/jemalloc/jemalloc.o

# Exported names that are jemalloc's functions themselves.
ALIASES := malloc calloc free posix_memalign aligned_alloc mallocx nallocx mallctl mallctlnametomib \
	mallctlbymib malloc_stats_print

$(JEMALLOC_O): mk/jemalloc.mk mk/embed-jemalloc $(JEMALLOC_A)
	$(call say,EMBED,$(JEMALLOC_A))
	$(Q)mk/embed-jemalloc "$(JEMALLOC_A)" $@ $(ALIASES)
