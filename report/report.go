// Package report sends unexpected failures to Sentry: panics, internal faults, crashed workers. It finds them among the
// log lines, so that whatever is reported is in the log too. Reports wait in a bounded queue; no caller waits for them.
package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/getsentry/sentry-go"
	"golang.org/x/time/rate"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/secretfile"
)

const (
	queued       = 30               // reports that wait to be sent
	sendTimeout  = 10 * time.Second // for one report
	flushTimeout = 5 * time.Second  // how long a stop waits for Sentry
	failureEvery = time.Minute      // minimum time between two log lines about failed reports
)

// Source is the instance that reports.
type Source struct {
	Version, Instance string
	Log               *slog.Logger                   // gets at most one line a minute while reports are lost
	Lost              func(signal string, items int) // counts lost reports, as those of the signal "reports"
}

// Reporter sends reports. A nil Reporter sends none. Safe for concurrent use.
type Reporter struct {
	client  *sentry.Client
	sample  float64
	random  func() float64 // from 0 to 1
	limiter *rate.Limiter
	lost    func(signal string, items int)
	dir     string   // of Config
	crash   *os.File // this run's, in dir; nil = none is kept
}

// Open makes a Reporter; nil if cfg names no DSN. Sentry need not be up.
func Open(cfg Config, src Source) (*Reporter, error) {
	if cfg.DSNFile == "" {
		return nil, nil
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	dsn, err := secretfile.Value("", cfg.DSNFile)
	if err != nil {
		return nil, fmt.Errorf("reports.dsn_file: %w", err)
	}
	if _, err := sentry.NewDsn(dsn); err != nil { // its text may quote the DSN
		return nil, fmt.Errorf("reports.dsn_file: %s does not contain a DSN (https://KEY@HOST/PROJECT)", cfg.DSNFile)
	}
	transport := sentry.NewHTTPTransport()
	transport.BufferSize, transport.Timeout = queued, sendTimeout
	client, err := sentry.NewClient(sentry.ClientOptions{
		Dsn: dsn, Transport: transport, DisableClientReports: true,
		HTTPTransport: &watched{next: http.DefaultTransport.(*http.Transport).Clone(), src: src, now: time.Now},
		Integrations:  environmentOnly,
		ServerName:    src.Instance, Release: "goldcrest@" + src.Version, Environment: cfg.Environment,
	})
	if err != nil {
		return nil, errors.New("reports: the client of Sentry cannot be made") // the error may quote the DSN
	}
	perMinute := rate.NewLimiter(rate.Every(time.Minute/time.Duration(cfg.PerMinute)), cfg.PerMinute)
	return &Reporter{client: client, sample: cfg.Sample, random: rand.Float64, limiter: perMinute, lost: src.Lost,
		dir: cfg.Dir}, nil
}

// environmentOnly keeps the integration that adds the versions of Go and of the system. The others list modules and
// read more of the environment than a report needs.
func environmentOnly(all []sentry.Integration) (kept []sentry.Integration) {
	for _, i := range all {
		if i.Name() == "Environment" {
			kept = append(kept, i)
		}
	}
	return kept
}

// Handler is a log handler that reports the lines of unexpected failures; nil if r is nil.
func (r *Reporter) Handler() slog.Handler {
	if r == nil {
		return nil
	}
	return handler{reporter: r}
}

// send queues a report, if it is in the sample and within the rate.
func (r *Reporter) send(e *sentry.Event) {
	if r.random() >= r.sample {
		return
	}
	if !r.limiter.Allow() {
		r.lost("reports", 1)
		return
	}
	r.client.CaptureEvent(e, nil, nil)
}

// Close sends what is queued, as far as Sentry accepts it within flushTimeout and before ctx ends.
func (r *Reporter) Close(ctx context.Context) {
	if r == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	r.client.FlushWithContext(ctx)
	r.client.Close()
	r.dropCrash()
}

// watched is an HTTP transport that counts and logs failures: the library does not return them.
type watched struct {
	next http.RoundTripper
	src  Source
	now  func() time.Time
	told atomic.Int64 // when a failure was last logged
}

// RoundTrip implements http.RoundTripper.
func (w *watched) RoundTrip(q *http.Request) (*http.Response, error) {
	a, err := w.next.RoundTrip(q)
	failed := err
	if err == nil && a.StatusCode >= 300 {
		failed = errors.New("the response is " + a.Status)
	}
	if failed == nil {
		return a, nil
	}
	w.src.Lost("reports", 1)
	now, told := w.now(), w.told.Load()
	if now.UnixNano()-told >= int64(failureEvery) && w.told.CompareAndSwap(told, now.UnixNano()) {
		w.src.Log.Warn("Sentry does not accept reports (reports.dsn_file); they are dropped", "error",
			fault.Redact(failed.Error()))
	}
	return a, err
}
