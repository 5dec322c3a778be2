package pipeline

import (
	"slices"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/pipeline/verdict"
)

// judged returns the remembered failure of the original's bytes, or nil.
func (r *run) judged() error {
	if r.from.Master != nil {
		return nil
	}
	return r.p.verdicts.Seen(r.b.source, r.from.From.Via, r.from.Body)
}

// marked reports whether a variant has a watermark from a URL: that may have failed or changed, not the original.
func (r *run) marked() bool {
	return slices.ContainsFunc(r.todo, func(f *fill) bool { return f.spec.Watermark.Source != "" })
}

// judge records why nothing could be made of an original, before the failure is published. A time limit that only
// background work exceeded does not count: it encodes better and takes longer than what viewers ask for.
func (r *run) judge(err error, made bool) {
	if made || r.marked() || r.sentenced || r.from.Master != nil || !verdict.Costly(err) {
		return
	}
	if fault.KindOf(err) != fault.DecodeFailed && r.b.urgency.Present() < gate.Viewing {
		return
	}
	r.sentenced = true
	r.p.verdicts.Judge(r.b.source, r.from.From.Via, r.from.Body, err)
}
