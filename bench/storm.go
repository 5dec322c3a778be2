package main

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// ask is one request of an open loop.
type ask struct {
	path string
	hit  bool // the variant is in memory
	tag  string
}

// told is the result of an ask.
type told struct {
	ask
	due, took time.Duration // when it was due, since the loop began, and the time from then to the last response
	status    int           // of the last response; 0 = none
	refused   int           // responses with 503 or 429
	unhinted  int           // of those, without Retry-After
}

// stormClient keeps a connection for each request in flight.
func stormClient() *http.Client {
	return &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4096, DisableCompression: true}}
}

// storm sends requests at a fixed rate for a time, whether or not responses arrive. It repeats refused requests the
// given number of times, each after Retry-After. next makes the n-th ask. storm returns when all are answered.
func storm(ctx context.Context, client *http.Client, base string, rate float64, d time.Duration, repeats int, next func(n int) (ask, error)) ([]told, error) {
	var wg sync.WaitGroup
	total := int(rate * d.Seconds())
	all := make([]told, total)
	began := time.Now()
	for n := range all {
		a, err := next(n)
		if err != nil {
			return nil, err
		}
		due := time.Duration(float64(n) / rate * float64(time.Second))
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Until(began.Add(due))):
		}
		wg.Go(func() {
			t := told{ask: a, due: due}
			for turn := 0; ; turn++ {
				status, pause := once(ctx, client, base+a.path)
				t.status, t.took = status, time.Since(began)-due
				if status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
					break
				}
				if t.refused++; pause == 0 {
					t.unhinted++
				}
				if turn == repeats {
					break
				}
				time.Sleep(pause)
			}
			all[n] = t
		})
	}
	wg.Wait()
	return all, nil
}

// once sends one request. pause is the response's Retry-After, 0 if it has none.
func once(ctx context.Context, client *http.Client, url string) (status int, pause time.Duration) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, 0
	}
	req.Header.Set("Accept", "*/*")
	res, err := client.Do(req)
	if err != nil {
		return 0, 0
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, 0
	}
	seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")) // Without the header there is no pause.
	return res.StatusCode, time.Duration(seconds) * time.Second
}

// delays returns the delays of the asks for which keep is true, in order.
func delays(all []told, keep func(told) bool, of func(told) time.Duration) []time.Duration {
	var got []time.Duration
	for _, t := range all {
		if keep(t) {
			got = append(got, of(t))
		}
	}
	slices.Sort(got)
	return got
}

// count is the number of asks for which keep is true.
func count(all []told, keep func(told) bool) float64 {
	n := 0.0
	for _, t := range all {
		if keep(t) {
			n++
		}
	}
	return n
}
