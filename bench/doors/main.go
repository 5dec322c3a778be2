// Command doors measures how many units per second each door takes: HTTP, and the intakes from RabbitMQ, NATS and SQS.
// Each is compared with the rate at which its broker delivers to a handler that accepts at once.
//
//	go run ./doors -binary ../goldcrest
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goldcrest/goldcrest/intake"
)

const (
	slots = 32 // messages in work, and concurrent HTTP callers
	token = "bench-token-0123456789"
)

func main() {
	binary := flag.String("binary", "", "the program to measure")
	units := flag.Int("units", 2000, "units for each door")
	flag.Parse()
	if err := run(context.Background(), *binary, *units); err != nil {
		log.Fatal(err)
	}
}

// door is one broker with a queue for the server and one for the broker's own rate.
type door struct {
	name   string
	broker func(from string) intake.Broker
	open   func(c intake.Config) (intake.Intake, intake.Outlet, func(), error)
}

func run(ctx context.Context, binary string, units int) error {
	dir, err := os.MkdirTemp("", "goldcrest-doors-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	doors, stop, err := startBrokers(ctx, dir)
	defer stop()
	if err != nil {
		return err
	}
	s, err := startServer(binary, dir, doors)
	if err != nil {
		return err
	}
	defer s.stop()
	calls, err := s.measureHTTP(ctx, units)
	if err != nil {
		return err
	}
	fmt.Printf("| door | units/s | of HTTP | broker alone, messages/s | of the broker |\n|---|---|---|---|---|\n")
	fmt.Printf("| `POST /v1/prewarm`, one unit a call, %d callers | %.0f | 1 | | |\n", slots, calls)
	for _, d := range doors {
		raw, err := d.measureBroker(ctx, units)
		if err != nil {
			return fmt.Errorf("%s alone: %w", d.name, err)
		}
		rate, err := s.measure(ctx, d, units)
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		fmt.Printf("| %s | %.0f | %.2f | %.0f | %.2f |\n", d.name, rate, rate/calls, raw, rate/raw)
	}
	return nil
}

// unit is the body of a message or a call. No origin responds, so accepting takes most of the time.
func unit(door string, n int) []byte {
	return fmt.Appendf(nil, `{"id":"%s-%d","title":"Red shoe, hardly worn","price":25,`+
		`"images":[{"url":"http://127.0.0.1:9/%s/%d.jpg","caption":"from the left"}]}`, door, n, door, n)
}

// fill publishes messages to a queue.
func (d door) fill(ctx context.Context, queue string, units int) error {
	_, out, end, err := d.open(intake.Config{Name: "filler", Broker: d.broker("filler"),
		Verdicts: intake.Verdicts{To: d.broker(queue).From}})
	if err != nil {
		return err
	}
	defer end()
	return each(units, func(n int) error {
		return out.Publish(ctx, intake.Notice{ID: fmt.Sprint("m-", n), Type: intake.UnitDone, Body: unit(d.name, n)})
	})
}

// each calls do n times, with slots concurrent callers.
func each(n int, do func(i int) error) error {
	var next atomic.Int64
	var running sync.WaitGroup
	errs := make([]error, slots)
	for caller := range slots {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && errs[caller] == nil; i = int(next.Add(1)) - 1 {
				errs[caller] = do(i)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// measureBroker is the number of messages per second that the broker delivers and has acknowledged if each is accepted
// at once.
func (d door) measureBroker(ctx context.Context, units int) (float64, error) {
	if err := d.fill(ctx, "alone", units); err != nil {
		return 0, err
	}
	in, _, end, err := d.open(intake.Config{Name: "alone", Broker: d.broker("alone")})
	if err != nil {
		return 0, err
	}
	defer end()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	began := time.Now()
	var got atomic.Int64
	err = in.Receive(ctx, slots, func(context.Context, intake.Message) intake.Outcome {
		if got.Add(1) == int64(units) {
			cancel()
		}
		return intake.Outcome{}
	})
	if err == nil && got.Load() < int64(units) {
		err = fmt.Errorf("only %d messages came", got.Load())
	}
	return float64(units) / time.Since(began).Seconds(), err
}

// measureHTTP is the number of units per second accepted by calls of one unit.
func (s *server) measureHTTP(ctx context.Context, units int) (float64, error) {
	began := time.Now()
	err := each(units, func(n int) error {
		_, err := s.call(ctx, http.MethodPost, "/v1/prewarm?body=unit&return=none", unit("http", n))
		return err
	})
	return float64(units) / time.Since(began).Seconds(), err
}

// measure is the number of units per second that an intake accepts from a full queue.
func (s *server) measure(ctx context.Context, d door, units int) (float64, error) {
	path := "/v1/intakes/" + d.name
	if _, err := s.call(ctx, http.MethodPost, path+"/pause", nil); err != nil {
		return 0, err
	}
	if err := d.fill(ctx, "units", units); err != nil {
		return 0, err
	}
	began := time.Now()
	if _, err := s.call(ctx, http.MethodPost, path+"/resume", nil); err != nil {
		return 0, err
	}
	for ; time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
		var all struct{ Intakes []intake.Stats }
		text, err := s.call(ctx, http.MethodGet, "/v1/intakes", nil)
		if err == nil {
			err = json.Unmarshal(text, &all)
		}
		if err != nil {
			return 0, err
		}
		for _, i := range all.Intakes {
			if i.Name == d.name && i.Counts.Accepted >= int64(units) {
				return float64(units) / time.Since(began).Seconds(), nil
			}
		}
	}
	return 0, errors.New("the units were not accepted within a minute")
}

// call sends one request to the server, and repeats it while it is refused for now.
func (s *server) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	for {
		req, err := http.NewRequestWithContext(ctx, method, "http://"+s.admin+path, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		res, err := s.client.Do(req)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		switch {
		case err != nil:
			return nil, err
		case res.StatusCode == http.StatusServiceUnavailable || res.StatusCode == http.StatusTooManyRequests:
			time.Sleep(50 * time.Millisecond)
			continue
		case res.StatusCode >= 300:
			return nil, fmt.Errorf("%s %s: %s %s", method, path, res.Status, strings.TrimSpace(string(text)))
		}
		return text, nil
	}
}
