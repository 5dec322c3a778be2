package pipeline

import (
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/reach"
)

// maxJudged bounds the maps of verdicts.
const maxJudged = 10_000

// verdicts remembers originals that cost a worker time and gave no variant: by source, so that they are not fetched
// again, and by their bytes, so that the same file under another URL costs nothing.
type verdicts struct {
	sources, bodies *origin.Negatives

	mu    sync.Mutex
	sizes map[int]bool      // lengths of judged originals; other lengths need no hash
	body  map[string]string // digest of the source -> digest of its original
}

func newVerdicts(now func() time.Time) verdicts {
	return verdicts{sources: origin.NewNegatives(now), bodies: origin.NewNegatives(now), sizes: map[int]bool{}, body: map[string]string{}}
}

// costly reports failures that cost a worker time and would repeat soon.
func costly(err error) bool {
	switch fault.KindOf(err) {
	case fault.TooCostly, fault.TransformTimeout, fault.DecodeFailed:
		return true
	}
	return false
}

// known returns the remembered failure of a source, or nil. A failure that is known through a host outside within is
// not disclosed.
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

// seen returns the remembered failure of an original's bytes, or nil.
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
	v.sources.Note(source, via, f) // The next request does not fetch it.
	v.link(source, body)
	return f
}

// judge records a costly failure of an original from which nothing was made.
func (v *verdicts) judge(source string, via reach.Via, original []byte, err error) {
	f, body := fault.Of(err), digest(original)
	v.sources.Note(source, via, f)
	v.bodies.Note(body, "", f)
	v.link(source, body)
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.sizes) >= maxJudged {
		clear(v.sizes) // They are still known by their sources.
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

// forget drops the failures of a source and of its original: a variant was made from it, or it was purged.
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

// judged returns the remembered failure of the original's bytes, or nil.
func (r *run) judged() error {
	if r.from.Master != nil {
		return nil
	}
	return r.p.verdicts.seen(r.b.source, r.from.From.Via, r.from.Body)
}

// marked reports whether a variant has a watermark from a URL: that may have failed or changed, not the original.
func (r *run) marked() bool {
	return slices.ContainsFunc(r.todo, func(f *fill) bool { return f.spec.Watermark.Source != "" })
}

// judge records why nothing could be made of an original, before the failure is published. A time limit that only
// background work exceeded does not count: it encodes better and takes longer than what viewers ask for.
func (r *run) judge(err error, made bool) {
	if made || r.marked() || r.sentenced || r.from.Master != nil || !costly(err) {
		return
	}
	if fault.KindOf(err) != fault.DecodeFailed && r.b.urgency.Present() < gate.Viewing {
		return
	}
	r.sentenced = true
	r.p.verdicts.judge(r.b.source, r.from.From.Via, r.from.Body, err)
}
