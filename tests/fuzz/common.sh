# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What check-fuzz, check-asan, check-tsan and the targets share; sourced.  The caller is
# at the top of the repository afterwards.
#
# QEMU's fuzzer and the QEMU with sanitizers are one build: build/fuzz.
#
# Threads: none.  A lock keeps two builds apart.
set -euo pipefail

calling_dir=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
top=$PWD
fuzz_seconds=${FUZZ_SECONDS:-60}
corpora=$top/build/fuzz-corpus
quiet=
pure_bin=$top/build/fuzz-rt
qemu_fuzz=$top/build/fuzz/qemu-fuzz-x86_64
sanitize=(-fsanitize=address,undefined -fno-sanitize-recover=all)

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

die() {
    printf '%s: error: %s\n' "${0##*/}" "$1" >&2
    shift
    [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
    exit 1
}

need_clang() {
    local tool
    for tool in clang clang++; do
        command -v "$tool" >/dev/null ||
            die "$tool is not installed" \
                "It is in Debian's package clang; run as root:" \
                "apt-get install --no-install-recommends clang"
    done
    printf 'int LLVMFuzzerTestOneInput(const char *p, long n);\n%s\n' \
        'int LLVMFuzzerTestOneInput(const char *p, long n) {return !p + !n;}' |
        clang -fsanitize=fuzzer "${sanitize[@]}" -x c - -o /dev/null ||
        die "clang cannot build fuzzers: see above" \
            "Debian's package libclang-rt-dev (libclang-rt-14-dev with" \
            "clang 14) has the libraries of the sanitizers."
}

need_configured() {
    [ -e build/qemu/config.status ] && [ -e build/rtnet/build.ninja ] ||
        die "build/ is not set up" "Run ./configure first."
}

# Configure build/fuzz as build/qemu is, but with sanitizers; again when
# build/qemu was.
configure_sanitized() {
    local mark=build/fuzz/.rtnet-configured
    if [ "$mark" -nt build/qemu/config.status ]; then
        return
    fi
    echo "Configuring build/fuzz"
    mkdir -p build/fuzz build/logs
    rm -f "$mark"
    (cd build/fuzz && sh ../qemu/config.status \
        --cc="$(command -v ccache) clang" --cxx=clang++ \
        --enable-fuzzing --enable-asan --enable-ubsan \
        --disable-tools --disable-werror -Doptimization=1 \
        --with-devices-x86_64=rtnet-fuzz \
        --extra-cflags=-gline-tables-only) \
        >build/logs/configure-fuzz.log 2>&1 || {
        tail -n 15 build/logs/configure-fuzz.log >&2
        die "configuring QEMU with sanitizers failed; see above" \
            "All of it: build/logs/configure-fuzz.log"
    }
    # Firmware, where ./configure has found it for build/qemu.
    cp -a --no-clobber build/qemu/qemu-bundle build/fuzz/
    touch "$mark"
}

# Build target "$1" of QEMU with sanitizers (the first time takes long).
build_sanitized() {
    local site dir
    mkdir -p build/fuzz
    exec 8>build/fuzz/.lock
    flock 8
    # The meson that ./configure has chosen.
    for site in "$top"/build/qemu/pyvenv/lib/python3*/site-packages; do
        if [ -e "$site/rtnet-meson.pth" ]; then
            dir=$(cat "$site/rtnet-meson.pth")
            export PYTHONPATH=$dir${PYTHONPATH:+:$PYTHONPATH}
        fi
    done
    configure_sanitized
    echo "Building $1 with sanitizers in build/fuzz" \
        "(the first time takes long)"
    ninja ${NINJA_JOBS:+-j"$NINJA_JOBS"} -C build/fuzz --quiet "$1" ||
        die "building QEMU with sanitizers failed; see above" \
            "\"ninja -C build/fuzz -v $1\" shows the commands."
    flock -u 8
}

# Build the unit tests in build/"$1", with the compiler in CC, Meson's
# b_sanitize="$2" and c_args="$3".
build_unit_sanitized() {
    local meson=("$PWD/build/qemu/pyvenv/bin/meson")
    if [ ! -e "build/$1/build.ninja" ]; then
        echo "Configuring build/$1"
        rm -rf "build/$1"
        mkdir -p build/logs
        "${meson[@]}" setup "build/$1" "-Db_sanitize=$2" -Db_lundef=false \
            "-Dc_args=$3" >"build/logs/configure-$1.log" 2>&1 || {
            tail -n 15 "build/logs/configure-$1.log" >&2
            die "configuring the unit tests with sanitizers failed"
        }
    fi
    echo "Building the unit tests with sanitizers in build/$1"
    ninja ${NINJA_JOBS:+-j"$NINJA_JOBS"} -C "build/$1" --quiet
}

# QEMU leaves memory behind when it ends, and its fuzzer when it resets.
ignore_leaks() {
    export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
}

# -- For the targets --------------------------------------------------------

# Run fuzzer "$1": command "$2"... on its corpus for fuzz_seconds, as one TAP
# test.  Directory build/fuzz-corpus/NAME keeps what was found to be
# interesting, .../NAME.crashes what failed.
fuzz_tap() {
    local name=$1 corpus=$corpora/$1 crashes=$corpora/$1.crashes
    local log=$top/build/logs/fuzz-$1.log scratch status=0 executed found
    shift
    [ -x "$1" ] || die "$1 is not there" "tests/fuzz/check-fuzz builds it."
    mkdir -p "$corpus" "$crashes" "$top/build/logs"
    "${PYTHON:-/usr/bin/python3}" "$top/tests/fuzz/make-seeds" "$name" \
        "$corpus"
    # A place for sockets and core files.
    scratch=$(mktemp -d)
    # shellcheck disable=SC2064 # this directory
    trap "rm -rf '$scratch'" EXIT
    echo 1..1
    # shellcheck disable=SC2086 # an option or none
    (cd "$scratch" && exec "$@" -max_total_time="$fuzz_seconds" -timeout=20 \
        -rss_limit_mb=4096 $quiet -print_final_stats=1 \
        -artifact_prefix="$crashes/" "$corpus") >"$log" 2>&1 || status=$?
    executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if [ "$status" -eq 0 ] && [ "${executed:-0}" -gt 0 ]; then
        echo "ok 1 - $name # $executed inputs in $fuzz_seconds s," \
            "$(sed -n 's/.*DONE *\(cov: [0-9]*\).*/\1/p' "$log")"
        return
    fi
    echo "not ok 1 - $name # ${executed:-0} inputs, status $status"
    found=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    grep -E -A 20 'ERROR|runtime error|Assert|SUMMARY' "$log" |
        head -n 60 | sed 's/^/# /'
    echo "# all of it: ${log#"$top/"}"
    if [ -n "$found" ]; then
        echo "# the input: ${found#"$top/"}"
        echo "# again: tests/fuzz/targets/$name ${found#"$top/"}"
    fi
    exit 1
}

# Run the target "$1" on the files "$2"..., or if there are none, fuzz.
# fuzzer: array with its command.
fuzz_main() {
    local name=$1 file files=()
    shift
    if [ $# -eq 0 ]; then
        fuzz_tap "$name" "${fuzzer[@]}"
        return
    fi
    for file; do
        files+=("$(cd "$calling_dir" && realpath -- "$file")")
    done
    cd "$(mktemp -d)"
    exec "${fuzzer[@]}" "${files[@]}"
}

# A target of QEMU's fuzzer: its name, and options of libFuzzer.
fuzz_qemu() {
    ignore_leaks
    # QEMU reports each wrong input; running one again shows what it says.
    quiet=-close_fd_mask=3
    fuzzer=("$qemu_fuzz" --fuzz-target="$1" "${@:2}")
}

# A NIC of type "$1": registers and DMA of objects "$2".  What it sends, it
# gets back.
fuzz_nic() {
    local wire=remote.type=unix,remote.path=wire
    export QEMU_AVOID_DOUBLE_FETCH=1
    export QEMU_FUZZ_OBJECTS=$2
    export QEMU_FUZZ_ARGS="-machine pc -nodefaults
        -object edf-scheduler,id=up0,rate-bps=100000000,host-jitter-us=50
        -netdev dgram,id=n0,local.type=unix,local.path=wire,$wire
        -device $1,netdev=n0,scheduler=up0,deadline-us=2000,dscp=46"
    QEMU_FUZZ_ARGS=$(tr -s '\n ' ' ' <<<"$QEMU_FUZZ_ARGS")
    fuzz_qemu generic-fuzz -max_len=4096
}
