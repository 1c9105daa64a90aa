// SPDX-License-Identifier: MIT

// Asynq's driver for bench/jobs.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"weft/bench/peers/jobs/driver"
)

const (
	servers     = 8
	concurrency = 10
	checkEvery  = time.Millisecond
	queue       = "default"
)

type payload struct {
	Number int64 `json:"number"`
}

type peer struct {
	redis     asynq.RedisClientOpt
	client    *asynq.Client
	inspector *asynq.Inspector
}

func open(_ context.Context, broker string, producers int) (driver.Peer, error) {
	parsed, err := asynq.ParseRedisURI(broker)
	if err != nil {
		return nil, err
	}
	redis := parsed.(asynq.RedisClientOpt)
	redis.PoolSize = producers
	return &peer{redis, asynq.NewClient(redis), asynq.NewInspector(redis)}, nil
}

func (*peer) Settings() string {
	return fmt.Sprintf("%d servers with Concurrency %d, TaskCheckInterval %v; a connection per producer",
		servers, concurrency, checkEvery)
}

// Put has no call for many at once.
func (peer *peer) Put(ctx context.Context, numbers []int64) error {
	for _, number := range numbers {
		text, err := json.Marshal(payload{number})
		if err != nil {
			return err
		}
		if _, err = peer.client.EnqueueContext(ctx, asynq.NewTask("noop", text)); err != nil {
			return err
		}
	}
	return nil
}

func (peer *peer) Pending(context.Context) (int64, error) {
	info, err := peer.inspector.GetQueueInfo(queue)
	if err != nil {
		return 0, err
	}
	return int64(info.Pending + info.Active + info.Retry), nil
}

func (peer *peer) Clear(context.Context) error {
	_, err := peer.inspector.DeleteAllPendingTasks(queue)
	return err
}

func (peer *peer) Work(ctx context.Context, marks driver.Marks, ready func()) error {
	handler := asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
		var job payload
		if err := json.Unmarshal(task.Payload(), &job); err != nil {
			return err
		}
		marks.Start(job.Number)
		return nil
	})
	for range servers { // one takes its tasks one after another
		server := asynq.NewServer(peer.redis, asynq.Config{
			Concurrency: concurrency, TaskCheckInterval: checkEvery, LogLevel: asynq.ErrorLevel})
		if err := server.Start(handler); err != nil {
			return err
		}
		defer server.Shutdown()
	}
	ready()
	<-ctx.Done()
	return nil
}

func main() {
	driver.Main(open)
}
