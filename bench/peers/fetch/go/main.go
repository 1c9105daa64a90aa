// SPDX-License-Identifier: MIT

// Go's net/http as a client: fetch URL REQUESTS CONNECTIONS, and print a line of JSON.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	url := os.Args[1]
	requests, _ := strconv.ParseInt(os.Args[2], 10, 64)
	connections, _ := strconv.Atoi(os.Args[3])
	transport := &http.Transport{
		MaxIdleConns:        connections,
		MaxIdleConnsPerHost: connections,
		MaxConnsPerHost:     connections,
		DisableCompression:  true,
	}
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	var taken, succeeded atomic.Int64
	var workers sync.WaitGroup
	begun := time.Now()
	for i := 0; i < connections; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for taken.Add(1) <= requests {
				response, err := client.Get(url)
				if err != nil {
					continue
				}
				_, err = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if err == nil && response.StatusCode == 200 {
					succeeded.Add(1)
				}
			}
		}()
	}
	workers.Wait()
	line, _ := json.Marshal(map[string]any{
		"successful": succeeded.Load(),
		"seconds":    time.Since(begun).Seconds(),
		"version":    runtime.Version(),
	})
	fmt.Println(string(line))
}
