// SPDX-License-Identifier: MIT

// Package driver is what the Go drivers of bench/jobs share: the command line, who puts in which
// job when, and what is told at the end. It is driver.py in Go; bench/peers/README.md says what is
// measured.
package driver

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	warmUp     = -1 // the number of a job that opens a connection and is not counted
	startAhead = 20 * time.Millisecond
	waitMax    = 60 * time.Second
	poll       = 2 * time.Millisecond
	look       = 500 * time.Millisecond // how often a peer is asked that has not run all
	idle       = 3 * time.Second        // with nothing left to run and not all run: some are lost
)

// Peer is one job queue.
type Peer interface {
	// Put puts in the jobs with these numbers, in one call where there is one for many.
	Put(ctx context.Context, numbers []int64) error
	// Pending is how many jobs are waiting, running or not yet settled.
	Pending(ctx context.Context) (int64, error)
	// Clear forgets all jobs.
	Clear(ctx context.Context) error
	// Work runs jobs until the context ends, and calls ready when it has started.
	Work(ctx context.Context, marks Marks, ready func()) error
	// Settings is what it was told, for people.
	Settings() string
}

// Marks has when each job started, by its number: wall clock in nanoseconds, 0 for not yet; and, in
// its second half, how many times it did. It is a file that producers and workers share.
type Marks []int64

func openMarks(path string) (Marks, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	bytes, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()),
		syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*int64)(unsafe.Pointer(&bytes[0])), len(bytes)/8), nil
}

// Start notes that this job started now.
func (marks Marks) Start(number int64) {
	if number >= 0 {
		atomic.StoreInt64(&marks[number], time.Now().UnixNano())
		atomic.AddInt64(&marks[int64(len(marks)/2)+number], 1)
	}
}

func (marks Marks) clear(count int64) {
	half := int64(len(marks) / 2)
	clear(marks[:count])
	clear(marks[half : half+count])
}

// reckon is how many of the jobs never ran, and how many times one ran again.
func (marks Marks) reckon(count int64) (lost, duplicated int64) {
	half := int64(len(marks) / 2)
	for i := range count {
		switch times := atomic.LoadInt64(&marks[half+i]); times {
		case 0:
			lost++
		default:
			duplicated += times - 1
		}
	}
	return lost, duplicated
}

func (marks Marks) allStarted(count int64) bool {
	for i := count - 1; i >= 0; i-- {
		if atomic.LoadInt64(&marks[i]) == 0 {
			return false
		}
	}
	return true
}

// load says what is put in, by whom and when.
type load struct {
	producers int
	batch     int64
	count     int64         // 0: until length is over
	length    time.Duration // only without count
	perSecond float64       // jobs are due at this rate, whether or not somebody is free; 0: at once
}

// due is when a job should be put in, seen from the start.
func (load load) due(number int64) time.Duration {
	if load.perSecond == 0 {
		return 0
	}
	return time.Duration(float64(number) / load.perSecond * float64(time.Second))
}

// produce is one producer: it returns how many jobs it put in.
func (load load) produce(ctx context.Context, peer Peer, start time.Time, next *atomic.Int64) (int64, error) {
	numbers := make([]int64, 0, load.batch)
	var put int64
	for {
		first := (next.Add(1) - 1) * load.batch
		last := first + load.batch
		switch {
		case load.count > 0 && first >= load.count, load.count == 0 && time.Since(start) >= load.length:
			return put, nil
		case load.count > 0:
			last = min(last, load.count)
		}
		numbers = numbers[:0]
		for number := first; number < last; number++ {
			numbers = append(numbers, number)
		}
		time.Sleep(time.Until(start.Add(load.due(first))))
		if err := peer.Put(ctx, numbers); err != nil {
			return put, err
		}
		put += last - first
	}
}

// putAll opens the connections and puts everything in. It returns the jobs, and when it began.
func putAll(ctx context.Context, peer Peer, load load) (int64, time.Time, error) {
	var next, put atomic.Int64
	var warm, done sync.WaitGroup
	var start time.Time
	var failure atomic.Pointer[error]
	started := make(chan struct{})
	for range load.producers {
		warm.Add(1)
		done.Go(func() {
			err := peer.Put(ctx, []int64{warmUp})
			warm.Done()
			<-started
			if err == nil {
				var count int64
				count, err = load.produce(ctx, peer, start, &next)
				put.Add(count)
			}
			if err != nil {
				failure.Store(&err)
			}
		})
	}
	warm.Wait()
	start = time.Now().Add(startAhead)
	time.Sleep(startAhead)
	close(started)
	done.Wait()
	if err := failure.Load(); err != nil {
		return 0, start, *err
	}
	return put.Load(), start, nil
}

func waitUntil(what string, condition func() (bool, error)) error {
	for end := time.Now().Add(waitMax); time.Now().Before(end); time.Sleep(poll) {
		if done, err := condition(); done || err != nil {
			return err
		}
	}
	return fmt.Errorf("after %v %s", waitMax, what)
}

// waitUntilSettled waits until all jobs have run and are settled; or until there is nothing left to
// run for a while: then some are lost.
func waitUntilSettled(ctx context.Context, peer Peer, marks Marks, count int64) error {
	next, busy := time.Now(), time.Now()
	what := fmt.Sprintf("not all of the %d jobs had run and were settled", count)
	return waitUntil(what, func() (bool, error) {
		now := time.Now()
		if marks.allStarted(count) {
			pending, err := peer.Pending(ctx)
			return pending == 0, err
		}
		if now.After(next) { // seldom: it has something else to do
			next = now.Add(look)
			pending, err := peer.Pending(ctx)
			if err != nil {
				return false, err
			}
			if pending > 0 {
				busy = now
			}
		}
		return now.Sub(busy) > idle, nil
	})
}

// percentile is the smallest value that at least so many are not above.
func percentile(ordered []float64, percent float64) *float64 {
	value := ordered[max(0, int(math.Ceil(float64(len(ordered))*percent/100))-1)]
	value = math.Round(value*1000) / 1000
	return &value
}

// result is the one line that a measurement prints.
type result struct {
	Peer     string   `json:"peer"`
	Scenario string   `json:"scenario"`
	N        int64    `json:"n"`
	Seconds  float64  `json:"seconds"`
	Rate     float64  `json:"rate"`
	P50      *float64 `json:"p50_ms"`
	P99      *float64 `json:"p99_ms"`
	Lost     *int64   `json:"lost"`
	Again    *int64   `json:"duplicated"`
	Durable  bool     `json:"durable"`
	Settings string   `json:"settings"`
}

func enqueue(ctx context.Context, peer Peer, _ Marks, load load) (result, error) {
	count, start, err := putAll(ctx, peer, load)
	seconds := time.Since(start).Seconds()
	if err == nil {
		err = peer.Clear(ctx)
	}
	return result{N: count, Seconds: seconds, Rate: float64(count) / seconds}, err
}

func run(ctx context.Context, peer Peer, marks Marks, load load) (result, error) {
	marks.clear(load.count)
	count, start, err := putAll(ctx, peer, load)
	if err == nil {
		err = waitUntilSettled(ctx, peer, marks, load.count)
	}
	seconds := time.Since(start).Seconds()
	lost, again := marks.reckon(load.count)
	return result{N: count, Seconds: seconds, Rate: float64(count) / seconds,
		Lost: &lost, Again: &again}, err
}

func latency(ctx context.Context, peer Peer, marks Marks, load load) (result, error) {
	marks.clear(load.count)
	count, start, err := putAll(ctx, peer, load)
	if err == nil {
		err = waitUntilSettled(ctx, peer, marks, load.count)
	}
	if err != nil {
		return result{}, err
	}
	late := make([]float64, 0, count)
	for i := range count {
		if marks[i] != 0 {
			late = append(late, float64(marks[i]-start.Add(load.due(i)).UnixNano())/1e6)
		}
	}
	if len(late) == 0 {
		return result{}, errors.New("none of the jobs ran")
	}
	slices.Sort(late)
	lost, again := marks.reckon(load.count)
	return result{N: count, Seconds: float64(count) / load.perSecond, Rate: load.perSecond,
		P50: percentile(late, 50), P99: percentile(late, 99), Lost: &lost, Again: &again}, nil
}

// arguments reads the command line: a word and its flags.
func arguments() (string, load, error) {
	if len(os.Args) < 2 {
		return "", load{}, errors.New("usage: PEER enqueue|run|latency|work [flags]")
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	producers := flags.Int("producers", 64, "who put in jobs")
	batch := flags.Int64("batch", 1, "jobs put in by one call")
	jobs := flags.Int64("jobs", 0, "how many; run, latency")
	seconds := flags.Float64("seconds", 0, "for how long; enqueue")
	rate := flags.Float64("rate", 0, "jobs per second; latency")
	err := flags.Parse(os.Args[2:])
	return os.Args[1], load{producers: *producers, batch: *batch, count: *jobs,
		length: time.Duration(*seconds * float64(time.Second)), perSecond: *rate}, err
}

func do(ctx context.Context, open func(ctx context.Context, broker string, producers int) (Peer, error)) error {
	word, wanted, err := arguments()
	if err != nil {
		return err
	}
	marks, err := openMarks(os.Getenv("JOBS_MARKS"))
	if err != nil {
		return err
	}
	if word == "work" {
		wanted.producers = 0
	}
	peer, err := open(ctx, os.Getenv("JOBS_BROKER"), wanted.producers)
	if err != nil {
		return err
	}
	if word == "work" {
		return peer.Work(ctx, marks, func() { fmt.Println("ready") })
	}
	measure := map[string]func(context.Context, Peer, Marks, load) (result, error){
		"enqueue": enqueue, "run": run, "latency": latency}[word]
	if measure == nil {
		return fmt.Errorf("no word %q", word)
	}
	line, err := measure(ctx, peer, marks, wanted)
	if err != nil {
		return err
	}
	line.Peer, line.Scenario = os.Getenv("JOBS_PEER"), os.Getenv("JOBS_SCENARIO")
	line.Durable, line.Settings = os.Getenv("JOBS_DURABLE") == "1", peer.Settings()
	return json.NewEncoder(os.Stdout).Encode(line)
}

// Main runs the driver of one peer. producers is 0 for the one that works.
func Main(open func(ctx context.Context, broker string, producers int) (Peer, error)) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := do(ctx, open); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
