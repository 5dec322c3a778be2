package compat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/prewarm/webhook"
	"github.com/goldcrest/goldcrest/variant"
)

const (
	width        = 500
	markerSuffix = ".broken"
	markerType   = "application/octet-stream"

	// ledgerPause is how long a ticket waits if the ledger does not respond.
	ledgerPause = 10 * time.Second
)

// handle works on one ticket. Every step is idempotent: a crash between two steps only causes a repetition.
func (c *Service) handle(ctx context.Context, ticket ledger.Ticket) (again time.Duration) {
	record, err := c.deps.Ledger.Read(ctx, ledger.PictureRecords+ticket.ID)
	if errors.Is(err, ledger.ErrNoRecord) {
		return 0
	}
	if err != nil {
		return ledgerPause
	}
	var t task
	if err := json.Unmarshal(record.Body, &t); err != nil {
		c.deps.Log.Error("a picture of the predecessor's call cannot be read back", "ticket", ticket.ID, "error", err)
		return c.forget(ctx, record)
	}
	state, made, err := c.try(ctx, t)
	if state == ledger.Pending && ctx.Err() != nil {
		return time.Second
	}
	if state == ledger.Pending {
		if pause, ok := c.pause(&t, err); ok {
			return c.later(ctx, record, t, pause)
		}
		state = ledger.Failed
	}
	if c.deps.Judged != nil {
		c.deps.Judged(string(state), string(fault.KindOf(err)), 1)
	}
	if state == ledger.Failed {
		c.deps.Log.Warn("a picture of the predecessor's call was given up", "bucket", t.Bucket, "key", t.Key, "source", fault.RedactURL(t.Source), "error", err)
	}
	if again = c.forget(ctx, record); again == 0 {
		made.Judge(state)
		c.deps.Accounts.Add(t.Owner, made)
	}
	return again
}

// later records a failed try.
func (c *Service) later(ctx context.Context, r ledger.Record, t task, pause time.Duration) (again time.Duration) {
	body, err := json.Marshal(t)
	if err == nil {
		r.Body = body
		err = c.deps.Ledger.Write(ctx, &r)
	}
	if err != nil { // the try is not counted, which does less harm than one try too few
		c.deps.Log.Warn("a try of the predecessor's call was not recorded", "key", t.Key, "error", err)
	}
	return pause
}

// forget deletes the record of a finished task.
func (c *Service) forget(ctx context.Context, r ledger.Record) (again time.Duration) {
	if err := c.deps.Ledger.Write(ctx, &ledger.Record{Key: r.Key, Revision: r.Revision}); err != nil {
		return ledgerPause
	}
	if words := strings.Split(r.Key, "."); len(words) == 3 {
		c.deps.Accounts.Ended(words[1], r.Key)
	}
	return 0
}

// pause counts a failed try and returns the wait before the next; false = it was the last. Failures of this server or
// of the bucket do not use up the tries of the source: they are retried for a day.
func (c *Service) pause(t *task, err error) (time.Duration, bool) {
	n, pauses := &t.Tries, c.deps.Retry
	if ours(err) {
		n, pauses = &t.Waits, webhook.Delays()
	}
	if *n >= len(pauses) {
		return 0, false
	}
	pause := max(pauses[*n], fault.Of(err).RetryAfter)
	*n++
	return pause + rand.N(pause/5+1), true
}

func ours(err error) bool {
	switch fault.KindOf(err) {
	case fault.Internal, fault.Overloaded, fault.ShuttingDown, fault.Canceled, fault.NotCached, fault.RateLimited, fault.DiskFull:
		return true
	}
	return false
}

// try writes the object, or the marker if there will be none. Pending means that another try may help. made contains
// the bytes of what was made.
func (c *Service) try(ctx context.Context, t task) (state ledger.State, made usage.Usage, err error) {
	if !c.cfg.Load().allows(t.Bucket, t.Key) { // it was allowed when the call was accepted
		return ledger.Failed, made, fault.New(fault.Internal, "compat.Compat", "the bucket is not configured any more", nil)
	}
	a, err := c.render(ctx, t)
	if err == nil {
		if err := c.put(ctx, t.Bucket, t.Key, a.Entry.Body, a.Entry.ContentType); err != nil {
			return ledger.Pending, made, err
		}
		from, size := facts(a).SourceBytes, int64(len(a.Entry.Body))
		made.Bytes = ledger.Bytes{Source: from, Stored: size, Saved: from - size}
		return ledger.Made, made, nil
	}
	if !c.permanent(t, fault.KindOf(err)) {
		return ledger.Pending, made, err
	}
	if len(t.Key)+len(markerSuffix) > maxKey { // the marker's key would be too long for S3
		return ledger.Failed, made, err
	}
	if err := c.put(ctx, t.Bucket, t.Key+markerSuffix, nil, markerType); err != nil {
		return ledger.Pending, made, err
	}
	return ledger.Broken, made, err
}

// permanent reports whether the source is broken. A DNS failure or a refusal by its host counts only after the last
// retry.
func (c *Service) permanent(t task, kind fault.Kind) bool {
	if kind == fault.DNSFailed || kind == fault.SourceForbidden {
		return t.Tries >= len(c.deps.Retry)
	}
	return !kind.Retryable()
}

func (c *Service) put(ctx context.Context, bucket, key string, body []byte, contentType string) error {
	if err := c.deps.Sink.Put(ctx, bucket, key, body, contentType); err != nil {
		return fault.New(fault.Internal, "compat.Compat", "the bucket did not take the object", err)
	}
	return nil
}

// render makes the picture as the predecessor did. If the result is larger than the original, it requests a smaller
// variant, which may be the original itself.
func (c *Service) render(ctx context.Context, t task) (pipeline.Answer, error) {
	if t.Bad != "" {
		return pipeline.Answer{}, fault.New(t.Bad, "compat.Compat", "the call's source is not valid", nil)
	}
	size := fmt.Sprintf("rs:fit:%d:0", width)
	a, err := c.get(ctx, t.Source, fmt.Sprintf("%s/f:jpg/q:%d/bg:fff", size, t.Quality))
	if err != nil || int64(len(a.Entry.Body)) < facts(a).SourceBytes {
		return a, err
	}
	if facts(a).SourceFormat != "jpeg" { // a JPEG has no alpha, and is passed through only without a background option
		size += "/bg:fff"
	}
	light, err := c.get(ctx, t.Source, size)
	if err == nil && len(light.Entry.Body) < len(a.Entry.Body) {
		return light, nil
	}
	return a, nil
}

func facts(a pipeline.Answer) variant.Facts { return variant.DecodeFacts(a.Entry.Attrs) }

// get makes one variant, with lower priority than viewers, and returns its bytes.
func (c *Service) get(ctx context.Context, source, options string) (pipeline.Answer, error) {
	spec, _, err := c.own.ParseOptions(options)
	if err != nil {
		return pipeline.Answer{}, err
	}
	ref, err := c.deps.Parser().Ref(source, spec.Resolve(variant.Accept{Best: variant.JPEG, Formats: variant.AcceptJPEG}))
	if err != nil {
		return pipeline.Answer{}, err
	}
	if err := c.deps.Warm(ctx, []variant.Ref{ref})[0].Err; err != nil {
		return pipeline.Answer{}, err
	}
	return c.deps.Get(ctx, ref)
}
