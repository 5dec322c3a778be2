// Package verdict remembers originals that cost a worker time and gave no variant.
package verdict

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/reach"
)

// maxJudged bounds the maps of verdicts.
const maxJudged = 10_000

// Table remembers originals that cost a worker time and gave no variant: by source, so that they are not fetched
// again, and by their bytes, so that the same file under another URL costs nothing. Safe for
// concurrent use.
type Table struct {
	sources, bodies *origin.Negatives

	mu    sync.Mutex
	sizes map[int]bool      // lengths of judged originals; other lengths need no hash
	body  map[string]string // digest of the source -> digest of its original
}

// New returns an empty Table.
func New(now func() time.Time) *Table {
	return &Table{sources: origin.NewNegatives(now), bodies: origin.NewNegatives(now), sizes: map[int]bool{}, body: map[string]string{}}
}

// Costly reports failures that cost a worker time and would repeat soon.
func Costly(err error) bool {
	switch fault.KindOf(err) {
	case fault.TooCostly, fault.TransformTimeout, fault.DecodeFailed:
		return true
	}
	return false
}

// Known returns the remembered failure of a source, or nil. A failure that is known through a host outside within is
// not disclosed.
func (v *Table) Known(source string, within reach.Hosts) error {
	f, via := v.sources.Find(source)
	switch {
	case f == nil:
		return nil
	case !within.AllowsAll(via):
		return reach.Refused("verdict.Known")
	}
	return f
}

// Seen returns the remembered failure of an original's bytes, or nil.
func (v *Table) Seen(source string, via reach.Via, original []byte) error {
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

// Judge records a costly failure of an original from which nothing was made.
func (v *Table) Judge(source string, via reach.Via, original []byte, err error) {
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

func (v *Table) link(source, body string) {
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

// Forget drops the failures of a source and of its original: a variant was made from it, or it was purged.
func (v *Table) Forget(source string) {
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
