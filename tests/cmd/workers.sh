#!/bin/sh
# SPDX-License-Identifier: MIT
# The workers of examples/workers, in Python and in shell, on a real server. TAP.
#
# WEFT_PROGRAM  the program; WEFT_WORKERS  examples/workers
set -u
weft=$WEFT_PROGRAM
workers=$WEFT_WORKERS
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
        sed 's/^/# /' out err "$3" 2>/dev/null
    fi
}

skip() {
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
}

stop() { # a process; its exit code
    running=$(echo "$running" | sed "s/ $1 / /")
    kill -TERM "$1" && wait "$1"
}

says() { # says TEXT ARGUMENTS...: exactly that on standard output
    text=$1
    shift
    "$weft" enqueue "$@" --wait 60s >out 2>err </dev/null && [ "$(cat out)" = "$text" ]
    ok $? "weft enqueue $*: $text" worker.err
}

fails() { # fails TEXT ARGUMENTS...: the job is dead, with that among its errors
    text=$1
    shift
    "$weft" enqueue "$@" --max-attempts 1 --wait 60s >out 2>err </dev/null
    [ $? -eq 1 ] && grep -qF -- "$text" err
    ok $? "weft enqueue $*: $text" worker.err
}

start_worker() { # a program, its queue, what else it is told
    program=$1
    shift
    "$program" "$WEFT_SERVER" "$@" >worker.out 2>worker.err &
    worker=$!
    running="$running$worker "
}

: >serve.out
"$weft" serve --listen 127.0.0.1:0 --broker "sqlite:$work/jobs.db" >serve.out 2>serve.err &
server=$!
running="$running$server "
waited=0
while [ "$(wc -l <serve.out)" -lt 2 ] && [ $waited -lt 300 ] && kill -0 $server 2>/dev/null; do
    sleep 0.1
    waited=$((waited + 1))
done
WEFT_SERVER=$(sed -n 's/^weft serves on //p' serve.out)
export WEFT_SERVER
[ -n "$WEFT_SERVER" ]
ok $? 'a server starts' serve.err

if command -v python3 >/dev/null; then
    # What tasks should not do.
    cat >more.py <<'END'
import sys
TASKS = {"set": lambda job, stop: {1, 2}, "nan": lambda job, stop: float("nan"), "exit": lambda job, stop: sys.exit(3)}
END
    start_worker "$workers/worker.py" python more.py
    says '{"words":3}' word_count --queue python --payload '{"text": "one two three"}'
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
        echo "{\"task\":\"word_count\",\"queue\":\"python\",\"payload\":{\"text\":\"$i x\"}}"
    done >lines
    "$weft" enqueue --ndjson lines >ids 2>err
    status=$?
    while read -r id; do
        "$weft" jobs wait "$id" --wait 60s >out 2>err && [ "$(cat out)" = '{"words":2}' ] || status=1
    done <ids
    ok $status 'worker.py does many' worker.err
    fails 'KeyError' word_count --queue python --payload '{}'
    fails 'TypeError: Object of type set is not JSON serializable' set --queue python
    fails 'ValueError: Out of range float values are not JSON compliant' nan --queue python
    fails 'SystemExit: 3' exit --queue python
    stop $worker
    ok $? 'worker.py ends with 0 after SIGTERM' worker.err
else
    skip 'worker.py' 'there is no python3'
fi

if command -v jq >/dev/null && command -v curl >/dev/null; then
    start_worker "$workers/worker.sh" shell
    says '{"text":"LOUD \"1\""}' upper --queue shell --payload '{"text": "loud \"1\""}'
    fails 'the payload has no string' upper --queue shell --payload '{"text": 7}'
    fails 'no such task here' lower --queue shell
    stop $worker
    ok $? 'worker.sh ends with 0 after SIGTERM' worker.err
else
    skip 'worker.sh' 'jq or curl is missing'
fi

stop $server
ok $? 'the server ends with 0 after SIGTERM' serve.err
echo "1..$number"
[ $failures -eq 0 ]
