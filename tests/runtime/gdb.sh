#!/bin/sh
# SPDX-License-Identifier: MIT
# gdb.sh PROGRAM SCRIPT - the commands of scripts/weft-gdb.py, on a process and on its core. TAP.
program=$(realpath "$1")
script=$2
number=0
failed=0

skip() {
    echo "ok 1 - gdb # SKIP $1"
    echo "1..1"
    exit 0
}
command -v gdb >/dev/null || skip "gdb is not installed"
gdb --batch -ex 'python print("has python")' 2>/dev/null | grep -q 'has python' ||
    skip "this gdb has no Python"
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

gdb_run() { # output, arguments
    output=$1
    shift
    timeout 60 gdb --batch -nx -ex 'set confirm off' -ex 'set debuginfod enabled off' \
        -ex "source $script" "$@" >"$output" 2>&1
}

see() { # file, pattern, what it proves
    number=$((number + 1))
    if grep -Eq "$2" "$1"; then
        echo "ok $number - $3"
    else
        failed=1
        sed 's/^/# /' "$1"
        echo "# no line like: $2"
        echo "not ok $number - $3"
    fi
}

look() { # file, where
    see "$1" '^ +1 "main" spawn_both: waiting for the end of a group' "$2: the first fiber waits"
    see "$1" '^ +2 +"sleeper" sleep_long: waiting for its time' "$2: a fiber and its function"
    see "$1" '^ +3 +"stopper" stop: running' "$2: the running fiber"
    see "$1" '^ +4 +"not begun" sleep_long: runnable' "$2: a fiber that has not begun"
    see "$1" '#[0-9]+ +0x[0-9a-f]+ in nap \(duration_ns=(5000000000|<optimized out>)\) at .*gdb_target\.c:[0-9]+' \
        "$2: backtrace of a fiber that waits"
    see "$1" '#[0-9]+ +0x[0-9a-f]+ in weft_context_start \(\)' "$2: it ends where the fiber began"
    see "$1" '#[0-9]+ +0x[0-9a-f]+ in stop_here \(number=(7|<optimized out>)\)' "$2: backtrace of the running fiber"
    number=$((number + 1))
    if grep -Eqi 'corrupt|previous frame|python exception|\?\?|error' "$1"; then
        failed=1
        sed 's/^/# /' "$1"
        echo "not ok $number - $2: no complaint"
    else
        echo "ok $number - $2: no complaint"
    fi
}

gdb_run "$tmp/live" -ex 'break stop_here' -ex run -ex 'weft fibers' -ex 'weft bt all' \
    -ex 'weft select 2' -ex 'frame function nap' \
    -ex 'info locals' -ex 'weft select off' -ex bt -ex continue "$program"
grep -Eqi 'ptrace: |warning: Could not trace|cannot trace' "$tmp/live" &&
    skip "gdb may not trace a program here"
look "$tmp/live" process
see "$tmp/live" '^err = ' "process: locals of a fiber that waits"
see "$tmp/live" 'exited normally' "process: it goes on afterwards"

(cd "$tmp" && ulimit -c unlimited && "$program" abort) >/dev/null 2>&1
core=$(find "$tmp" -name 'core*')
if [ -n "$core" ]; then
    gdb_run "$tmp/dead" -ex 'weft fibers' -ex 'weft bt all' "$program" "$core"
    look "$tmp/dead" core
else
    number=$((number + 1))
    echo "ok $number - core # SKIP the kernel is not told to write cores into the directory"
fi
echo "1..$number"
exit $failed
