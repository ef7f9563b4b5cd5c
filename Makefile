# SPDX-License-Identifier: GPL-2.0-only
#
# Top Makefile. Everything it makes goes below build/:
#
#   build/ckpt.ko		the module, for KVER	(build/kmod/KVER/ is where kbuild works)
#   build/libckpt.{a,so}	userspace/lib/*.c
#   build/NAME			userspace/NAME/*.c, linked against libckpt.a
#   build/NAME/		what selftests/NAME/Makefile makes (called with OUT=), if there is one
#   build/selftests/DIR/NAME	selftests/DIR/NAME.c otherwise; build/bench/NAME, build/docs/NAME likewise
#   build/cache/		what tools/deps and tools/vm fetched and made; survives `make clean`
#
# Sources are found by wildcard; only module/Kbuild lists its files. A test or benchmark that needs
# more flags says so in a comment of its own: "ckpt-build: -fopenmp -lm".

VERSION := 0.1.0
SOVERSION := 0

# The newest with headers; one for real time only if it is asked for.
KVER ?= $(notdir $(patsubst %/build,%,$(lastword $(shell ls -d /lib/modules/*/build 2>/dev/null | \
	grep -v -e -rt- -e -cloud- | sort -V))))
# A kernel that was built here has its tree in the cache.
KDIR ?= $(or $(patsubst %/Makefile,%,$(firstword $(wildcard /lib/modules/$(KVER)/build/Makefile \
	$(abspath $(CACHE))/kernels/$(KVER)/build/Makefile))),/lib/modules/$(KVER)/build)
VM_KERNEL ?=
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
MODDIR ?= /lib/modules/$(KVER)/updates

B := build
CACHE := $(or $(CKPT_CACHE),$(B)/cache)
HARNESS := $(CACHE)/linux-source/tools/testing/selftests
VM := tools/vm run $(if $(VM_KERNEL),-k $(VM_KERNEL))
V ?= 0
ifeq ($(V),0)
Q := @
say = @echo "  $(1)"
MAKEFLAGS += --no-print-directory
endif

CFLAGS ?= -O2 -g
PACKAGES := libzstd libxxhash libkmod jansson sqlite3 libsodium
# Needed to build, and loaded when it is used: see userspace/lib/archive-lib.h and hold.h.
LOADED := libarchive libnftables
WARN := -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-field-initializers \
	-Wmissing-prototypes -Wstrict-prototypes -Wpointer-arith -Wvla
COMMON := -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DCKPT_VERSION='"$(VERSION)"' \
	-fstack-protector-strong -Iuapi -Iuserspace/lib
PKG_CFLAGS = $(shell pkg-config --cflags $(PACKAGES) $(LOADED))
PKG_LIBS = $(shell pkg-config --libs $(PACKAGES))

all: module userspace tests

help:
	@echo "make deps        install what building and testing needs (apt; quiet when all is there)"
	@echo "make all         module, userspace and tests into build/"
	@echo "make module      build/ckpt.ko for KVER ($(KVER))"
	@echo "make userspace   libckpt, ckptctl"
	@echo "make tests       test programs, workloads, benchmarks, examples of the docs"
	@echo "make demo        snapshot, kill and restore a real program in a VM"
	@echo "make check       all tests, in a VM, with small counts"
	@echo "make check-full  the same with full counts"
	@echo "make check-matrix  kernel and program tests on every kernel of tools/kernels"
	@echo "make check-debug   the same on a kernel with KASAN, lockdep and more, built once"
	@echo "make stress T=60  storms on program, machine and module, each for that many seconds"
	@echo "make fuzz T=60   fuzz what reads images, each part for that many seconds"
	@echo "make mutants     break the module here and there, and see that a test notices"
	@echo "make bench       benchmarks, in a VM"
	@echo "make style       checkpatch, sparse, analyzer, binary interface, header and size rules"
	@echo "make kinds       what is brought back and what is refused, with its tests (docs/kinds.rst)"
	@echo "make abi         take the binary interface as it is now for what is promised (docs/abi.txt)"
	@echo "make install     to DESTDIR ($(DESTDIR)) and PREFIX ($(PREFIX))"
	@echo "make clean       build/ but for its cache; distclean: all of it"
	@echo
	@echo "Variables: KVER, KDIR, VM_KERNEL (a name of tools/kernels), V=1 (show commands), CFLAGS,"
	@echo "T=PATTERN (tests to run), CKPT_CACHE=DIR (a cache shared by checkouts), NATIVE=1 (test on"
	@echo "this machine, not in a VM)."
	@echo
	@echo "By hand: tools/vm run -- CMD, tools/vm shell, selftests/run -v PATTERN"

deps:
	$(Q)tools/deps

# ---- module ----------------------------------------------------------------------------------
# kbuild puts its output beside the sources, so it works in a tree of links. The lock keeps two
# makes in one tree apart.

KMOD := $(B)/kmod/$(KVER)
# Headers of a later suite are in a chroot with its compiler (tools/fetch-kernel).
CHROOT := $(if $(wildcard $(KDIR)/Makefile),,$(firstword $(patsubst %/lib/modules/$(KVER),%, \
	$(wildcard $(abspath $(CACHE))/chroot/*/lib/modules/$(KVER)))))
KMAKE = $(if $(CHROOT),tools/in-chroot $(CHROOT) make -j2 $(if $(filter 0,$(V)),-s),$(MAKE))
MODULE_SRC := $(shell find module uapi -name '*.[chS]' -o -name Kbuild 2>/dev/null) Kbuild

module: $(B)/ckpt.ko
$(B)/ckpt.ko: $(KMOD)/module/ckpt.ko FORCE
	$(Q)cmp -s $< $@ || { cp $< $@.tmp && mv $@.tmp $@; }

# Of a kernel other than the default one; selftests/run takes it from there.
kmod: $(KMOD)/module/ckpt.ko

$(KMOD)/module/ckpt.ko: $(MODULE_SRC) $(KMOD)/.list | check-kver
	$(call say,KBUILD $@)
	$(Q)flock $(KMOD)/.lock $(KMAKE) -C $(KDIR) M=$(CURDIR)/$(KMOD) CKPT_VERSION=$(VERSION) KCFLAGS=-Werror V=$(V) modules
	$(Q)test -e $@ && touch $@

# Changes when files come or go.
$(KMOD)/.list: FORCE
	$(Q)mkdir -p $(KMOD)
	$(Q)echo '$(KDIR) $(MODULE_SRC)' | cmp -s - $@ || { \
		find $(KMOD) -type l -delete; \
		for f in $(MODULE_SRC); do \
			mkdir -p "$(KMOD)/$$(dirname $$f)"; ln -s "$(CURDIR)/$$f" "$(KMOD)/$$f" || exit 1; \
		done; \
		echo '$(KDIR) $(MODULE_SRC)' >$@; }

check-kver:
	@test -n "$(CHROOT)" -o -e "$(KDIR)/Makefile" || { \
		echo "no kernel headers at $(KDIR): run make deps, or set KVER or KDIR" >&2; exit 1; }

# ---- userspace -------------------------------------------------------------------------------

LIB_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(wildcard userspace/lib/*.c))
PROG_NAMES := $(filter-out lib,$(patsubst userspace/%/,%,$(sort $(dir $(wildcard userspace/*/*.c)))))
PROGS := $(addprefix $(B)/,$(PROG_NAMES))
LIB_MAP := $(wildcard userspace/lib/libckpt.map)
SO := libckpt.so.$(VERSION)

userspace: $(if $(LIB_OBJ),$(B)/libckpt.a $(B)/libckpt.so $(B)/libckpt.pc) $(PROGS)

# The command line belongs to what an object is made from.
$(B)/flags: FORCE
	@mkdir -p $(B)
	@echo '$(CC) $(CFLAGS) $(COMMON) $(WARN)' | cmp -s - $@ || echo '$(CC) $(CFLAGS) $(COMMON) $(WARN)' >$@

$(B)/obj/userspace/%.o: userspace/%.c $(B)/flags
	$(call say,CC     $<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(COMMON) $(WARN) $(PKG_CFLAGS) -fPIC -MMD -MP $(CFLAGS) -I$(<D) -c -o $@ $<

$(B)/libckpt.a: $(LIB_OBJ)
	$(call say,AR     $@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(B)/$(SO): $(LIB_OBJ) $(LIB_MAP)
	$(call say,LD     $@)
	$(Q)$(CC) -shared -Wl,-soname,libckpt.so.$(SOVERSION) $(LIB_MAP:%=-Wl,--version-script=%) \
		-Wl,-z,defs,-z,relro,-z,now $(LDFLAGS) -o $@ $(LIB_OBJ) $(PKG_LIBS) -pthread

$(B)/libckpt.so: $(B)/$(SO)
	$(Q)ln -sfn $(SO) $(B)/libckpt.so.$(SOVERSION)
	$(Q)ln -sfn libckpt.so.$(SOVERSION) $@

# Made each time: PREFIX may be another at the installation.
$(B)/libckpt.pc: FORCE
	@mkdir -p $(B)
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$${prefix}/include' '' \
		'Name: libckpt' 'Description: Snapshot and restore running processes' 'Version: $(VERSION)' \
		'Requires.private: $(PACKAGES)' 'Libs: -L$${libdir} -lckpt' 'Cflags: -I$${includedir}' >$@

define prog_rule
$(B)/$(1): $(patsubst %.c,$(B)/obj/%.o,$(wildcard userspace/$(1)/*.c)) $(B)/libckpt.a
	$$(call say,LD     $$@)
	$$(Q)$$(CC) -Wl,-z,relro,-z,now $$(LDFLAGS) -o $$@ $$^ $$(PKG_LIBS) -pthread
endef
$(foreach p,$(PROG_NAMES),$(eval $(call prog_rule,$(p))))

# ---- tests, benchmarks, examples ----------------------------------------------------------------

OWN_MAKE := $(patsubst selftests/%/Makefile,%,$(wildcard selftests/*/Makefile))
TEST_SRC := $(filter-out $(OWN_MAKE:%=selftests/%/%) selftests/lib/%,$(wildcard selftests/*/*.c)) \
	$(wildcard bench/*.c docs/*.c)
TEST_BIN := $(TEST_SRC:%.c=$(B)/%)
TEST_LIB := $(patsubst %.c,$(B)/obj/%.o,$(wildcard selftests/lib/*.c))

tests: $(TEST_BIN) $(filter-out test-fuzz,$(OWN_MAKE:%=test-%))

$(OWN_MAKE:%=test-%): test-%:
	$(Q)$(MAKE) -s -C selftests/$* OUT=$(CURDIR)/$(B)/$* UAPI=$(CURDIR)/uapi

$(B)/obj/selftests/lib/%.o: selftests/lib/%.c $(B)/flags | $(HARNESS)
	$(call say,CC     $<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(COMMON) $(WARN) $(PKG_CFLAGS) -isystem $(HARNESS) -MMD -MP $(CFLAGS) -c -o $@ $<

# Examples of the docs see what a user sees; tests also see the library's insides.
$(TEST_BIN): $(B)/%: %.c $(TEST_LIB) $(B)/libckpt.a $(B)/flags | $(HARNESS)
	$(call say,CC     $<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(COMMON) $(WARN) -Wno-missing-prototypes $(PKG_CFLAGS) -isystem $(HARNESS) -Iselftests/lib \
		-MMD -MP -MF $@.d $(CFLAGS) -o $@ $< $(TEST_LIB) $(B)/libckpt.a \
		$$(sed -n 's|.*ckpt-build: *\([^*]*\).*|\1|p' $<) $(PKG_LIBS) -pthread

$(HARNESS):
	$(Q)tools/deps

# ---- running -----------------------------------------------------------------------------------
# deps may bring the very headers that KVER is chosen from, so what follows is another make's.

demo: deps
	$(Q)$(MAKE) all
	$(Q)$(VM) --disk 2G -t 1800 -- selftests/demo

check: deps
	$(Q)$(MAKE) all
	$(Q)selftests/run $(if $(VM_KERNEL),-k $(VM_KERNEL)) $(if $(filter-out 0,$(V)),-v) $(T)

check-matrix: deps
	$(Q)$(MAKE) all
	$(Q)selftests/matrix $(T)

check-debug: deps
	$(Q)$(MAKE) all
	$(Q)selftests/matrix --debug $(if $(T),--tests "$(T)")

check-full:
	$(Q)CKPT_FULL=1 $(MAKE) check

stress: deps
	$(Q)$(MAKE) all
	$(Q)CKPT_STRESS=$(or $(T),60) selftests/run $(if $(VM_KERNEL),-k $(VM_KERNEL)) -v stress/

bench: deps
	$(Q)$(MAKE) all
	$(Q)$(VM) --disk 2G -t 3600 -- bench/run $(T)

# The fuzzers need clang, and nothing else does.
fuzz:
	$(Q)tools/deps clang libclang-rt-14-dev
	$(Q)$(MAKE) test-unit test-fuzz
	$(Q)selftests/fuzz/run $(or $(T),60)

# Breaks the module in one place after the other; T is the names of some.
.PHONY: mutants
mutants: deps
	$(Q)$(MAKE) all
	$(Q)selftests/mutate $(if $(filter-out 0,$(V)),-v) $(T)

style: deps
	$(Q)tools/style

# What is brought back and refused, with its tests, for people.
kinds:
	$(Q)tools/gen-kinds >$(B)/kinds.rst
	$(Q)mv $(B)/kinds.rst docs/kinds.rst

abi: deps
	$(Q)tools/abi.py >$(B)/abi.txt
	$(Q)mv $(B)/abi.txt docs/abi.txt

# What tools/style needs to know.
print-kdir:
	@echo '$(KDIR)'
print-cflags:
	@echo '$(filter-out -DCKPT_VERSION%,$(COMMON)) $(WARN) $(PKG_CFLAGS) -isystem $(HARNESS) -Iselftests/lib'

# ---- installation --------------------------------------------------------------------------------

INSTALL := install -D -m
MAN := $(wildcard docs/man/*.[1-9])

install: module userspace
	$(Q)$(INSTALL) 644 $(KMOD)/module/ckpt.ko $(DESTDIR)$(MODDIR)/ckpt.ko
	$(Q)for p in $(PROG_NAMES); do $(INSTALL) 755 $(B)/$$p $(DESTDIR)$(PREFIX)/bin/$$p || exit 1; done
	$(Q)$(INSTALL) 755 $(B)/$(SO) $(DESTDIR)$(LIBDIR)/$(SO)
	$(Q)ln -sfn $(SO) $(DESTDIR)$(LIBDIR)/libckpt.so.$(SOVERSION)
	$(Q)ln -sfn libckpt.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libckpt.so
	$(Q)$(INSTALL) 644 $(B)/libckpt.a $(DESTDIR)$(LIBDIR)/libckpt.a
	$(Q)$(INSTALL) 644 $(B)/libckpt.pc $(DESTDIR)$(LIBDIR)/pkgconfig/libckpt.pc
	$(Q)$(INSTALL) 644 userspace/lib/libckpt.h $(DESTDIR)$(PREFIX)/include/libckpt.h
	$(Q)$(INSTALL) 644 uapi/linux/ckpt.h $(DESTDIR)$(PREFIX)/include/linux/ckpt.h
	$(Q)for m in $(MAN); do \
		$(INSTALL) 644 $$m $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/} || exit 1; done
	$(Q)for c in $(notdir $(basename $(wildcard completions/*.bash))); do \
		$(INSTALL) 644 completions/$$c.bash \
			$(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$c || exit 1; done
	$(Q)for c in $(notdir $(wildcard completions/_*)); do \
		$(INSTALL) 644 completions/$$c $(DESTDIR)$(PREFIX)/share/zsh/site-functions/$$c || exit 1; done
	$(Q)test -n "$(DESTDIR)" || { /sbin/depmod $(KVER); /sbin/ldconfig; }

clean:
	$(Q)test ! -d $(B) || find $(B) -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} +

distclean:
	$(Q)rm -rf $(B)

FORCE:
.PHONY: abi all kinds help deps module kmod userspace tests check-kver demo check check-matrix check-debug \
	check-full stress fuzz bench style install clean distclean print-kdir print-cflags FORCE \
	$(OWN_MAKE:%=test-%)
.DELETE_ON_ERROR:
.SUFFIXES:

-include $(shell find $(B)/obj $(B)/selftests $(B)/bench $(B)/docs -name '*.d' 2>/dev/null)
