// SPDX-License-Identifier: MIT

// River's driver for bench/jobs.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"weft/bench/peers/jobs/driver"
)

const (
	connections   = 64
	workers       = 2000
	fetchCooldown = 2 * time.Millisecond
	fetchPoll     = 20 * time.Millisecond
)

var logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))

type noop struct {
	Number int64 `json:"number"`
}

func (noop) Kind() string { return "noop" }

type noopWorker struct {
	river.WorkerDefaults[noop]
	marks driver.Marks
}

func (worker *noopWorker) Work(_ context.Context, job *river.Job[noop]) error {
	worker.marks.Start(job.Args.Number)
	return nil
}

type peer struct {
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
}

func open(ctx context.Context, broker string, _ int) (driver.Peer, error) {
	config, err := pgxpool.ParseConfig(broker)
	if err != nil {
		return nil, err
	}
	config.MaxConns = connections
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		FetchCooldown: fetchCooldown, // so often it may wake a worker
		Logger:        logger,
	})
	if err != nil {
		return nil, err
	}
	peer := &peer{pool, client}
	return peer, peer.migrate(ctx)
}

func (*peer) Settings() string {
	return fmt.Sprintf("MaxWorkers %d, FetchCooldown %v, FetchPollInterval %v; InsertManyFast for batches; "+
		"a pool of %d connections", workers, fetchCooldown, fetchPoll, connections)
}

func (peer *peer) Put(ctx context.Context, numbers []int64) error {
	if len(numbers) == 1 {
		_, err := peer.client.Insert(ctx, noop{numbers[0]}, nil)
		return err
	}
	many := make([]river.InsertManyParams, len(numbers))
	for i, number := range numbers {
		many[i].Args = noop{number}
	}
	_, err := peer.client.InsertManyFast(ctx, many)
	return err
}

func (peer *peer) Pending(ctx context.Context) (count int64, err error) {
	err = peer.pool.QueryRow(ctx, "SELECT count(*) FROM river_job WHERE state <> 'completed'").Scan(&count)
	return count, err
}

func (peer *peer) Clear(ctx context.Context) error {
	_, err := peer.pool.Exec(ctx, "TRUNCATE river_job")
	return err
}

func (peer *peer) migrate(ctx context.Context) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(peer.pool), nil)
	if err == nil {
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	}
	return err
}

func (peer *peer) Work(ctx context.Context, marks driver.Marks, ready func()) error {
	registry := river.NewWorkers()
	river.AddWorker(registry, &noopWorker{marks: marks})
	client, err := river.NewClient(riverpgxv5.New(peer.pool), &river.Config{
		FetchCooldown:     fetchCooldown,
		FetchPollInterval: fetchPoll,
		Logger:            logger,
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
		Workers:           registry,
	})
	if err != nil {
		return err
	}
	if err = client.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return client.Stop(context.WithoutCancel(ctx))
}

func main() {
	driver.Main(open)
}
