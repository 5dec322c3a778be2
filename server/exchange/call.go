package exchange

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/trace"
)

// Door names the listener of a request.
type Door string

// The doors.
const (
	Public  Door = "public"
	Private Door = "private"
)

// Phase is one phase of a request.
type Phase int

// The phases, in order.
const (
	Verify Phase = iota
	Parse
	Negotiate
	Lookup
	Queue
	Fetch
	Transform
	Deliver
	phases
)

// phaseNames are the names of the phases in logs and Server-Timing.
var phaseNames = [phases]string{"verify", "parse", "negotiate", "lookup", "queue", "fetch", "transform", "deliver"}

// Target is what is known of a requested image URL.
type Target struct {
	Vary    string    // what the response depends on besides the URL
	Expires time.Time // of the URL; zero = never, or not yet known
	Options string    // the options, without those that may be secret
	Host    string    // of the source
	Source  string    // short hash of the source, as in Cache-Tag
	Tags    []string  // ct: tags
	Name    string    // file name in the source's URL, for attachments without one
}

// Result is the pipeline's result.
type Result struct {
	Looked   bool // the pipeline was called
	Outcome  pipeline.Outcome
	Tier     string
	Over     time.Duration // stale: how long past its lifetime
	Format   string
	Original int64 // bytes of the original, if known
}

// Call is the state of one request: the content of its log line and of the headers that errors share.
//
// It is also the writer that the router's response writes to, which is how handlers find it.
type Call struct {
	http.ResponseWriter
	Door   Door
	ID     string
	Who    access.Caller // of the request's token; zero = none was needed
	Target               // zero: no image URL was read
	Result               // zero: there is no image
	Status int           // of the response, if the fault's kind does not determine it; 0 = it does
	Unkept bool          // the failure depends on a header that no cache keys on, so caches must not keep it
	Kind   fault.Kind
	Cause  error

	clock
}

// clock measures the phases of a call.
type clock struct {
	began  time.Time
	marked time.Time // end of the last phase
	ended  time.Time // when the response was sent
	span   *trace.Span
	took   [phases]time.Duration
	probe  time.Duration // the part of transform that chose the quality
}

// Unwrap is for http.ResponseController.
func (k *Call) Unwrap() http.ResponseWriter { return k.ResponseWriter }

// CallOf returns the call of a request that passed through Observe.
func CallOf(c echo.Context) *Call { return c.Response().Writer.(*Call) }

// Mark ends a phase.
func (k *Call) Mark(p Phase, now time.Time) {
	k.took[p] += now.Sub(k.marked)
	k.span.Step(phaseNames[p], k.marked, now)
	k.marked = now
}

// Skip begins the next phase without an end of the last one.
func (k *Call) Skip(now time.Time) { k.marked = now }

// Worked ends the pipeline's phases, with its own times; only the look-up, if it has none.
func (k *Call) Worked(t pipeline.Timings, now time.Time) {
	if t == (pipeline.Timings{}) {
		k.Mark(Lookup, now)
		return
	}
	k.took[Lookup], k.took[Queue], k.took[Fetch], k.took[Transform] = t.Lookup, t.Queue, t.Fetch, t.Transform
	k.probe, k.marked = t.Probe, now
}

// Fail records a failure without a problem document.
func (k *Call) Fail(f fault.Kind, cause error) { k.Kind, k.Cause = f, cause }
