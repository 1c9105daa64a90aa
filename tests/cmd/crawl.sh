#!/bin/sh
# SPDX-License-Identifier: MIT
# `weft crawl` from outside: what it prints, writes, refuses, and that it goes on. TAP.
#
# WEFT_PROGRAM  the program; WEFT_PYTHON, WEFT_SITE  what serves the site
set -u
weft=$WEFT_PROGRAM python=$WEFT_PYTHON site=$WEFT_SITE
for name in $(env | sed -n 's/^\(WEFT_[A-Z_]*\)=.*/\1/p'); do
    unset "$name"
done
number=0 failures=0
work=$(mktemp -d) || exit 1
mkfifo "$work/hold" || exit 1
"$python" "$site" >"$work/port" <"$work/hold" &
server=$!
exec 9>"$work/hold" # its end is the server's
trap 'exec 9>&-; wait $server; rm -rf "$work"' EXIT
cd "$work" || exit 1
tries=0
until [ -s port ]; do
    tries=$((tries + 1))
    [ $tries -lt 600 ] || { echo "Bail out! the site does not start"; exit 1; }
    sleep 0.1
done
port=$(cat port)
url=http://127.0.0.1:$port/
quick='--allow-private --delay 0s --no-sitemaps'

ok() {
    number=$((number + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
        failures=$((failures + 1))
        sed 's/^/# out: /' out
        sed 's/^/# err: /' err
    fi
}

refused() { # a sentence, then arguments
    wanted=$1
    shift
    "$weft" crawl "$@" >out 2>err
    [ $? -eq 2 ] && grep -qF -- "$wanted" err && [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ]
    ok $? "refused: weft crawl $*"
}

refused 'the URL is missing'
refused "is not host, domain, prefix or all" "$url" --scope planet
refused "'gopher://x/' is no URL to begin with" gopher://x/
refused "'(' is no regular expression" "$url" --include '('
refused 'ends neither with .jsonl nor .csv' "$url" --out results.txt
refused 'only links are a graph' "$url" --broken broken.dot
refused 'there are none to be written' "$url" --no-links --links links.csv
refused "there is no flag '--dept'; did you mean --depth?" "$url" --dept 3
rm -f crawl.db*

"$weft" crawl "127.0.0.1:$port" $quick --json >out 2>err
ok $? 'a crawl of a host without a scheme ends with 0'
"$python" -c '
import json
result = json.load(open("out"))
wanted = {"fetched": 6, "done": 6, "broken": 1, "redirects": 1, "duplicates": 1, "forbidden": 1,
          "known": 7, "waiting": 0, "hosts": 1, "retries": 0, "stopped": False}
assert {name: result[name] for name in wanted} == wanted, result
assert result["status"] == {"none": 0, "1xx": 0, "2xx": 4, "3xx": 1, "4xx": 1, "5xx": 0}
' 2>err
ok $? 'the JSON has the counts'

"$weft" crawl --report --broken - --out pages.csv --links graph.dot --duplicates same.jsonl \
    --redirects moved.csv >out 2>err
ok $? 'reports are written without crawling'
grep -q '"status_code":404.*"referrer":"http://127.0.0.1:'"$port"'/a"' out
ok $? 'a broken link has its referrer'
[ "$(wc -l <pages.csv)" -eq 8 ] && head -n 1 pages.csv | grep -q '^url,status_code,latency_ms,'
ok $? 'pages are rows of CSV'
grep -q "\"${url}b\" -> \"${url}moved\"" graph.dot && [ "$(head -n 1 graph.dot)" = 'digraph crawl {' ]
ok $? 'links are a graph'
grep -q "\"url\":\"${url}copy\",\"same_as\":\"${url}b\"" same.jsonl
ok $? 'duplicates name the first'
grep -q "${url}moved,${url}a,301" moved.csv
ok $? 'redirects name where they lead'

"$weft" crawl $quick >out 2>err && grep -q '^fetched     0 in .*, 6 with earlier runs$' out
ok $? 'without a URL the store is gone on with, and here nothing is left'
"$weft" crawl "$url" $quick --store other.db --strict >out 2>err
[ $? -eq 1 ] && grep -q '^broken      1$' out
ok $? '--strict fails because of a broken link'
"$weft" crawl "$url" --delay 0s --no-sitemaps --store refused.db --out - >out 2>err
grep -q '"error_class":"refused"' out && [ "$(wc -l <out)" -eq 1 ]
ok $? 'this machine is refused unless it is allowed'

hits() { # of a path
    "$python" -c '
import json, sys, urllib.request
print(json.load(urllib.request.urlopen(sys.argv[1] + "__hits")).get(sys.argv[2], 0))' "$url" "$1"
}
[ "$(hits /private)" -eq 0 ]
ok $? 'what robots.txt forbids was never asked for'

"$weft" crawl "${url}slow/1" $quick --store slow.db --depth 30 >out 2>err &
crawl=$!
tries=0
while [ "$(hits /slow/4)" -eq 0 ] && [ $tries -lt 600 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
kill -INT $crawl 2>/dev/null
wait $crawl
status=$?
[ $status -eq 1 ] && grep -q 'interrupted; the same command goes on from here' err &&
    grep -q '^fetched ' out
ok $? 'SIGINT ends it early, with what was found'
"$weft" crawl "${url}slow/1" $quick --store slow.db --depth 30 --out slow.jsonl >out 2>err
[ $? -eq 0 ] && [ "$(wc -l <slow.jsonl)" -eq 31 ] && [ "$(hits /slow/1)" -eq 1 ]
ok $? 'the same command goes on'

echo "1..$number"
[ $failures -eq 0 ]
