package server

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/api"
	"github.com/goldcrest/goldcrest/variant"
)

// fakePrewarm answers from its func fields; one that is nil and called all the same is a bug of the test. Every job is
// aJob where onJob is nil.
type fakePrewarm struct {
	onAccept  func(ctx context.Context, token, idem string, sum [32]byte, call unit.Call) (prewarm.Accepted, error)
	onRefresh func(ctx context.Context, a prewarm.Accepted, call unit.Call) (prewarm.Accepted, error)
	onCheck   func(ctx context.Context, asks []prewarm.CheckAsk) ([]prewarm.Checked, error)
	onRetry   func(ctx context.Context, id string) (ledger.Job, error)
	onCancel  func(ctx context.Context, id string) (ledger.Job, error)
	onJob     func(ctx context.Context, id string, wait time.Duration) (ledger.Job, error)
	onJobs    func(ctx context.Context, who ledger.Caller, limit int, cursor string) ([]ledger.Job, string, error)
	onResults func(ctx context.Context, id string, f ledger.ResultFilter, cursor string,
		limit int) ([]ledger.Verdict, string, error)
	onWatch   func(ctx context.Context, id string) (<-chan ledger.Job, error)
	onBroken  func(ctx context.Context, who ledger.Caller, since time.Time, limit int) ([]ledger.BrokenCount, error)
	onSources func(ctx context.Context, who ledger.Caller, unit, tag string) ([]variant.Ref, error)
	onWeigh   func(call unit.Call) (int, error) // nil = one variant of each image
	onStats   func(ctx context.Context) (prewarm.Stats, error)
	onUsage   func(ctx context.Context, who ledger.Caller, owner string, days int) ([]usage.Owner, error)
}

func (f *fakePrewarm) Accept(ctx context.Context, token, idem string, sum [32]byte,
	call unit.Call) (prewarm.Accepted, error) {
	return f.onAccept(ctx, token, idem, sum, call)
}

func (f *fakePrewarm) Refresh(ctx context.Context, a prewarm.Accepted, call unit.Call) (prewarm.Accepted, error) {
	return f.onRefresh(ctx, a, call)
}

func (f *fakePrewarm) Check(ctx context.Context, asks []prewarm.CheckAsk, tell func(prewarm.Checked) error) error {
	found, err := make([]prewarm.Checked, len(asks)), error(nil)
	if f.onCheck != nil {
		found, err = f.onCheck(ctx, asks)
	}
	for _, c := range found {
		if err := tell(c); err != nil {
			return err
		}
	}
	return err
}

func (f *fakePrewarm) Weigh(call unit.Call) (n int, err error) {
	if f.onWeigh != nil {
		return f.onWeigh(call)
	}
	for _, u := range call.Units {
		n += len(u.Images)
	}
	return n, nil
}

func (f *fakePrewarm) Retry(ctx context.Context, id string) (ledger.Job, error) {
	return f.onRetry(ctx, id)
}

func (f *fakePrewarm) Cancel(ctx context.Context, id string) (ledger.Job, error) {
	return f.onCancel(ctx, id)
}

func (f *fakePrewarm) Job(ctx context.Context, id string, wait time.Duration) (ledger.Job, error) {
	if f.onJob == nil {
		return aJob(), nil
	}
	return f.onJob(ctx, id, wait)
}

func (f *fakePrewarm) Jobs(ctx context.Context, who ledger.Caller, limit int,
	cursor string) ([]ledger.Job, string, error) {
	return f.onJobs(ctx, who, limit, cursor)
}

func (f *fakePrewarm) Results(ctx context.Context, id string, r ledger.ResultFilter, cursor string,
	limit int) ([]ledger.Verdict, string, error) {
	return f.onResults(ctx, id, r, cursor, limit)
}

func (f *fakePrewarm) Watch(ctx context.Context, id string) (<-chan ledger.Job, error) {
	return f.onWatch(ctx, id)
}

func (f *fakePrewarm) Broken(ctx context.Context, who ledger.Caller, since time.Time,
	limit int) ([]ledger.BrokenCount, error) {
	return f.onBroken(ctx, who, since, limit)
}

func (f *fakePrewarm) Sources(ctx context.Context, who ledger.Caller, unit, tag string) ([]variant.Ref, error) {
	return f.onSources(ctx, who, unit, tag)
}

func (f *fakePrewarm) Usage(ctx context.Context, who ledger.Caller, owner string,
	days int) ([]usage.Owner, error) {
	return f.onUsage(ctx, who, owner, days)
}

func (f *fakePrewarm) Stats(ctx context.Context) (prewarm.Stats, error) { return f.onStats(ctx) }

// apiFixture is a server with the whole access.API on fakes.
type apiFixture struct {
	*fixture
	prewarm *fakePrewarm

	mu     sync.Mutex
	purged []pipeline.Selector
}

const checkBearer = "Authorization: Bearer a-token-that-may-only-check"

func newAPI(t testing.TB, change func(*Config, *access.Rules)) *apiFixture {
	t.Helper()
	a := &apiFixture{prewarm: &fakePrewarm{}}
	a.fixture = newFixtureWith(t, change, func(d *Deps) {
		d.Prewarm, d.Predecessor = a.prewarm, post{}
		d.Purge = func(_ context.Context, what pipeline.Selector) (int, error) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.purged = append(a.purged, what)
			return 3, nil
		}
		d.Overview = &api.Overview{
			Version: "v1", Started: testNow.Add(-time.Hour),
			Levels: func() metrics.Levels { return metrics.Levels{Workers: 2} },
			Totals: func() metrics.Totals { return metrics.Totals{Hits: 7} },
			History: func(time.Time) ([]metrics.Sample, []metrics.Day) {
				return []metrics.Sample{{At: testNow, Seconds: 10, Memory: 3, P50: 1.5}},
					[]metrics.Day{{Day: "2026-11-23", Requests: 3}}
			},
			Intakes: &fakeIntakes{},
			Config:  func(w io.Writer) error { _, err := io.WriteString(w, "log: {level: info}\n"); return err },
		}
	})
	return a
}

// aJob is a job in the middle of its work.
func aJob() ledger.Job {
	return ledger.Job{
		ID: "j1", State: ledger.Running, Priority: "normal", CreatedAt: testNow, Tags: []string{"spring"},
		Token:  "backend",
		Counts: ledger.Counts{DataUnits: 1, Images: 1, Variants: 3, Made: 1, Pending: 2},
		Bytes:  ledger.Bytes{Source: 100, Stored: 40, Saved: 60},
	}
}

func doneJob() ledger.Job {
	j := aJob()
	j.State, j.FinishedAt, j.Counts.Made, j.Counts.Pending = ledger.Done, testNow, 3, 0
	return j
}

// fakeIntakes is one intake.
type fakeIntakes struct{ paused atomic.Bool }

func (f *fakeIntakes) Stats() []intake.Stats {
	return []intake.Stats{{
		Name: "shop", Kind: intake.RabbitMQ, From: "units", To: "verdicts", Token: "backend",
		Paused: f.paused.Load(), Connected: true,
		Waiting: 7, Rate: 1.5, Counts: intake.Delivered{Accepted: 3, Dead: 1}, LastError: "bad_unit: no",
		LastAt: testNow,
	}}
}

func (f *fakeIntakes) SetPaused(_ context.Context, name string, paused bool) error {
	if name != "shop" {
		return fault.New(fault.NotFound, "test", "no such intake", nil)
	}
	f.paused.Store(paused)
	return nil
}
