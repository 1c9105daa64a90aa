// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
)

type operation = backoff.Operation[uint64]

func must(err error) {
	if err != nil {
		fail(err)
	}
}

func succeeding(calls *uint64) operation {
	return func() (uint64, error) {
		*calls++
		return *calls & 1, nil
	}
}

// One BackOff, which one caller may use again and again; each of several at once needs its own.
func retryOptions() []backoff.RetryOption {
	return []backoff.RetryOption{
		backoff.WithBackOff(&backoff.ExponentialBackOff{
			InitialInterval:     100 * time.Millisecond,
			RandomizationFactor: 1,
			Multiplier:          2,
			MaxInterval:         10 * time.Second,
		}),
		backoff.WithMaxTries(3),
		backoff.WithMaxElapsedTime(0),
	}
}

func retryWithoutFailure(ops uint64) time.Duration {
	var calls uint64
	succeed, options := succeeding(&calls), retryOptions()
	ctx := context.Background()
	start := time.Now()
	for i := uint64(0); i < ops; i++ {
		_, err := backoff.Retry(ctx, succeed, options...)
		must(err)
	}
	took := time.Since(start)
	if calls != ops {
		fail("a call was repeated")
	}
	return took
}

func limiterTokenBucket(ops uint64) time.Duration {
	limiter := rate.NewLimiter(1e9, 1e9)
	ctx := context.Background()
	start := time.Now()
	for i := uint64(0); i < ops; i++ {
		must(limiter.Wait(ctx))
	}
	return time.Since(start)
}

func bulkhead(ops uint64) time.Duration {
	places := semaphore.NewWeighted(4)
	ctx := context.Background()
	start := time.Now()
	for i := uint64(0); i < ops; i++ {
		must(places.Acquire(ctx, 1))
		places.Release(1)
	}
	return time.Since(start)
}

func newBreaker() *gobreaker.CircuitBreaker[uint64] {
	return gobreaker.NewCircuitBreaker[uint64](gobreaker.Settings{
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			return counts.Requests >= 20 && counts.TotalFailures*2 >= counts.Requests
		},
	})
}

func breaker(ops uint64) time.Duration {
	succeed := func() (uint64, error) { return 0, nil }
	breaker := newBreaker()
	start := time.Now()
	for i := uint64(0); i < ops; i++ {
		_, err := breaker.Execute(succeed)
		must(err)
	}
	return time.Since(start)
}

// timeout gives what is inside a context that ends, and ctx back afterwards.
func timeout(ctx *context.Context, limit time.Duration, inside operation) operation {
	return func() (uint64, error) {
		outer := *ctx
		inner, cancel := context.WithTimeout(outer, limit)
		*ctx = inner
		defer func() {
			cancel()
			*ctx = outer
		}()
		return inside()
	}
}

// All layers are made once and share ctx, which does for one caller. For several at once it would
// have to be an argument, in closures made for each call.
func policy(ops uint64, timeouts bool) time.Duration {
	var calls uint64
	ctx := context.Background()
	attempt, options := succeeding(&calls), retryOptions()
	limiter, breaker, places := rate.NewLimiter(1e9, 1e9), newBreaker(), semaphore.NewWeighted(100)
	if timeouts {
		attempt = timeout(&ctx, 2*time.Second, attempt)
	}
	enter := func() (uint64, error) {
		if err := places.Acquire(ctx, 1); err != nil {
			return 0, err
		}
		defer places.Release(1)
		return attempt()
	}
	limited := func() (uint64, error) {
		if err := limiter.Wait(ctx); err != nil {
			return 0, err
		}
		return breaker.Execute(enter)
	}
	call := func() (uint64, error) { return backoff.Retry(ctx, limited, options...) }
	if timeouts {
		call = timeout(&ctx, 10*time.Second, call)
	}
	start := time.Now()
	for i := uint64(0); i < ops; i++ {
		_, err := call()
		must(err)
	}
	took := time.Since(start)
	if calls != ops {
		fail("a call was repeated")
	}
	return took
}

func policyWithoutTimeouts(ops uint64) time.Duration { return policy(ops, false) }

func policyFullStack(ops uint64) time.Duration { return policy(ops, true) }
