# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs what ./configure has set up in build/: QEMU's build (build/qemu) and
# ours (build/rtnet).  "make help" lists the targets, V=1 shows the commands.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

NINJA := ninja
Q := $(if $(V),,@)

# build/config.mk is what ./configure makes last; make runs it first when it
# is missing, or older than what ./configure reads.
no_config := help clean distclean deb deb-vhost-user-shmem check-deb
ifneq ($(filter-out $(no_config),$(or $(MAKECMDGOALS),all)),)
include build/config.mk
endif

build/config.mk: configure overlay/upstream.pin overlay/links \
    overlay/fetch overlay/prepare $(wildcard overlay/*.py overlay/hooks/*)
	$(Q)if [ -x build/config.status ]; then build/config.status; \
	    else ./configure; fi

# ninja takes as many jobs as there are cores, unless -j says otherwise.
jobs = $(filter-out -j,$(filter -j%,$(MAKEFLAGS)))
ninja = $(NINJA) $(jobs) $(if $(V),-v)

# -- Build -----------------------------------------------------------------

.PHONY: all build-qemu build-rtnet
all: build-qemu build-rtnet

build-qemu:
	$(Q)$(ninja) -C build/qemu rtnet
ifeq ($(OWN_ROMS),yes)
	$(Q)$(MAKE) -C build/optionrom V=$(V) all
endif

build-rtnet:
	$(Q)$(ninja) -C build/rtnet

# -- Check -----------------------------------------------------------------

# SUITE:SECONDS:PROGRAMS, where SECONDS is what one program may take.
unit := unit:60:tests/test-run-tap 'unit:120:build/rtnet/tests/unit/test-*'
qtest := 'qtest:120:build/qemu/tests/qtest/rtnet/*-test'
functional := 'functional:600:tests/functional/test_*.py'

export QTEST_QEMU_BINARY := $(CURDIR)/build/qemu/qemu-system-x86_64
export QTEST_QEMU_IMG := $(CURDIR)/build/qemu/qemu-img

run_tap = $(or $(PYTHON),python3) tests/run-tap $(if $(V),--verbose)

.PHONY: check check-unit check-qtest check-functional check-slow
check: all
	$(Q)$(run_tap) $(unit) $(qtest) $(functional)

check-unit: build-rtnet
	$(Q)$(run_tap) $(unit)

check-qtest: build-qemu
	$(Q)$(run_tap) $(qtest)

check-functional: build-qemu
	$(Q)$(run_tap) $(functional)

check-slow: all
	$(Q)$(run_tap) --slow $(unit) $(qtest) $(functional)

# Both build QEMU once more, with clang and sanitizers, in build/fuzz.
.PHONY: check-asan check-fuzz check-tsan
check-asan: all
	$(Q)PYTHON=$(PYTHON) tests/fuzz/check-asan

check-tsan: all
	$(Q)PYTHON=$(PYTHON) tests/fuzz/check-tsan

check-fuzz: all
	$(Q)PYTHON=$(PYTHON) tests/fuzz/check-fuzz

# -- Measure and show ------------------------------------------------------

.PHONY: bench-edf bench-host-edf bench-netvm bench-rtvnic bench-switch
.PHONY: demo demo-edf-host demo-netvm demo-switch demo-video
bench-edf: build-rtnet
	$(Q)mkdir -p build/results
	$(Q)build/rtnet/tests/bench/bench-edf --json build/results/bench-edf.json

bench-host-edf: all
	$(Q)$(PYTHON) tests/bench/bench_host_edf.py

bench-netvm: all
	$(Q)$(PYTHON) tests/bench/bench_netvm.py

bench-rtvnic: all
	$(Q)$(PYTHON) tests/bench/bench_rtvnic.py

bench-switch: all
	$(Q)$(PYTHON) tests/bench/bench_switch.py

demo: all
	$(Q)$(PYTHON) demo/demo.py

demo-edf-host: all
	$(Q)$(PYTHON) demo/edf_host.py

demo-netvm: all
	$(Q)$(PYTHON) demo/netvm.py

demo-switch: all
	$(Q)$(PYTHON) demo/switch.py

demo-video: all
	$(Q)$(PYTHON) demo/video.py

# -- Debian packages -------------------------------------------------------

# Results: build/deb/*.deb.  They are built in a copy, and ./configure is run
# there: what is in build/ stays as it is.
.PHONY: deb deb-vhost-user-shmem check-deb
deb:
	$(Q)V=$(V) debian/make-deb $(jobs)

deb-vhost-user-shmem:
	$(Q)V=$(V) debian/make-deb --no-qemu $(jobs)

# Of the packages as they are in build/deb.  As root.
check-deb:
	$(Q)$(run_tap) 'packages:1800:tests/packages/test_*.py'

# -- Install and clean -----------------------------------------------------

.PHONY: install clean distclean
install: all
	$(Q)DESTDIR="$(DESTDIR)" $(NINJA) -C build/qemu install
ifeq ($(OWN_ROMS),yes)
	$(Q)install -d "$(DESTDIR)$(PREFIX)/share/qemu"
	$(Q)install -m 644 build/optionrom/*.bin \
	    "$(DESTDIR)$(PREFIX)/share/qemu"
endif
	$(Q)DESTDIR="$(DESTDIR)" $(NINJA) -C build/rtnet install

clean:
	$(Q)for dir in qemu rtnet; do \
	    if [ -e build/$$dir/build.ninja ]; then \
	        $(NINJA) -C build/$$dir -t clean || exit; \
	    fi; \
	done
	$(Q)if [ -e build/optionrom/config.mak ]; then \
	    $(MAKE) -C build/optionrom clean; \
	fi
	$(Q)rm -rf build/results build/guest build/deb

distclean:
	rm -rf build

.PHONY: help
help:
	@echo 'Targets (V=1 shows commands, -jN limits the jobs):'
	@echo '  all               build QEMU and our programs (default)'
	@echo '  check             all tests below but check-slow'
	@echo '  check-unit        the pure C, without QEMU'
	@echo '  check-qtest       the devices, with a stepped clock'
	@echo '  check-functional  real guests'
	@echo '  check-slow        all tests, with more and longer cases'
	@echo '  check-asan        unit tests and qtests under sanitizers'
	@echo '  check-tsan        unit tests under ThreadSanitizer'
	@echo '  check-fuzz        each fuzzer for FUZZ_SECONDS (60)'
	@echo '  bench-edf         speed of the deadline queue'
	@echo '  bench-host-edf    deadlines, rates and limits of vhost-user-shmem'
	@echo '  bench-netvm       packets in memory that guests share'
	@echo '  bench-rtvnic      cost per frame, throughput, delay beside tc'
	@echo '  bench-switch      vhost-user-shmem beside DPDK and Open vSwitch'
	@echo '  demo              FIFO, strict and EDF side by side, with guests'
	@echo '  demo-edf-host     the same between guests, by vhost-user-shmem'
	@echo '  demo-netvm        a chain of guests that share memory; one is killed'
	@echo '  demo-switch       two guests through vhost-user-shmem, which is killed'
	@echo '  demo-video        a film beside a flood, with and without EDF'
	@echo '  install           to the --prefix of ./configure; DESTDIR=DIR'
	@echo '  deb               Debian packages, in build/deb'
	@echo '  deb-vhost-user-shmem  all but QEMU: a minute'
	@echo '  check-deb         installs, uses and purges them (root, slow)'
	@echo '  clean             delete what was built, keep downloads'
	@echo '  distclean         delete build/, downloads included'
	@echo 'Options for the build, --help: ./configure'
