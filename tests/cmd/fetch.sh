#!/bin/sh
# SPDX-License-Identifier: MIT
# `weft fetch` from outside, against `weft mock`: exit codes, outputs, signals, kill and resume. TAP.
#
# WEFT_PROGRAM  the program
set -u
weft=$WEFT_PROGRAM
for name in $(env | sed -n 's/^\(WEFT_[A-Z_]*\)=.*/\1/p'); do
    unset "$name"
done
if ! "$weft" help fetch >/dev/null 2>&1 || ! "$weft" help mock >/dev/null 2>&1; then
    echo "1..0 # SKIP this build has no fetch, or no mock"
    exit 77
fi
number=0
failures=0
work=$(mktemp -d) || exit 1
cd "$work" || exit 1

"$weft" mock --listen 127.0.0.1:0 --latency 0s >mock.out 2>mock.err &
mock=$!
trap 'kill $mock; wait $mock 2>/dev/null; rm -rf "$work"' EXIT
tries=0
until grep -q 'http://' mock.out || [ $tries -gt 200 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
url=$(sed -n 's|.*\(http://127\.0\.0\.1:[0-9]*\).*|\1|p' mock.out | head -n 1)

ok() { # ok STATUS NAME: report one test
    number=$((number + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
        sed 's/^/# out: /' out
        sed 's/^/# err: /' err
        failures=$((failures + 1))
    fi
}

fetch() { # fetch CODE ARGUMENTS...: 0 when the exit code is that
    code=$1
    shift
    "$weft" fetch "$@" >out 2>err </dev/null
    [ $? -eq "$code" ]
}

# wait_for TEXT: until the server's counters say it, for ten seconds
wait_for() {
    tries=0
    until rm -rf counters && "$weft" fetch "$url/__stats" -o counters/ >/dev/null 2>&1 &&
        grep -rqs -e "$1" counters || [ $tries -gt 100 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
}

# Usage
fetch 2 && grep -q 'there is nothing to fetch' err
ok $? 'nothing to fetch is wrong usage'
fetch 2 "$url/get" --engine turbo && grep -q "'turbo' is not async, sync or threaded" err
ok $? 'an engine that there is not is wrong usage'
fetch 2 "$url/get" -H nonsense && grep -q "not like 'Name: value'" err
ok $? 'a header without a colon is wrong usage'
fetch 2 "$url/get" --resume && grep -q 'needs an --out that is a database' err
ok $? 'resume without a database is wrong usage'
fetch 2 "$url/get" -Z && grep -q "there is no flag '-Z'" err
ok $? 'a letter that is no flag is wrong usage'
fetch 1 -i no-such-file && grep -q 'no-such-file cannot be read' err
ok $? 'a file that is not there is told of'

# The summary
fetch 0 "$url/get" "$url/status/201" && grep -q '^requests    2 in ' out &&
    grep -q '^successful  2, failed 0' out && grep -q '^ceiling ' out
ok $? 'several URLs are fetched and summed up'
[ ! -s err ]
ok $? 'there is no progress where there is no terminal'
if command -v python3 >/dev/null; then
    fetch 0 "$url/get" "$url/status/404" --json && python3 - <<'PY' >err 2>&1
import json
summary = json.load(open("out"))
assert summary["total_requests"] == 2 and summary["successful"] == 1 and summary["failed"] == 1
assert summary["error_breakdown"] == {"HTTP 404": 1}
for key in ("total_duration_seconds", "requests_per_second", "p50_latency_ms", "p95_latency_ms",
            "p99_latency_ms", "avg_latency_ms", "min_latency_ms", "max_latency_ms", "peak_memory_mb"):
    assert summary[key] > 0, key
assert summary["ceiling"]["places"] == 100 and summary["connections"]["made"] >= 1
PY
    ok $? 'the summary in JSON has the fields that it should'
else
    number=$((number + 1))
    echo "ok $number - the summary in JSON has the fields that it should # SKIP there is no python3"
fi
for engine in async threaded sync; do
    fetch 0 "$url/get" --repeat 50 --engine $engine && grep -q "^successful  50, failed 0" out &&
        grep -q "($engine, " out
    ok $? "the engine $engine fetches"
done

# Policies
fetch 0 "$url/get" "$url/status/404"
ok $? 'one success is enough by default'
fetch 1 "$url/status/404"
ok $? 'no success is a failure'
fetch 0 "$url/status/404" --fail-on never
ok $? 'unless nothing is to be one'
fetch 1 "$url/get" "$url/status/404" --fail-on status
ok $? 'a status can be a failure'
fetch 0 "$url/get" "$url/status/404" --fail-on error
ok $? 'a status is no error'
fetch 1 "$url/get" "$url/close" --fail-on error --attempts 1
ok $? 'no answer is one'

# Outputs
fetch 0 "$url/get" "$url/status/204" -o out.jsonl -o out.csv &&
    [ "$(wc -l <out.jsonl)" -eq 2 ] && [ "$(wc -l <out.csv)" -eq 3 ]
ok $? 'results go to files'
fetch 2 "$url/get" -o out.jsonl && [ "$(wc -l <out.jsonl)" -eq 2 ]
ok $? 'a file that is there is not touched'
fetch 0 "$url/get" -o out.jsonl --existing append && [ "$(wc -l <out.jsonl)" -eq 3 ]
ok $? 'unless it is to be added to'
fetch 0 "$url/bytes/1000" "$url/get" -o bodies/ && [ "$(find bodies -type f | wc -l)" -eq 3 ]
ok $? 'bodies go to a directory, with an index'
fetch 0 "$url/get" -o - && [ "$(wc -l <out)" -eq 1 ] && grep -q '^requests' err
ok $? 'results on standard output leave the summary to standard error'
printf '%s\n# comment\n\n{"url": "%s", "method": "POST", "body": "x", "id": "a1"}\n' \
    "$url/get" "$url/echo" | "$weft" fetch -i - -o - >out 2>err &&
    [ "$(wc -l <out)" -eq 2 ] && grep -q '"tag":"a1"' out
ok $? 'requests come from standard input, as lines of JSON too'
fetch 0 "$url/echo" -X PATCH -H 'X-Test: 1' -d 'some text' -o echo/ &&
    grep -rqs '"some text"' echo && grep -rqs 'PATCH' echo
ok $? 'method, header and body are sent'

# Ctrl-C: what is under way ends, the summary is printed
"$weft" fetch "$url/delay/1" --repeat 1000 -c 4 -o slow.jsonl >out 2>err &
pid=$!
wait_for '"now": 4, "most": 4'
kill -INT $pid
wait $pid
[ $? -eq 1 ] && grep -q 'interrupted' err && ! grep -q '^left out' out && [ -s slow.jsonl ] &&
    [ "$(wc -l <slow.jsonl)" -eq "$(sed -n 's/^successful  \([0-9]*\), failed 0$/\1/p' out)" ]
ok $? 'a signal ends the run in order'
"$weft" fetch "$url/stall" -c 4 >out 2>err &
pid=$!
wait_for '"/stall": {"requests": 1'
while kill -TERM $pid 2>/dev/null; do # it may take its time to notice the first
    sleep 0.2
done
wait $pid 2>/dev/null
[ $? -eq 143 ]
ok $? 'a second one ends it at once'

# kill -9, and on: every request has one result
if command -v sqlite3 >/dev/null; then
    i=0
    while [ $i -lt 3000 ]; do
        echo "$url/users/$i?latency=20"
        i=$((i + 1))
    done >urls
    count() { sqlite3 results.db 'select count(*) from results' 2>/dev/null || echo 0; }
    for least in 1 500; do
        "$weft" fetch -i urls -o results.db -c 4 --resume >out 2>err &
        pid=$!
        tries=0
        until [ "$(count)" -ge $least ] || [ $tries -gt 600 ]; do
            sleep 0.05
            tries=$((tries + 1))
        done
        kill -9 $pid
        wait $pid 2>/dev/null
    done
    before=$(count)
    [ "$before" -ge 500 ] && [ "$before" -lt 3000 ]
    ok $? 'kill -9 strikes in the middle'
    fetch 0 -i urls -o results.db --resume &&
        [ "$(sqlite3 results.db 'select count(*) from results')" -eq 3000 ] &&
        [ "$(sqlite3 results.db 'select count(distinct url) from results')" -eq 3000 ] &&
        grep -q "done before" out
    ok $? "after kill -9 each request has its result, and one"
    fetch 0 -i urls -o results.db --resume && grep -q '^requests    0 in ' out &&
        grep -q '^left out    3000 done before' out
    ok $? 'and nothing is done again'
else
    number=$((number + 1))
    echo "ok $number - after kill -9 each request has its result # SKIP there is no sqlite3"
fi

echo "1..$number"
[ $failures -eq 0 ]
