#!/bin/sh
# SPDX-License-Identifier: MIT
# The program from outside: exit codes, messages, help, JSON, settings, the manual. TAP.
#
# WEFT_PROGRAM  the program; WEFT_MANUAL  docs/man/weft.1
set -u
weft=$WEFT_PROGRAM
manual=$WEFT_MANUAL
# Whatever the caller has set would be a setting here.
for name in $(env | sed -n 's/^\(WEFT_[A-Z_]*\)=.*/\1/p'); do
    unset "$name"
done
number=0
failures=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

ok() { # ok STATUS NAME: report one test
    number=$((number + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
        failures=$((failures + 1))
    fi
}

skip() {
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
}

# expect CODE STREAM TEXT ARGUMENTS...: the exit code, and a text on "out" or "err"
expect() {
    code=$1 stream=$2 text=$3
    shift 3
    "$weft" "$@" >out 2>err </dev/null
    got=$?
    fine=0
    [ "$got" -eq "$code" ] || fine=1
    grep -qF -- "$text" "$stream" || fine=1
    # What goes wrong is one sentence on standard error, and nothing on standard output.
    if [ "$code" -eq 2 ] && [ $# -gt 0 ]; then
        [ "$(wc -l <err)" -eq 1 ] || fine=1
        [ -s out ] && fine=1
    fi
    ok $fine "weft $*: $code, $text"
    if [ $fine -ne 0 ]; then
        echo "# exit code $got"
        sed 's/^/# out: /' out
        sed 's/^/# err: /' err
    fi
}

# The same with variables set before it: a function would leave them set in some shells.
expect_env() {
    export WEFT_JSON WEFT_CONNECTIONS WEFT_CONFIG WEFT_QUEUE_SIZE
    expect "$@"
    unset WEFT_JSON WEFT_CONNECTIONS WEFT_CONFIG WEFT_QUEUE_SIZE
}

is_json() { # is_json FILE: 0 yes, 1 no, 2 nothing here can tell
    [ -s "$1" ] || return 1
    if command -v jq >/dev/null; then
        jq -e type "$1" >/dev/null 2>&1 || return 1
    elif command -v python3 >/dev/null; then
        python3 -m json.tool "$1" >/dev/null 2>&1 || return 1
    else
        return 2
    fi
}

expect_json() { # expect_json ARGUMENTS...: standard output is JSON
    "$weft" "$@" >json 2>err </dev/null
    is_json json
    case $? in
    0) ok 0 "weft $*: JSON" ;;
    1) ok 1 "weft $*: JSON" ;;
    2) skip "weft $*: JSON" "neither jq nor python3 is installed" ;;
    esac
}

has() { "$weft" help "$1" >/dev/null 2>&1; }

# The overview and commands
expect 2 err 'usage: weft COMMAND'
expect 0 out 'usage: weft COMMAND' help
expect 0 out 'usage: weft COMMAND' --help
expect 0 out 'usage: weft COMMAND' -h
expect 0 out 'usage: weft size' help size
expect 0 out 'weft ' --version
expect 2 err "there is no command 'versoin'; did you mean 'version'?" versoin
expect 2 err "there is no command 'siz'; did you mean 'size'?" siz
expect 2 err "there is no command 'frobnicate'; 'weft help' lists them" frobnicate
expect 2 err "there is no command 'szie'" help szie
expect 2 err "there is no command ''" ''

# version, size
expect 0 out 'reactors  ' version
expect 0 out 'epoll' version
expect_json version --json
expect 0 out 'memory of one' size
expect 0 out '16 x 1000' size
expect 0 out '31.2 GiB' size
expect_json size --json
expect 2 err "weft size: there is no flag '--jason'; did you mean --json?" size --jason
expect 2 err "weft size: there is no flag '-x'" size -x
expect 2 err "weft size: --json takes no value" size --json=yes
expect 2 err "weft size: 'now' is not expected; the command takes only flags" size now
expect 0 out 'weft size - ' size --json --help
WEFT_JSON=maybe expect_env 2 err "weft size: WEFT_JSON: 'maybe' is not yes or no" size
WEFT_JSON=yes expect_env 0 out '"machine"' size
WEFT_JSON=no expect_env 0 out 'this machine' size
WEFT_JSON='' expect_env 0 out 'this machine' size
if [ -w /dev/full ]; then
    "$weft" size >/dev/full 2>err
    [ $? -eq 1 ] && grep -q 'could not be written' err
    ok $? 'output that cannot be written is a failure'
else
    skip 'output that cannot be written is a failure' 'there is no /dev/full'
fi

# load: usage, settings from everywhere, a server that is not there
if has load; then
    url=http://127.0.0.1:1/
    expect 2 err 'weft load: the URL is missing' load
    expect 2 err "'x' is one URL too many" load "$url" x
    expect 2 err 'https is not supported' load https://127.0.0.1/
    expect 2 err 'it does not begin with http://' load 127.0.0.1
    expect 2 err "--connections: 'abc' is not a number between 1 and 10000" load --connections abc
    expect 2 err "--connections: '0' is not a number between 1 and 10000" load --connections 0
    expect 2 err "--connections: '10001' is not a number" load --connections=10001
    expect 2 err "--requests: '0' is not a number from 1 up" load --requests 0
    expect 2 err "--duration: '0' is not a duration above 0" load --duration 0
    expect 2 err "--timeout: '5' is not a duration above 0" load --timeout 5
    expect 2 err "--rate: '-1' is not a number from 0.001 up" load --rate -1
    expect 2 err "--rate: '1e-9' is not a number from 0.001 up" load --rate 1e-9
    expect 2 err "--io: 'foo' is not a reactor: uring or epoll" load "$url" --io foo
    expect 2 err '--body: the value is empty' load "$url" --body ''
    expect 2 err '--rate needs a value: --rate R' load --rate
    expect 2 err '--body needs a value: --body JSON' load --body --json
    expect 2 err "there is no flag '--conections'; did you mean --connections?" load --conections 1
    expect 2 err "'G T' is not a method" load "$url" --method 'G T'
    expect 1 err 'weft load: cannot connect to 127.0.0.1 port 1: ' load "$url" --requests 1
    expect 1 err 'weft load: cannot connect to 127.0.0.1 port 1: ' load --requests 1 -- "$url"
    WEFT_CONNECTIONS=x expect_env 2 err "WEFT_CONNECTIONS: 'x' is not a number" load "$url"
    WEFT_CONNECTIONS=x expect_env 1 err 'cannot connect' load "$url" --connections 2

    expect 2 err 'no.ini cannot be opened: No such file' load "$url" --config no.ini
    if ldd "$weft" 2>/dev/null | grep -q inih; then
        printf '[serve]\nworkers = nonsense\n[load]\nconnections = y ; a comment\n' >weft.ini
        expect 2 err "weft.ini: connections: 'y' is not a number between" load "$url"
        WEFT_CONNECTIONS=x expect_env 2 err "WEFT_CONNECTIONS: 'x'" load "$url"
        expect 1 err 'cannot connect' load "$url" --connections 2
        printf '[load]\nconections = 5\n' >other.ini
        expect 2 err "other.ini: [load] has no setting 'conections'; did you mean connections?" \
            load "$url" --config other.ini
        WEFT_CONFIG=other.ini expect_env 2 err "has no setting 'conections'" load "$url"
        printf '[load]\n\nwhat is this\n' >other.ini
        expect 2 err "other.ini: line 3 is neither '[section]' nor 'name = value'" \
            load "$url" --config other.ini
        printf '[load]\nbody = %0300d\n' 0 >other.ini
        expect 2 err 'other.ini: line 2: it is too long' load "$url" --config other.ini
        expect 2 err '. cannot be read' load "$url" --config .
        printf '[load]\n\n[foo]\nx = 1\n' >other.ini
        expect 2 err 'other.ini: line 3: there is no section [foo]' load "$url" --config other.ini
        printf '[load]\n[SERVE]\n' >other.ini
        expect 2 err 'other.ini: line 2: there is no section [SERVE]' load "$url" --config other.ini
        printf '\357\273\277[foo]\nx = 1\n' >other.ini # behind a byte order mark
        expect 2 err 'there is no section [foo]' load "$url" --config other.ini
        printf '; a comment\nworkers = 4\n[serve]\n' >other.ini
        expect 2 err "other.ini: line 2: 'workers' stands before any section" \
            load "$url" --config other.ini
        printf '\0\0\0\0[load]\nconnections = y\n' >other.ini
        expect 2 err 'other.ini: line 1: there is a NUL character in it' \
            load "$url" --config other.ini
        printf '[load]\nconfig = x\n' >other.ini
        expect 2 err "other.ini: [load] has no setting 'config'" load "$url" --config other.ini
        grep -q 'did you mean' err
        ok $((! $?)) 'what is not there is not suggested'
        printf '[load]\nconnections = 2' >other.ini # without a line feed
        expect 1 err 'cannot connect' load "$url" --config other.ini
        rm -f weft.ini other.ini
    else
        skip 'weft.ini' 'built without inih'
    fi
else
    skip 'weft load' 'built without llhttp'
fi

# serve, and load against it
if has serve; then
    expect 2 err "weft serve: --workers: 'abc' is not a number between 1 and 64" serve --workers abc
    expect 2 err "weft serve: --workers: '65' is not a number between 1 and 64" serve --workers 65
    expect 2 err "--steps: '1s,2s' is not 3 durations" serve --steps 1s,2s
    expect 2 err "did you mean --queue-size?" serve --queue_size 5
    WEFT_QUEUE_SIZE=lots expect_env 2 err "WEFT_QUEUE_SIZE: 'lots' is not a number" serve
    expect 2 err "weft serve: --io: 'foo' is not a reactor: uring or epoll" serve --io foo
    expect 2 err 'weft serve: --token-file: the value is empty' serve --token-file ''

    : >serve.out
    "$weft" serve --listen 127.0.0.1:0 --broker "sqlite:$work/jobs.db" --steps 0,0,0 \
        >serve.out 2>serve.err &
    server=$!
    waited=0
    while [ "$(wc -l <serve.out)" -lt 2 ] && [ $waited -lt 100 ] && kill -0 $server 2>/dev/null; do
        sleep 0.1
        waited=$((waited + 1))
    done
    address=$(sed -n 's/^weft serves on //p' serve.out)
    [ -n "$address" ] && grep -q "^try: curl .*$address/process" serve.out
    ok $? 'weft serve tells its address and a curl line'
    if [ -n "$address" ]; then
        expect 0 out 'succeeded   20,' load "$address/process" --requests 20 --connections 2
        grep -q '^POST ' out
        ok $? 'weft load finds out that it has to POST'
        expect_json load "$address/process" --requests 20 --connections 2 --json
        grep -q '"succeeded": 20' json
        ok $? 'the JSON has the counts'
        expect 1 out 'no request succeeded' load "$address/no-such-path" --requests 3 --method GET
        expect_json load "$address/no-such-path" --requests 3 --method GET --json
    fi
    kill -TERM $server 2>/dev/null
    wait $server
    ok $? 'weft serve ends with 0 after SIGTERM'

    # What weft opens must not become its standard streams.
    "$weft" serve --listen 127.0.0.1:0 --broker "sqlite:$work/closed.db" <&- >&- 2>&- &
    server=$!
    waited=0
    while [ ! -s closed.db ] && [ $waited -lt 100 ] && kill -0 $server 2>/dev/null; do
        sleep 0.1
        waited=$((waited + 1))
    done
    if [ -d /proc/$server/fd ]; then
        streams=$(readlink /proc/$server/fd/0 /proc/$server/fd/1 /proc/$server/fd/2 | sort -u)
        [ "$streams" = /dev/null ]
        ok $? 'closed standard streams become /dev/null'
    else
        skip 'closed standard streams become /dev/null' 'there is no /proc'
    fi
    kill -TERM $server 2>/dev/null
    wait $server
    ok $? 'weft serve runs without standard streams'
else
    skip 'weft serve' 'built without the job service'
fi

# Every flag in --help stands in the manual, in the part of its command, and none else does.
flags_of_help() {
    "$weft" help "$1" | sed -n 's/^  \(--[a-z-]*\).*/\1/p' | grep -v -e '^--help$' | sort
}
# A flag's own entry is the line behind .TP; others are only mentioned.
entries_of_manual() {
    sed -n "/^\.SS weft $1/,/^\.S[SH] [^w]/p" "$manual" | sed 's/\\//g' |
        awk -v name="weft $1" '/^\.SS /{inside = index($0, ".SS " name) == 1}
             previous == ".TP" && inside && /^\.BI? --/{print $2} {previous = $0}' | sort
}
for command in serve load size version; do
    if ! has $command; then
        skip "the manual has the flags of weft $command" 'not in this build'
        continue
    fi
    flags_of_help $command >help.flags
    entries_of_manual $command >manual.flags
    diff help.flags manual.flags >difference
    ok $? "the manual has the flags of weft $command"
    sed 's/^/# /' difference
    "$weft" $command --help >out
    [ "$(wc -L <out)" -le 80 ] && grep -q '^examples:$' out && grep -q "^  weft $command" out
    ok $? "weft $command --help has examples and fits a terminal"
done

echo "1..$number"
[ $failures -eq 0 ]
