// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"fmt"
	"iter"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

// A change of stacks without the scheduler: each next is one there and one back.
func switchRaw(ops uint64) time.Duration {
	next, stop := iter.Pull(func(yield func(uint64) bool) {
		for i := uint64(0); yield(i); i++ {
		}
	})
	start := time.Now()
	for i := uint64(0); i < ops/2; i++ {
		next()
	}
	took := time.Since(start)
	stop()
	return took
}

func yield(ops uint64) time.Duration {
	var group sync.WaitGroup
	start := time.Now()
	for range 2 {
		group.Go(func() {
			for i := uint64(0); i < ops/2; i++ {
				runtime.Gosched()
			}
		})
	}
	group.Wait()
	return time.Since(start)
}

func nothing() {}

func spawnJoin(ops uint64) time.Duration {
	start := time.Now()
	for i := uint64(0); i < ops; i += 10 {
		var group sync.WaitGroup
		for range 10 {
			group.Go(nothing)
		}
		group.Wait()
	}
	return time.Since(start)
}

func handOver(ops uint64, capacity int) time.Duration {
	channel := make(chan uint64, capacity)
	start := time.Now()
	go func() {
		for i := uint64(0); i < ops; i++ {
			channel <- i
		}
	}()
	var item uint64
	for i := uint64(0); i < ops; i++ {
		item = <-channel
	}
	took := time.Since(start)
	if item != ops-1 {
		fail("an item was lost")
	}
	return took
}

// AfterFunc, because a timer with a channel is not set before somebody waits for it. One timer is
// used again and again, as the net package does for deadlines; a new one each time costs more.
func timerSetCancel(ops uint64) time.Duration {
	timer := time.AfterFunc(time.Hour, nothing)
	timer.Stop()
	start := time.Now()
	for i := uint64(0); i < ops; i++ {
		timer.Reset(time.Hour + time.Duration(i))
		timer.Stop()
	}
	return time.Since(start)
}

func mutexUncontended(ops uint64) time.Duration {
	mutex := new(sync.Mutex)
	start := time.Now()
	for i := uint64(0); i < ops; i++ {
		mutex.Lock()
		mutex.Unlock()
	}
	return time.Since(start)
}

func sleepers() []result {
	var group sync.WaitGroup
	start := time.Now()
	for range 1_000_000 {
		group.Go(func() { time.Sleep(3500 * time.Millisecond) })
	}
	group.Wait()
	took := time.Since(start)
	return []result{
		{"sleepers", "s", took.Seconds()},
		{"sleepers_rss", "MB", peakMegabytes()},
	}
}

// peakMegabytes is VmHWM: getrusage would count what the parent used before exec.
func peakMegabytes() float64 {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		fail(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var kilobytes float64
		if text, found := strings.CutPrefix(lines.Text(), "VmHWM:"); found {
			fmt.Sscan(text, &kilobytes)
			return kilobytes * 1024 / 1e6
		}
	}
	fail("/proc/self/status has no VmHWM")
	return 0
}
