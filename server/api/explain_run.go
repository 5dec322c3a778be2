package api

import (
	"context"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/variant"
)

// explainedRun is the result of making a variant for explain.
type explainedRun struct {
	Outcome   string     `json:"outcome"` // made; present: it was stored; refused: viewers would not get it; failed
	Code      fault.Kind `json:"code,omitempty"`
	Detail    string     `json:"detail,omitempty"`
	Retryable bool       `json:"retryable,omitempty"`
	// The times in milliseconds: the wait in queues, the fetch, and decoding, choosing and encoding.
	Queue     int64 `json:"queue_ms"`
	Fetch     int64 `json:"fetch_ms"`
	Transform int64 `json:"transform_ms"`
}

// cutRun removes run=1 from the end of a target. The rest may have a query, which belongs to the source.
func cutRun(target string) (rest string, run bool) {
	for _, end := range []string{"?run=1", "&run=1"} {
		if rest, run = strings.CutSuffix(target, end); run {
			return rest, true
		}
	}
	return target, false
}

// runExplained makes a variant as a prewarm worker would: after every viewer, into the store. It makes nothing that
// viewers would be refused; a path without any signature is the operator's own.
func (s *API) runExplained(ctx context.Context, ref variant.Ref, e explanation) *explainedRun {
	switch {
	case e.Refused != "":
		return &explainedRun{Outcome: "refused", Code: e.Refused, Detail: e.Detail}
	case e.Signature != "valid" && e.Signature != "none":
		return &explainedRun{Outcome: "refused", Code: fault.Kind(e.Signature), Detail: "the signature is not right"}
	case s.deps.Warm == nil:
		return &explainedRun{Outcome: "refused", Code: fault.UnsupportedOption, Detail: "this instance makes no variants"}
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Deadline)
	defer cancel()
	begun := s.Now()
	w := s.deps.Warm(ctx, []variant.Ref{ref})[0]
	if w.Err != nil {
		f := fault.Of(w.Err)
		return &explainedRun{Outcome: "failed", Code: f.Kind, Detail: fault.Redact(f.Public), Retryable: f.Kind.Retryable(), Queue: s.Now().Sub(begun).Milliseconds()}
	}
	return ranWell(w)
}

func ranWell(w pipeline.Warmed) *explainedRun {
	ms := func(d time.Duration) int64 { return d.Milliseconds() }
	out := &explainedRun{Outcome: "made", Queue: ms(w.Timings.Queue), Fetch: ms(w.Timings.Fetch), Transform: ms(w.Timings.Transform)}
	if w.Present {
		out.Outcome = "present"
	}
	return out
}
