#!/bin/sh
# SPDX-License-Identifier: MIT
# Commands, webhooks and child processes from weft.ini, on a real server and a real worker: all that
# docs/executors.md shows, and how it ends. TAP.
#
# WEFT_PROGRAM  the program; WEFT_LIBRARY  the shared library; WEFT_DOCUMENT  docs/executors.md;
# WEFT_HEADERS  folders of <weft/...>
set -u
weft=$WEFT_PROGRAM
library=$WEFT_LIBRARY
document=$WEFT_DOCUMENT
headers=$WEFT_HEADERS
for name in $(env | sed -n 's/^\(WEFT_[A-Z_]*\)=.*/\1/p'); do
    [ "$name" = WEFT_IO ] || unset "$name"
done
number=0
failures=0
running=" " # what is to be ended, each with a space behind it
work=$(mktemp -d) || exit 1
end() {
    for pid in $running; do
        kill "$pid" 2>/dev/null && wait "$pid"
    done
    rm -rf "$work"
}
trap end EXIT
cd "$work" || exit 1

ok() { # ok STATUS NAME: report one test
    number=$((number + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
        failures=$((failures + 1))
        sed 's/^/# /' out err serve.err worker.err 2>/dev/null | tail -40
    fi
}

skip() {
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
}

if ! ldd "$weft" 2>/dev/null | grep -q inih; then
    skip 'tasks of weft.ini' 'built without inih'
    echo "1..$number"
    exit 0
fi

own='## In a program of your own'
block() { # block KIND: what stands between ```KIND and ```, but not in the part on own programs
    block_of "$1" 0
}
block_of() { # block_of KIND 1: only there
    awk -v begin="\`\`\`$1" -v own="$own" -v wanted="$2" '
        /^## / {there = $0 == own} $0 == "```" {inside = 0} inside {print}
        $0 == begin {inside = there == wanted}' "$document"
}

until_there() { # until_there COMMAND...: try it until it succeeds, half a minute
    waited=0
    until "$@" >/dev/null 2>&1; do
        [ $waited -lt 300 ] || return 1
        sleep 0.1
        waited=$((waited + 1))
    done
}

start() { # start NAME ARGUMENTS...: a weft with this log
    log=$1
    shift
    : >"$log.out"
    : >"$log.err"
    "$weft" "$@" >"$log.out" 2>"$log.err" &
    pid=$!
    running="$running$pid "
}

stop() { # a process; its exit code
    running=$(echo "$running" | sed "s/ $1 / /")
    kill -TERM "$1" && wait "$1"
}

# --- the document ---

block c >primes.c
set --
for folder in $headers; do
    set -- "$@" -I "$folder"
done
${CC:-cc} -shared -fPIC -Wall -Wextra -Werror "$@" -o primes.so primes.c >out 2>err
ok $? 'the task of the document compiles'

head -c 32 /dev/urandom | base64 >secret
block python >receiver.py
webhooks=1
command -v python3 >/dev/null || webhooks=0
if [ $webhooks -eq 1 ]; then
    python3 receiver.py secret 0 >receiver.out 2>receiver.err &
    running="$running$! "
    until_there test -s receiver.out
    port=$(cat receiver.out)
    [ -n "$port" ]
    ok $? 'the receiver of the document starts'
else
    port=9099
    skip 'the receiver of the document starts' 'there is no python3'
fi

# A sanitizer takes more address space than anybody has memory.
block ini | sed "s/127.0.0.1:9099/127.0.0.1:$port/" >weft.ini
if ldd "$weft" | grep -q -e libasan -e libtsan -e clang_rt; then
    sed -i '/^\[process\]/,$s/^memory-max.*//' weft.ini
fi
if ldd "$weft" | grep -q libcrypto; then
    with_webhooks=$webhooks
else
    with_webhooks=0
    sed -i '/^\[http /,/^$/d' weft.ini
fi

start serve serve --listen 127.0.0.1:0 --broker "sqlite:$work/jobs.db"
server=$pid
until_there test -s serve.out
WEFT_SERVER=$(sed -n 's/^weft serves on //p' serve.out)
export WEFT_SERVER
[ -n "$WEFT_SERVER" ]
ok $? 'a server starts with the weft.ini of the document'

# Every line "$ weft ..." and what stands below it.
same() { # whether actual and expected are the same but for ids
    sed 's/job [0-9a-f-]\{36\} /job ID /' actual >out
    sed 's/job [0-9a-f-]\{36\} /job ID /' expected | diff - out >err
}
try() {
    [ -n "$line" ] || return
    case $line in
    *' order '* | *' inside '*)
        if [ $with_webhooks -eq 0 ]; then
            skip "$line" 'without python3, or built without webhooks'
            return
        fi
        ;;
    esac
    (eval "\"$weft\" ${line#weft }") >actual 2>&1 </dev/null
    same
    ok $? "$line"
}
try_all() { # those of standard input
    line=
    while IFS= read -r text; do
        case $text in
        '$ '*)
            try
            line=${text#'$ '}
            : >expected
            ;;
        *) echo "$text" >>expected ;;
        esac
    done
    try
}
block console >console
try_all <console
[ "$number" -ge 14 ]
ok $? 'the document has examples'

grep -q '"event":"output","detail":"for Ada\\n"' serve.err
ok $? 'what a command says is in the log'

# --- what becomes of what runs ---

cat >>weft.ini <<'INI'

[exec slow]
command = sh -c 'echo $$ >slow.new; mv slow.new slow.pid; sleep 60'
environment = PATH
grace = 5s
INI
sed -i "s|^environment = PATH\$|environment = PATH\ndirectory = $work|" weft.ini
children=$(cat /proc/$server/task/*/children 2>/dev/null)
stop $server
ok $? 'the server ends with 0 after SIGTERM'
if [ -n "$children" ]; then
    left=0
    for pid in $children; do
        kill -0 "$pid" 2>/dev/null && left=1
    done
    ok $left 'and its children are gone'
else
    skip 'and its children are gone' 'the kernel does not tell of them'
fi

start serve serve --listen 127.0.0.1:0 --broker "sqlite:$work/jobs.db"
server=$pid
until_there test -s serve.out
WEFT_SERVER=$(sed -n 's/^weft serves on //p' serve.out)

id=$("$weft" enqueue slow)
until_there test -s slow.pid
slow=$(cat slow.pid)
kill -0 "$slow" && "$weft" jobs cancel "$id" >out 2>err
ok $? 'a running command can be cancelled'
is_gone() { ! kill -0 "$slow"; }
until_there is_gone
ok $? 'and is gone then'
"$weft" jobs wait "$id" --wait 60s >out 2>err
grep -q 'cancelled' err
ok $? 'its job is cancelled'

rm slow.pid
id=$("$weft" enqueue slow)
until_there test -s slow.pid
slow=$(cat slow.pid)
kill -KILL $server
running=$(echo "$running" | sed "s/ $server / /")
wait $server 2>/dev/null
until_there is_gone
ok $? 'a server that is killed takes its commands with it'

# --- a program with a server inside ---

if nm -D "$library" 2>/dev/null | grep -q -e __asan_ -e __tsan_ -e __ubsan_; then
    skip 'the program of the document' 'the library has a sanitizer'
else
    block_of c 1 >shop.c
    set -- "$library" "-Wl,-rpath,$(dirname "$library")"
    for folder in $headers; do
        set -- -I "$folder" "$@"
    done
    ${CC:-cc} -Wall -Wextra -Werror -o shop shop.c "$@" >out 2>err
    ok $? 'the program of the document compiles'
    : >shop.out
    ./shop >shop.out 2>shop.err &
    shop=$!
    running="$running$shop "
    until_there test -s shop.out
    WEFT_SERVER=$(cat shop.out)
    block_of console 1 >console
    tried=$number
    try_all <console
    [ $number -ge $((tried + 2)) ]
    ok $? 'and has examples'
    stop $shop
    ok $? 'it ends with 0 after SIGTERM'
fi

# --- a worker elsewhere ---

mkdir elsewhere
mv weft.ini elsewhere
start serve serve --listen 127.0.0.1:0 --broker "sqlite:$work/worker.db"
server=$pid
until_there test -s serve.out
WEFT_SERVER=$(sed -n 's/^weft serves on //p' serve.out)
start worker worker --config elsewhere/weft.ini
worker=$pid
until_there grep -q '"event":"working"' worker.err
ok $? 'a worker reads the same sections'
"$weft" enqueue upper --payload '["x"]' --wait 60s >out 2>err && [ "$(cat out)" = '["X"]' ]
ok $? 'and runs their commands'
"$weft" enqueue primes --payload '{"below": 10}' --wait 60s >out 2>err &&
    [ "$(cat out)" = '{"primes":4}' ]
ok $? 'and their children'
stop $worker
ok $? 'the worker ends with 0 after SIGTERM'
stop $server
ok $? 'the server ends with 0 after SIGTERM'
echo "1..$number"
[ $failures -eq 0 ]
