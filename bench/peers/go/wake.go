// SPDX-License-Identifier: MIT

package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// keepBusy gives every processor something to run until the returned function is called.
func keepBusy() func() {
	var over atomic.Bool
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for !over.Load() {
				runtime.Gosched()
			}
		})
	}
	return func() {
		over.Store(true)
		group.Wait()
	}
}

// Locked to their threads: otherwise Go would run both on one, and no thread would be woken.
func wake(ops uint64, busy bool) time.Duration {
	there, back := make(chan struct{}), make(chan struct{})
	if busy {
		defer keepBusy()()
	}
	go func() {
		runtime.LockOSThread()
		for range there {
			back <- struct{}{}
		}
		close(back)
	}()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := time.Now()
	for i := uint64(0); i < ops/2; i++ {
		there <- struct{}{}
		<-back
	}
	took := time.Since(start)
	close(there)
	<-back
	return took
}
