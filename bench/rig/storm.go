package rig

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Ask is one request of an open loop.
type Ask struct {
	Path string
	Hit  bool // the variant is in memory
	Tag  string
}

// Told is the result of an ask.
type Told struct {
	Ask
	Due, Took time.Duration // when it was due, since the loop began, and the time from then to the last response
	Status    int           // of the last response; 0 = none
	Refused   int           // responses with 503 or 429
	Unhinted  int           // of those, without Retry-After
}

// StormClient keeps a connection for each request in flight.
func StormClient() *http.Client {
	return &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4096, DisableCompression: true}}
}

// Pace is that of an open loop.
type Pace struct {
	Rate    float64 // requests per second
	For     time.Duration
	Repeats int // of a refused request, each after Retry-After
}

// Storm sends requests at a fixed pace, whether or not responses arrive. next makes the n-th ask. Storm returns when
// all are answered.
func Storm(ctx context.Context, client *http.Client, base string, p Pace, next func(n int) (Ask, error)) ([]Told, error) {
	var wg sync.WaitGroup
	total := int(p.Rate * p.For.Seconds())
	all := make([]Told, total)
	began := time.Now()
	for n := range all {
		a, err := next(n)
		if err != nil {
			return nil, err
		}
		due := time.Duration(float64(n) / p.Rate * float64(time.Second))
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Until(began.Add(due))):
		}
		wg.Go(func() {
			t := Told{Ask: a, Due: due}
			for turn := 0; ; turn++ {
				status, pause := Once(ctx, client, base+a.Path)
				t.Status, t.Took = status, time.Since(began)-due
				if status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
					break
				}
				if t.Refused++; pause == 0 {
					t.Unhinted++
				}
				if turn == p.Repeats {
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

// Once sends one request. pause is the response's Retry-After, 0 if it has none.
func Once(ctx context.Context, client *http.Client, url string) (status int, pause time.Duration) {
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

// Delays returns the Delays of the asks for which keep is true, in order.
func Delays(all []Told, keep func(Told) bool, of func(Told) time.Duration) []time.Duration {
	var got []time.Duration
	for _, t := range all {
		if keep(t) {
			got = append(got, of(t))
		}
	}
	slices.Sort(got)
	return got
}

// Count is the number of asks for which keep is true.
func Count(all []Told, keep func(Told) bool) float64 {
	n := 0.0
	for _, t := range all {
		if keep(t) {
			n++
		}
	}
	return n
}

// IsHit reports whether an ask was for a variant in memory.
func IsHit(t Told) bool { return t.Hit }

// IsMade reports whether a new variant was returned.
func IsMade(t Told) bool { return !t.Hit && t.Status == http.StatusOK }

// LastOf is the time until the last response.
func LastOf(t Told) time.Duration { return t.Took }
