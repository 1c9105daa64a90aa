// SPDX-License-Identifier: MIT

// go-peer does in Go what weft-bench does with weft: ../README.md says what one operation is.
// main.go is the runner, tasks.go, wake.go and flow.go have the rows, echo.go the server.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"time"
)

const (
	runTime   = 200 * time.Millisecond
	opsMax    = uint64(1) << 40
	opsAtOnce = 1000
)

// A row does ops operations and says how long they took.
type row struct {
	name  string
	procs int // GOMAXPROCS
	run   func(ops uint64) time.Duration
}

var rows = []row{
	{"switch_raw", 1, switchRaw},
	{"yield", 1, yield},
	{"spawn_join", 1, spawnJoin},
	{"channel_buffered", 1, func(ops uint64) time.Duration { return handOver(ops, 128) }},
	{"channel_rendezvous", 1, func(ops uint64) time.Duration { return handOver(ops, 0) }},
	{"timer_set_cancel", 1, timerSetCancel},
	{"mutex_uncontended", 1, mutexUncontended},
	{"wake_busy", 2, func(ops uint64) time.Duration { return wake(ops, true) }},
	{"wake_idle", 2, func(ops uint64) time.Duration { return wake(ops, false) }},
	{"retry_without_failure", 1, retryWithoutFailure},
	{"limiter_token_bucket_shared", 1, limiterTokenBucket},
	{"breaker_shared", 1, breaker},
	{"bulkhead_shared", 1, bulkhead},
	{"policy_without_timeouts", 1, policyWithoutTimeouts},
	{"policy_without_timeouts_shared", 1, policyWithoutTimeouts},
	{"policy_full_stack", 1, policyFullStack},
	{"policy_full_stack_shared", 1, policyFullStack},
}

type result struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
}

func report(results ...result) {
	for _, r := range results {
		line, err := json.Marshal(r)
		if err != nil {
			fail(err)
		}
		fmt.Println(string(line))
	}
}

func fail(what any) {
	fmt.Fprintln(os.Stderr, "go-peer:", what)
	os.Exit(1)
}

// measure grows until a run is long enough to be timed, then runs once at the wanted length.
func measure(r row) {
	runtime.GOMAXPROCS(r.procs)
	ops := uint64(opsAtOnce)
	took := r.run(ops)
	for took < runTime/10 && ops < opsMax {
		ops *= 4
		took = r.run(ops)
	}
	ops = max(1, uint64(float64(ops)*float64(runTime)/float64(took)))
	report(result{r.name, "ns", float64(r.run(ops).Nanoseconds()) / float64(ops)})
}

func runRow(name string) bool {
	if name == "sleepers" {
		runtime.GOMAXPROCS(1)
		report(sleepers()...)
		return true
	}
	for _, r := range rows {
		if r.name == name {
			measure(r)
			return true
		}
	}
	return false
}

func main() {
	names := os.Args[1:]
	if len(names) == 0 {
		for _, r := range rows {
			names = append(names, r.name)
		}
		names = append(names, "sleepers")
	}
	switch names[0] {
	case "--list":
		for _, r := range rows {
			fmt.Println(r.name)
		}
		fmt.Println("sleepers\necho")
		return
	case "echo":
		runtime.GOMAXPROCS(1)
		serveEcho()
	}
	for _, name := range names {
		if !runRow(name) {
			fail("no row " + name + "; see --list")
		}
	}
}
