#!/bin/sh
# SPDX-License-Identifier: MIT
# A weft worker with curl and jq: worker.sh [SERVER [QUEUE]], by default http://127.0.0.1:8001 and
# "shell". One job at a time; its task, "upper", says its text in capital letters. SIGTERM: the job
# under way ends first (Ctrl-C reaches its commands as well). WEFT_TOKEN may hold a token with the scope
# "work".
set -u
server=${1:-http://127.0.0.1:8001} queue=${2:-shell} ending=
trap 'ending=yes' TERM INT

post() { # path, body on standard input
    curl -sS --fail --retry 20 --retry-connrefused --retry-max-time 60 --max-time 30 \
        ${WEFT_TOKEN:+-H "Authorization: Bearer $WEFT_TOKEN"} \
        -H 'Content-Type: application/json' --data-binary @- "$server$1"
}

upper() { # the payload on standard input; prints the result as JSON, or a reason and fails
    jq -ce 'if (.text | type) == "string" then {text: (.text | ascii_upcase)} else empty end' ||
        { echo 'the payload has no string "text"'; return 1; }
}

run() { # a job, as one line of JSON
    id=$(printf %s "$1" | jq -r .id) token=$(printf %s "$1" | jq -r .token)
    lease=$(jq -cn --arg i "$id" --arg t "$token" '{id: $i, token: $t}')
    # Renew the lease while the task runs.
    (while sleep 10; do printf '{"jobs":[%s]}' "$lease" | post /v1/extend >/dev/null; done) &
    heartbeat=$!
    if [ "$(printf %s "$1" | jq -r .task)" != upper ]; then
        outcome=$(printf %s "$lease" | jq -c '. + {outcome: "fail", error: "no such task here"}')
    elif result=$(printf %s "$1" | jq -c .payload | upper); then
        outcome=$(printf %s "$lease" | jq -c --argjson r "$result" '. + {outcome: "complete", result: $r}')
    else
        outcome=$(printf %s "$lease" | jq -c --arg e "$result" '. + {outcome: "fail", error: $e}')
    fi
    kill "$heartbeat" 2>/dev/null
    printf '{"jobs":[%s]}' "$outcome" | post /v1/settle >/dev/null
}

while [ -z "$ending" ]; do
    jobs=$(jq -cn --arg q "$queue" '{queues: [$q], max: 1, lease: 30, wait: 2}' | post /v1/lease) || {
        sleep 1
        continue
    }
    job=$(printf %s "$jobs" | jq -c '.jobs[0] // empty')
    [ -z "$job" ] || run "$job"
done
