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
    export WEFT_JSON WEFT_CONNECTIONS WEFT_CONFIG WEFT_QUEUE_SIZE WEFT_SERVER WEFT_STATE WEFT_LOAD
    expect "$@"
    unset WEFT_JSON WEFT_CONNECTIONS WEFT_CONFIG WEFT_QUEUE_SIZE WEFT_SERVER WEFT_STATE WEFT_LOAD
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
    expect 2 err "rate: '-1': a rate is a number like 500" load "$url" --rate -1
    expect 2 err "rate: '1e-9': the rate is below 0.001" load "$url" --rate 1e-9
    expect 2 err "rate: '5:10': a ramp needs its length" load "$url" --rate 5:10
    expect 2 err 'the steps have a length of their own' load "$url" --rate 5/1s --duration 5s
    expect 2 err "fail-if: 'p99' is not a limit: it has no < or >" load "$url" --fail-if p99
    expect 2 err "'X' is not a header: a header is a name, a colon and a value" load "$url" --header X
    expect 2 err 'there is a URL besides the file of URLs' load "$url" --url-file none
    expect 1 err 'none cannot be opened: No such file' load --url-file none
    expect 2 err 'there is a --body besides the --body-file' load "$url" --body x --body-file x
    expect 2 err 'none cannot be opened: No such file' load "$url" --body-file none
    expect 1 err 'none/x cannot be written: No such file' load "$url" --hgrm none/x
    expect 2 err "--pipeline: '1025' is not a number between 1 and 1024" load "$url" --pipeline 1025
    expect 2 err "--workers: '0' is not a number between 1 and 256" load "$url" --workers 0
    expect 2 err 'the second result is missing' load --compare none
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

    # Tasks of weft.ini
    refused() { # refused TEXT FORMAT...: a weft.ini, as printf writes it
        text=$1
        shift
        # shellcheck disable=SC2059
        printf "$@" >tasks.ini
        expect 2 err "$text" serve --config tasks.ini --broker "sqlite:$work/refused.db"
    }
    if ldd "$weft" 2>/dev/null | grep -q inih; then
        refused 'tasks.ini: line 1: [exec] needs the name of its task: [exec NAME]' \
            '[exec]\n'
        refused 'tasks.ini: line 1: [http] needs the name of its task: [http NAME]' \
            '[http]\n'
        refused 'there is no section [exec ]' \
            '[exec ]\n'
        refused 'there is no section [process x]' \
            '[process x]\n'
        refused 'weft serve: tasks.ini: [exec a] has no command' \
            '[exec a]\n'
        refused '[exec a] has no command' \
            '[exec a]\n[http b]\n'
        refused 'tasks.ini: line 3: there is already a section [exec a]' \
            '[exec a]\ncommand = true\n[exec a]\n'
        refused '[exec a b]: a task has no name, or one with other' \
            '[exec a b]\ncommand = true\n'
        refused '[exec noop]: there is already a task noop' \
            '[exec noop]\ncommand = true\n'
        refused "tasks.ini: [exec a] has no setting 'comand'; did you mean command?" \
            '[exec a]\ncomand = true\n'
        refused "tasks.ini: [exec a] has no setting 'url'" \
            '[exec a]\nurl = true\n'
        refused '[exec a]: there is no such program in $PATH' \
            '[exec a]\ncommand = no-such-program\n'
        refused '[exec a]: its program is neither an absolute path' \
            '[exec a]\ncommand = ./a\n'
        refused 'tasks.ini: [exec a] command: a quote is not closed (a ; behind a space begins a comment)' \
            '[exec a]\ncommand = sh -c "a\n'
        refused '[exec a] command: a quote is not closed' \
            '[exec a]\ncommand = sh -c "a ; b"\n'
        refused '[exec a] command: there is nothing behind the last \' \
            '[exec a]\ncommand = a\\\n'
        refused '[exec a]: it has no program' \
            "[exec a]\ncommand = ''\n"
        refused "tasks.ini: [exec a] timeout: '0' is not a duration above 0 like 2s" \
            '[exec a]\ncommand = true\ntimeout = 0\n'
        refused "[exec a] grace: 'x' is not a duration" \
            '[exec a]\ncommand = true\ngrace = x\n'
        refused "[exec a] output-max: '3MiB' is not a size like 64KiB or 1MiB, between 1 and 2097152 bytes" \
            '[exec a]\ncommand = true\noutput-max = 3MiB\n'
        refused "[exec a] memory-max: '0' is not a size" \
            '[exec a]\ncommand = true\nmemory-max = 0\n'
        refused "[exec a] cpu-seconds: '0' is not a number" \
            '[exec a]\ncommand = true\ncpu-seconds = 0\n'
        refused "[exec a] nice: '20' is not a number between -20 and 19" \
            '[exec a]\ncommand = true\nnice = 20\n'
        refused '[exec a]: its directory is not an absolute path' \
            '[exec a]\ncommand = true\ndirectory = here\n'
        refused '[exec a]: its directory is none' \
            '[exec a]\ncommand = true\ndirectory = /no/such\n'
        refused '[exec a]: its environment has a variable that is set for each job' \
            '[exec a]\ncommand = true\nenvironment = WEFT_TASK=x\n'
        long=$(printf 'n%0128d' 0) # longer than what inih keeps of it
        refused "[exec $(printf '%.128s' "$long")]: a task has no name" \
            '[exec %s]\ncommand = true\n' "$long"
        refused "[exec $(printf '%.128s' "$long")] has no command" \
            '[exec %.128s]\n' "$long"
        refused "tasks.ini: [serve] has no setting 'command'" \
            '[serve]\nworkers = 2\n\n [exec a]\ncommand = true\n'
        refused 'line 2: a section has to begin at the start of its line' \
            ' [serve]\nworkers = 2\n'

        refused 'tasks.ini: [http a] has no url' \
            '[http a]\n'
        secret=MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
        refused 'tasks.ini: [http a] has both a secret and a secret-file' \
            '[http a]\nurl = http://a\nsecret = %s\nsecret-file = x\n' $secret
        refused '[http a] secret-file: none cannot be opened: No such file' \
            '[http a]\nurl = http://a\nsecret-file = none\n'
        : >empty
        refused '[http a] secret-file: empty has no secret in it' \
            '[http a]\nurl = http://a\nsecret-file = empty\n'
        refused '[http a] secret-file: . cannot be read' \
            '[http a]\nurl = http://a\nsecret-file = .\n'
        refused "[http a] headers: 'X-Team' is not like \"Name: value\"" \
            '[http a]\nurl = http://a\nheaders = X-Team\n'
        refused "[http a] allow-private: 'maybe' is not yes or no" \
            '[http a]\nurl = http://a\nallow-private = maybe\n'
        refused "[http a] timeout: '-1s' is not a duration" \
            '[http a]\nurl = http://a\ntimeout = -1s\n'

        refused "tasks.ini: [process] size: '0' is not a number between 1 and 1024" \
            '[process]\nsize = 0\n'
        refused "[process] jobs-max: 'x' is not a number" \
            '[process]\njobs-max = x\n'
        refused '[process]: ./none.so: No such file' \
            '[process]\nload = ./none.so\n'
        refused "[process] has no setting 'command'" \
            '[process]\ncommand = x\n'
        if ldd "$weft" | grep -q libcrypto; then
            refused '[http a]: there is already a task a' \
                '[exec a]\ncommand = true\n[http a]\nurl = http://a\n'
            refused '[http a]: it begins neither with https:// nor with http://' \
                '[http a]\nurl = ftp://a\n'
            refused '[http a]: it has a user' \
                '[http a]\nurl = https://u@a\n'
            refused '[http a]: a secret is not "whsec_" and the base64' \
                '[http a]\nurl = http://a\nsecret = x\n'
            refused '[http a]: it has more than 4 secrets' \
                '[http a]\nurl = http://a\nsecret = %s %s %s %s %s\n' $secret $secret $secret $secret $secret
            refused '[http a]: one of its headers is set for each job' \
                '[http a]\nurl = http://a\nheaders = "Host: b"\n'
        else
            skip 'webhooks of weft.ini' 'built without webhooks'
        fi
        [ ! -e refused.db ]
        ok $? 'what is refused leaves no database'
        if has worker; then
            printf '[exec a]\n' >tasks.ini
            expect 2 err 'weft worker: tasks.ini: [exec a] has no command' worker --config tasks.ini
        fi
        if has load; then # they are not its business
            printf '[exec a]\nx = y\n[load]\nconnections = z\n' >tasks.ini
            expect 2 err "tasks.ini: connections: 'z' is not" load http://a --config tasks.ini
        fi
    else
        skip 'tasks of weft.ini' 'built without inih'
    fi
    expect 0 out 'usage: weft child [flags]' child --help
    expect 2 err 'weft child: it is started by whoever has jobs for it, not by hand' child
    expect 1 err 'weft child: ./none.so: No such file' child --load none.so
    "$weft" help >out
    grep -q child out
    ok $((! $?)) 'the overview does not have weft child'
    expect 2 err "there is no command 'chidl'; 'weft help' lists them" chidl

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
        expect 0 out 'from intended start   from sending' load "$address/healthz" --rate 100/200ms,200/200ms
        grep -q '^200/s ' out && grep -q '^intended ' out && ! grep -q "$(printf '\033')" err
        ok $? 'weft load shows the steps, and nothing live where there is no terminal'
        if command -v script >/dev/null; then
            TERM=xterm script -qec "'$weft' load '$address/healthz' --rate 100/500ms" screen \
                </dev/null >/dev/null 2>&1 && grep -q '^.*connections 64' screen &&
                grep -q "$(printf '\033')\\[4A" screen && grep -q '^succeeded   50,' screen
            ok $? 'weft load shows how it goes on a terminal'
        else
            skip 'weft load shows how it goes on a terminal' 'script is not installed'
        fi
        expect 1 err 'not-started is 0, and fails from 0' load "$address/healthz" --rate 100/100ms \
            --fail-if 'not-started>=0'
        expect 0 out 'warm-up ' load "$address/healthz" --requests 50 --warmup 50ms --pipeline 4 \
            --workers 2 --hgrm load.hgrm --hdr-log load.log --fail-if 'errors>0' --header 'X-A: b'
        grep -q 'Total count    =           50\]' load.hgrm && grep -q '^Tag=sent,.*,HISTFAAA' load.log
        ok $? 'weft load writes files for HdrHistogram'
        printf '%s/healthz 2\n%s/readyz\n' "$address" "$address" >urls
        expect 0 out ' GET http' load --url-file urls --requests 30
        printf '{"id": {i}}' >body
        expect_json load "$address/process" --body-file body --requests 5 --json
        for i in 1 2 3; do "$weft" load "$address/healthz" --requests 200 --json >>runs.json; done
        expect 0 out '95 % interval' load --compare runs.json runs.json
        expect_json load --compare runs.json runs.json --json
        expect_json load "$address/no-such-path" --requests 3 --method GET --json
    fi
    kill -TERM $server 2>/dev/null
    wait $server
    ok $? 'weft serve ends with 0 after SIGTERM'

    # Numbers come back in what the server says of itself, wherever they were given.
    if command -v curl >/dev/null && ldd "$weft" 2>/dev/null | grep -q inih; then
        printf '[serve]\nqueue-size = 5\nconcurrency = 9\nworkers = 9\n' >weft.ini
        : >serve.out
        WEFT_CONCURRENCY=3 WEFT_WORKERS=8 "$weft" serve --listen 127.0.0.1:0 --workers 2 \
            --job-concurrency 7 --broker "sqlite:$work/numbers.db" >serve.out 2>serve.err &
        server=$!
        waited=0
        while [ "$(wc -l <serve.out)" -lt 2 ] && [ $waited -lt 300 ] && kill -0 $server 2>/dev/null; do
            sleep 0.1
            waited=$((waited + 1))
        done
        address=$(sed -n 's/^weft serves on //p' serve.out)
        curl -s "$address/queue-status" >out
        curl -s "$address/metrics" >>out
        grep -q '"active_workers":2,"threads_per_worker":3,' out &&
            grep -q '"max_queue_size_per_worker":5,"total_max_capacity":10,' out &&
            grep -q '^weft_job_places 13$' out
        ok $? 'what flags, environment and file say is what weft serve does'
        kill -TERM $server
        wait $server
        ok $? 'weft serve ends with 0 after SIGTERM'
        rm weft.ini
    else
        skip 'what flags, environment and file say is what weft serve does' 'without curl or inih'
    fi

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

# What talks to a server: usage, a server that is not there
away=http://127.0.0.1:1
if has jobs; then
    expect 2 err "weft jobs: there is no action 'shwo'; did you mean 'show'?" jobs shwo
    expect 2 err "weft jobs: there is no action 'frobnicate'; 'weft help jobs' lists them" jobs frobnicate
    expect 2 err 'weft jobs: show: the ID is missing' jobs show
    expect 2 err "weft jobs: 'x' is not expected; 'list' takes only flags" jobs list x
    expect 2 err "weft jobs: 'b' is one ID too many" jobs show a b
    expect 2 err "weft jobs: 'show' takes no --state" jobs show x --state dead
    expect 2 err "weft jobs: 'x' is no id of a job" jobs show x
    expect 2 err "weft jobs: --limit: '0' is not a number between 1 and 1000" jobs --limit 0
    expect 2 err "weft jobs: --server: 'localhost' is no address" jobs --server localhost
    expect 2 err 'is no address; write it like' jobs --server 'http://127.0.0.1:1/?a=b'
    expect 2 err 'is no address; write it like' jobs --server 'http://me@127.0.0.1:1'
    expect 1 err 'weft jobs: none cannot be opened: No such file' jobs --token-file none
    printf '# nothing\n\n' >tokens
    expect 1 err 'weft jobs: tokens has no token in it' jobs --token-file tokens
    expect 1 err "weft jobs: no answer from $away: " jobs --server $away
    WEFT_SERVER=$away expect_env 1 err "weft jobs: no answer from $away: " jobs
    WEFT_SERVER=$away WEFT_STATE=nonsense expect_env 1 err 'no answer from' jobs # for flags only
    expect 2 err 'weft enqueue: the TASK is missing' enqueue
    expect 2 err "'noop' is one too many" enqueue noop --ndjson -
    expect 2 err '--wait is for a single job' enqueue --ndjson - --wait 1s
    expect 2 err '--payload is not JSON: ' enqueue noop --payload hello
    expect 2 err "a text needs its quotes: '\"hello\"'" enqueue noop --payload hello
    expect 1 err 'none cannot be opened: No such file' enqueue noop --payload @none
    expect 2 err 'standard input is not JSON' enqueue noop --payload -
    expect 2 err "--priority: '10' is not a number" enqueue noop --priority 10
    expect 2 err "'x' is no id of a job" enqueue noop --after x
    expect 2 err '--after: the value is empty' enqueue noop --after ''
    expect 1 err "weft enqueue: no answer from $away: " enqueue noop --server $away
    expect 2 err 'weft queues: set: nothing is to be set' queues set mail --server $away
    expect 2 err "weft queues: --rate: '-1' is not a number from 0 up" queues set mail --rate -1
    expect 2 err "weft queues: --rate: '0x10' is not a number" queues set mail --rate 0x10
    expect 2 err "weft queues: 'pause' takes no --burst" queues pause mail --burst 1
    expect 1 err "weft queues: no answer from $away: " queues pause mail --server $away
    expect 2 err 'weft cron: set: --schedule is missing' cron set a --task noop
    expect 2 err 'weft cron: set: --task is missing' cron set a --schedule @daily
    expect 0 out 'T00:00:00Z' cron next @daily
    expect 0 out 'T02:30:00+0' cron next '30 2 * 6 *' --zone Europe/Berlin --count 1
    expect_json cron next '@every 90s' --count 3 --json
    expect 2 err 'weft cron: next: minute: ' cron next '99 * * * *'
    expect 2 err 'no such day ever comes' cron next '0 0 30 2 *'
    expect 2 err 'there is no time zone Mars/Base' cron next @daily --zone Mars/Base
    expect 1 err "weft cron: no answer from $away: " cron --server $away
    expect 2 err 'weft worker: there are no tasks to work on' worker --server $away
    expect 2 err "--queues: 'a=0' is no queue with a weight" worker --queues b,a=0
    expect 2 err "--queues: '' is no queue with a weight" worker --builtin --queues ,
    expect 2 err "--queues: '' is no queue with a weight" worker --builtin --queues a,,b
    expect 2 err 'the queue a is named twice' worker --builtin --queues a,b --queues a
    expect 2 err '"*" is no name of a queue' worker --builtin --queues '*'
    expect 2 err "--order: 'best' is neither weighted nor strict" worker --order best
    expect 2 err "--lease: '2h' is not a duration" worker --lease 2h
    expect 1 err './none.so: No such file' worker --load none.so
    WEFT_LOAD='a.so, none.so' expect_env 1 err './a.so: No such file' worker
    expect 1 err './none.so: No such file' serve --load ./none.so
    if ldd "$weft" 2>/dev/null | grep -q inih; then
        printf '[worker]\nload = ./none.so, other.so\n' >weft.ini
        expect 1 err './none.so: No such file' worker
        rm -f weft.ini
    fi
else
    skip 'weft jobs' 'built without the HTTP client'
fi

# A server, a worker, and everything that can be asked of them
start_server() { # flags
    : >serve.out
    "$weft" serve --listen 127.0.0.1:0 --steps 0,0,0 "$@" >serve.out 2>serve.err &
    server=$!
    waited=0
    while [ "$(wc -l <serve.out)" -lt 2 ] && [ $waited -lt 300 ] && kill -0 $server 2>/dev/null; do
        sleep 0.1
        waited=$((waited + 1))
    done
    WEFT_SERVER=$(sed -n 's/^weft serves on //p' serve.out)
    [ -n "$WEFT_SERVER" ] || sed 's/^/# /' serve.err
}

says() { # says TEXT ARGUMENTS...: exactly that on standard output
    text=$1
    shift
    "$weft" "$@" >out 2>err </dev/null && [ "$(cat out)" = "$text" ]
    status=$?
    ok $status "weft $*: $text"
    [ $status -eq 0 ] || sed 's/^/# /' out err
}

if has jobs && has serve; then
    start_server --broker "sqlite:$work/cli.db"
    export WEFT_SERVER
    expect 0 out 'no jobs' jobs
    says null enqueue noop --wait 60s
    says 'no schedules' cron
    id=$("$weft" enqueue noop --delay 1h --queue later --priority 0 --unique key)
    [ ${#id} -eq 36 ]
    ok $? 'weft enqueue prints the id'
    expect 0 err 'a job that counts as the same is there already' enqueue noop --queue later --unique key
    [ "$(cat out)" = "$id" ]
    ok $? 'and that of the job that is there already'
    expect 0 out 'scheduled' jobs show "$id"
    expect_json jobs show "$id" --json
    expect 1 err "job $id is scheduled" jobs wait "$id" --wait 0.1s
    expect 0 out "$id  scheduled  noop  later" jobs list --queue later
    expect_json jobs list --json --limit 1
    says 'no jobs' jobs --state dead
    expect 1 err 'must be scheduled, available,' jobs --state nonsense
    says "$id is available" jobs retry "$id"
    says null jobs wait "$id" --wait 60s
    expect 1 err 'the job is completed' jobs cancel "$id"
    expect 1 err 'there is no such job' jobs show 00000000-0000-7000-8000-000000000000
    dead=$("$weft" enqueue fail --max-attempts 1 --payload '{"error": "bad luck"}')
    expect 1 err "job $dead is dead: bad luck" jobs wait "$dead"
    expect 0 out 'bad luck' jobs errors "$dead"
    child=$("$weft" enqueue noop --delay 1h)
    after=$("$weft" enqueue noop --after "$child")
    expect 0 out 'blocked' jobs show "$after"
    says "$child is cancelled" jobs cancel "$child"
    expect 1 err "job $after is cancelled: " jobs wait "$after"
    printf '{"task":"noop"}\n\n{"task":"noop","payload":1e2}\n' >lines
    "$weft" enqueue --ndjson lines >out 2>err && [ "$(wc -l <out)" -eq 2 ]
    ok $? 'weft enqueue --ndjson prints the ids'
    "$weft" enqueue --ndjson - <lines >out 2>err && [ "$(wc -l <out)" -eq 2 ]
    ok $? 'and reads standard input'
    awk 'BEGIN { for (i = 0; i < 10001; i++) print "{\"task\":\"noop\",\"queue\":\"many\",\"delay\":3600}" }' |
        "$weft" enqueue --ndjson - >out 2>err && [ "$(sort -u out | wc -l)" -eq 10001 ]
    ok $? 'and puts in more than fit into one request'
    printf '{"task":"noop"}\n\n{"tusk":1}\n' >lines
    expect 1 err 'line 3: unknown member "tusk"' enqueue --ndjson lines
    grep -q 'lines are counted' err
    ok $((! $?)) 'lines of the first request are those of the file'
    awk 'BEGIN { for (i = 0; i < 10000; i++) print "\n{\"task\":\"noop\",\"delay\":3600}"; print "{\"tusk\":1}" }' >lines
    expect 1 err 'line 1: unknown member "tusk"' enqueue --ndjson lines
    grep -q 'lines are counted behind line 20000; the 10000 jobs before are put in' err
    ok $? 'and it is said where others begin'
    printf '\0{"task":"noop"}\n' >lines
    expect 1 err 'line 1, ' enqueue --ndjson lines
    printf '{"seconds": 0.01}' >payload
    says null enqueue sleep --payload @payload --wait 60s
    "$weft" enqueue sleep --payload - --wait 60s <payload >out 2>err && [ "$(cat out)" = null ]
    ok $? 'weft enqueue --payload - reads standard input'
    expect_json enqueue noop --wait 60s --json
    # No number loses a digit on its way to people.
    digits='{"n":123456789012345678901234567890,"x":0.12345678901234567890}'
    id=$("$weft" enqueue digits --payload "$digits" --queue digits)
    expect 0 out "payload       $digits" jobs show "$id"
    grep -q '^priority      5$' out
    ok $? 'and others are as they were'
    expect 0 out "$id  available  digits  digits  0/3" jobs --queue digits
    if command -v curl >/dev/null; then
        token=$(curl -s "$WEFT_SERVER/v1/lease" -d '{"queues":["digits"]}' -H 'Content-Type: application/json' |
            sed 's/.*"token":"\([0-9]*\)".*/\1/')
        curl -s "$WEFT_SERVER/v1/extend" -H 'Content-Type: application/json' -o out \
            -d "{\"jobs\":[{\"id\":\"$id\",\"token\":\"$token\",\"progress\":$digits}]}"
        expect 0 out "\"attempt\":1,\"max_attempts\":3," jobs --queue digits --json
        expect 0 out "\"progress\":$digits" jobs --queue digits --json
        curl -s "$WEFT_SERVER/v1/settle" -H 'Content-Type: application/json' -o out \
            -d "{\"jobs\":[{\"id\":\"$id\",\"token\":\"$token\",\"outcome\":\"complete\",\"result\": [ $digits, \"a b\\\" c\" ]}]}"
        says "[$digits,\"a b\\\" c\"]" jobs wait "$id"
    else
        skip 'results keep their digits' 'there is no curl'
    fi

    expect 0 out 'many' queues
    expect_json queues --json
    expect 0 out 'size_max' queues show many
    expect 0 out 'running_max          7' queues set many --running-max 7 --rate 2.5 --burst 0
    expect 0 out 'rate                 2.5' queues show many
    expect 0 out 'rate                 0.0' queues set many --rate 0
    expect 0 out 'paused               true' queues pause many
    "$weft" queues | grep -q '^many .* paused$'
    ok $? 'weft queues shows which are paused'
    expect 0 out 'paused               false' queues resume many
    expect 1 err 'there is no queue of this name' queues show none

    expect 0 out 'Europe/Berlin' cron set nightly --schedule '0 2 * * *' --zone Europe/Berlin \
        --task noop --queue cron --payload '{"a": 1.10, "b": 12345678901234567890123}' --missed skip
    expect 0 out 'nightly' cron
    expect_json cron --json
    expect 0 out '{"a":1.10,"b":12345678901234567890123}' cron show nightly
    expect 0 out 'paused      true' cron pause nightly
    expect 0 out '{"a":1.10,"b":12345678901234567890123}' cron show nightly
    expect 0 out 'missed      skip' cron resume nightly
    id=$("$weft" cron run nightly)
    says null jobs wait "$id" --wait 60s
    says 'nightly is removed' cron remove nightly
    expect 1 err 'there is no schedule of this name' cron show nightly
    expect 1 err 'hour: ' cron set wrong --schedule '0 99 * * *' --task noop

    # The server knows no task of this kind, and leaves it to the worker.
    if has worker; then
        "$weft" worker --builtin --queues elsewhere=2,other --name cmd-worker 2>worker.err &
        worker=$!
        waited=0
        until grep -q '"event":"working"' worker.err || [ $waited -ge 300 ]; do
            sleep 0.1
            waited=$((waited + 1))
        done
        says null enqueue noop --queue elsewhere --wait 60s
        kill -TERM $worker
        wait $worker
        ok $? 'weft worker ends with 0 after SIGTERM'
        is_json worker.err || grep -q '"event":"stopped"' worker.err
        ok $? 'and says what it did'
    fi
    kill -TERM $server
    wait $server
    ok $? 'the server ends with 0'

    # Tokens
    printf 'readreadreadreadread read reader\nadminadminadminadmin admin\n' >tokens
    printf 'readreadreadreadread\n' >reader
    printf '# a comment\n\nadminadminadminadmin\n' >admin
    chmod 600 tokens reader admin
    start_server --broker "sqlite:$work/tokens.db" --token-file tokens
    grep -q "^try: .* -H 'Authorization: Bearer TOKEN' " serve.out
    ok $? 'the line to try has a place for a token'
    expect 1 err 'a bearer token is needed, and it must be the right one (--token-file)' jobs
    expect 0 out 'no jobs' jobs --token-file reader
    expect 1 err 'this token lacks the scope "enqueue"' enqueue noop --token-file reader
    says null enqueue noop --token-file admin --wait 60s
    expect 1 err 'this token lacks the scope "work"' worker --builtin --token-file reader
    kill -TERM $server
    wait $server
    ok $? 'the server ends with 0'
    unset WEFT_SERVER
else
    skip 'the commands and a server' 'not in this build'
fi

# Every flag in --help stands in the manual, in the part of its command, and none else does.
flags_of_help() {
    "$weft" help "$1" | sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p' | grep -v -e '^--help$' | sort
}
# A flag's own entry is the line behind .TP, or behind .TQ; others are only mentioned.
entries_of_manual() {
    sed -n "/^\.SS weft $1/,/^\.S[SH] [^w]/p" "$manual" | sed 's/\\//g' |
        awk -v name="weft $1" '/^\.SS /{inside = index($0 " ", ".SS " name " ") == 1}
             previous ~ /^\.T[PQ]$/ && inside && /^\.BI? --/{print $2} {previous = $0}' | sort
}
for command in serve worker enqueue jobs queues cron fetch crawl load mock child size version; do
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
