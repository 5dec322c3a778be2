package pipeline

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/reach"
)

// maxJudged bounds what verdicts know beside their table.
const maxJudged = 10_000

// verdicts remember originals of which nothing could be made and on which a worker spent its time: by source, so that
// they are not fetched again, and by their bytes, so that the same file under another URL is not paid for once more.
type verdicts struct {
	sources, bodies *origin.Negatives

	mu    sync.Mutex
	sizes map[int]bool      // lengths of judged originals: the others need not be hashed
	body  map[string]string // by the digest of a source: that of its original
}

func newVerdicts(now func() time.Time) verdicts {
	return verdicts{sources: origin.NewNegatives(now), bodies: origin.NewNegatives(now), sizes: map[int]bool{}, body: map[string]string{}}
}

// costly tells the failures that a worker was paid for, and that trying again soon would bring again.
func costly(err error) bool {
	switch fault.KindOf(err) {
	case fault.TooCostly, fault.TransformTimeout, fault.DecodeFailed:
		return true
	}
	return false
}

// known gives the failure that is remembered of a source, or nil. What is known through a host beyond the caller's is
// not told.
func (v *verdicts) known(source string, within reach.Hosts) error {
	f, via := v.sources.Find(source)
	switch {
	case f == nil:
		return nil
	case !within.AllowsAll(via):
		return reach.Refused("pipeline.known")
	}
	return f
}

// seen gives the failure that is remembered of the bytes of a source's original, or nil.
func (v *verdicts) seen(source string, via reach.Via, original []byte) error {
	v.mu.Lock()
	suspect := v.sizes[len(original)]
	v.mu.Unlock()
	if !suspect {
		return nil
	}
	body := digest(original)
	f, _ := v.bodies.Find(body)
	if f == nil {
		return nil
	}
	v.sources.Note(source, via, f) // So the next does not fetch it.
	v.link(source, body)
	return f
}

// judge notes a costly failure of which nothing was made.
func (v *verdicts) judge(source string, via reach.Via, original []byte, err error) {
	f, body := fault.Of(err), digest(original)
	v.sources.Note(source, via, f)
	v.bodies.Note(body, "", f)
	v.link(source, body)
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.sizes) >= maxJudged {
		clear(v.sizes) // They are known by their sources all the same.
	}
	v.sizes[len(original)] = true
}

func (v *verdicts) link(source, body string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.body) >= maxJudged {
		for any := range v.body {
			delete(v.body, any)
			break
		}
	}
	v.body[digest([]byte(source))] = body
}

// forget drops what is remembered of a source and of its original: something was made of it, or somebody mended it.
func (v *verdicts) forget(source string) {
	v.sources.Forget(source)
	name := digest([]byte(source))
	v.mu.Lock()
	body, ok := v.body[name]
	delete(v.body, name)
	v.mu.Unlock()
	if ok {
		v.bodies.Forget(body)
	}
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return string(sum[:])
}

// judged gives the failure that is remembered of the original's bytes; nil = none is.
func (r *run) judged() error {
	if r.from.Master != nil {
		return nil
	}
	return r.p.verdicts.seen(r.b.source, r.from.From.Via, r.from.Body)
}

// judge remembers why nothing could be made of an original, before anybody learns of it. What only background work
// found too costly says nothing of what viewers ask for: it encodes better, and takes longer.
func (r *run) judge(err error, made bool) {
	if made || r.sentenced || r.from.Master != nil || !costly(err) {
		return
	}
	if fault.KindOf(err) != fault.DecodeFailed && r.b.urgency.Present() < gate.Viewing {
		return
	}
	r.sentenced = true
	r.p.verdicts.judge(r.b.source, r.from.From.Via, r.from.Body, err)
}
