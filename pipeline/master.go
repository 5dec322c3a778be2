package pipeline

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/pressure"
	"github.com/goldcrest/goldcrest/variant"
)

// TierMaster is the tier that an answer names which was made from its original's master: nothing was fetched.
const TierMaster = "master"

// masterReads is how many masters are held at a time, by the fills that read them or wait for a worker with them;
// mastersBehind how many originals are, that a master is yet to be made of.
const (
	masterReads   = 32
	mastersBehind = 8
)

// masterShrink is how small a variant must be against the master that it is made from, so that it is as good as one
// made from the original: what is scaled down twice by less loses sharpness that can be measured (bench/quality
// master).
const masterShrink = 0.75

// masters are the stored masters: one entry beside the variants of an original, which new variants are made from
// instead of the original. They are read for the fills that need one, and made behind those that had to fetch.
type masters struct {
	side  int // of new ones; 0 = none are read or made
	reads originals

	mu     sync.Mutex
	making map[string]bool // by key
}

func (m *masters) open(cfg Config, parts Parts) {
	m.side, m.making = cfg.Masters, map[string]bool{}
	m.reads = originals{
		fetch: readMaster(parts.Tiers), gate: gate.New(gate.Config{
			Name: TierMaster, Slots: masterReads, Room: cfg.FetchRoom, Refused: parts.Observer.Refused,
		}),
		timeout: cfg.FetchTimeout, byKey: map[string]*download{}, purges: parts.Purges,
	}
}

// claim is true for one who may make the master of key, until done: once for each download, and never for more than
// mastersBehind at a time.
func (m *masters) claim(d *download, key string) (ok, full bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.making[key] || d.claimed:
		return false, false
	case len(m.making) >= mastersBehind:
		return false, true
	}
	m.making[key], d.claimed = true, true
	return true, false
}

func (m *masters) done(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.making, key)
}

// masterKey is the key of the master beside a variant.
func masterKey(key string) string { return sourcePart(key) + variant.MasterName }

// readMaster reads masters as others are fetched: each once for all who want it at a time. The slot is kept until the
// last of them is done.
func readMaster(tiers Tiers) fetch {
	return func(ctx context.Context, d *download, key string, lim origin.Limits) error {
		release, err := lim.Admit(ctx)
		if err != nil {
			return err
		}
		kept := false
		defer func() {
			if !kept {
				release()
			}
		}()
		e, err := tiers.Read(ctx, key)
		if err == nil && e.Recipe < variant.MasterRecipe {
			err = cache.ErrMiss // The next fill that fetches makes a better one.
		}
		if err != nil {
			return err
		}
		d.master = newStandIn(e)
		d.original = origin.Original{Body: e.Body, Release: release}
		d.original.Info.Format, d.original.Info.Frames = strings.TrimPrefix(e.ContentType, "image/"), 1
		d.original.Info.Width, d.original.Info.Height = d.master.facts.Width, d.master.facts.Height
		kept = true
		return nil
	}
}

// standIn is a master that was read.
type standIn struct {
	entry cache.Entry
	facts variant.Facts
	of    variant.Master
}

func newStandIn(e cache.Entry) *standIn {
	f := variant.DecodeFacts(e.Attrs)
	return &standIn{entry: e, facts: f, of: variant.Master{
		Width: f.SourceWidth, Height: f.SourceHeight, Format: f.SourceFormat, Bytes: f.SourceBytes, Exact: f.Exact,
	}}
}

// serves reports whether a variant of the master is as good as one of the original.
func (s *standIn) serves(spec variant.Spec) bool {
	if spec.HashSum != "" || s.of.Width < 1 || s.of.Height < 1 {
		return false
	}
	if s.of.Exact {
		return true
	}
	if lossy := s.facts.Quality != 0; spec.Format == variant.PNG && spec.Quality == 0 && lossy {
		return false
	}
	long := float64(max(s.facts.Width, s.facts.Height)) / float64(max(s.of.Width, s.of.Height))
	return spec.Scale(s.of.Width, s.of.Height) <= masterShrink*long
}

// servesAll is serves for every fill; servesAny for some.
func (s *standIn) servesAll(todo []*fill) bool {
	for _, f := range todo {
		if !s.serves(f.spec) {
			return false
		}
	}
	return true
}

func (s *standIn) servesAny(todo []*fill) bool {
	for _, f := range todo {
		if s.serves(f.spec) {
			return true
		}
	}
	return false
}

// get gets what the fills are made from: the master where it serves them all and is fresh, else the original; and where
// that cannot be had, the master for those that it serves. back is to be called when the bytes are no longer read.
func (r *run) get(ctx context.Context, todo []*fill) (d *download, back func(), err error) {
	// From before anything is read: what is made of it is purged by all that comes later.
	r.generation = r.p.parts.Purges.Now()
	m, giveBack := r.readMaster(ctx)
	if m != nil {
		a, _, refused := r.p.answerTo(r.b.within, m.master.entry, "")
		if refused != nil {
			giveBack()
			return nil, nil, refused
		}
		if a.Outcome == Hit && m.master.servesAll(todo) {
			r.b.giveSlot()
			return m, giveBack, nil
		}
		giveBack()
		r.masterWanted = a.Outcome != Hit
		if a.Outcome == "" || a.Over > r.p.cfg.StaleIfError || !m.master.servesAny(todo) {
			m = nil
		}
	}
	d, back, err = r.p.originals.get(ctx, r.b.source, r.use(), r.fetchLimits(todo), r.b.urgency, r.b.takeSlot())
	if err == nil || m == nil || ctx.Err() != nil {
		return d, back, err
	}
	r.gone = err
	if m, giveBack = r.readMaster(ctx); m == nil {
		return nil, nil, err
	}
	if a, _, _ := r.p.answerTo(r.b.within, m.master.entry, ""); a.Outcome == "" { // It is another one by now.
		giveBack()
		return nil, nil, err
	}
	return m, giveBack, nil
}

// use says what the run gets originals for.
func (r *run) use() use { return use{r.b.fills[0].key, r.generation} }

// readMaster reads the master; nil where there is none. One from before a purge is a miss, and one that is being read
// then is not shared.
func (r *run) readMaster(ctx context.Context) (*download, func()) {
	p := r.p
	if p.masters.side == 0 {
		return nil, nil
	}
	key := masterKey(r.b.fills[0].key)
	start := p.parts.Now()
	d, back, err := p.masters.reads.get(ctx, key, r.use(), origin.Limits{}, r.b.urgency, nil)
	r.timings.Lookup += p.parts.Now().Sub(start)
	if err != nil {
		r.masterWanted = errors.Is(err, cache.ErrMiss)
		if fault.KindOf(err) != fault.Overloaded && ctx.Err() == nil {
			p.logStore("a master could not be read; fetching the original instead", key, err)
		}
		return nil, nil
	}
	return d, back
}

// spare reports, as its key, whether the original at hand is to have a master that has none yet. The caller then owes
// masters.done.
func (r *run) spare() (key string, ok bool) {
	p, in := r.p, r.download.original
	if !r.masterWanted || r.download.master != nil || in.Info.Frames > 1 || p.relief.now() > pressure.Normal {
		return "", false
	}
	if r.noStore() {
		return "", false
	}
	key = masterKey(r.b.fills[0].key)
	ok, full := p.masters.claim(r.download, key)
	if full {
		p.parts.Observer.Mastered("dropped")
	}
	return key, ok
}

// masterSpec asks for a master.
func (p *Pipeline) masterSpec() variant.Spec {
	return variant.Spec{Master: true, Width: p.masters.side, Height: p.masters.side}
}

// withMaster adds the master to what is made for nobody who waits: it spares a decode, and the variants are made from
// it. The master is kept by the function that it returns.
func (r *run) withMaster(specs []variant.Spec) (_ []variant.Spec, keep func(context.Context)) {
	if r.b.urgency.Present() == gate.Viewing {
		return specs, func(context.Context) {}
	}
	key, ok := r.spare()
	if !ok {
		return specs, func(context.Context) {}
	}
	r.masterWanted = false
	return append(specs, r.p.masterSpec()), func(ctx context.Context) {
		defer r.p.masters.done(key)
		r.keepMaster(ctx, key, r.made)
	}
}

// leaveMaster makes the master behind the answers that were made from the original: in background work's line, and not
// at all where that comes to no end.
func (r *run) leaveMaster(ctx context.Context) {
	key, ok := r.spare()
	if !ok {
		return
	}
	p := r.p
	defer p.masters.done(key)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.upgrades.life, cancel)() // It ends when the pipeline closes, as upgrades do.
	release, err := p.transforms.Acquire(ctx, gate.At(gate.Warming))
	if err != nil {
		p.parts.Observer.Mastered("dropped")
		return
	}
	func() {
		defer release()
		_ = p.parts.Transformer.Transform(ctx, r.from(), []variant.Spec{p.masterSpec()}, variant.StageFinal, func(_ int, img variant.Image, err error) {
			if err == nil { // Else it is counted as failed, below.
				r.made = &img
			}
		})
	}()
	r.keepMaster(ctx, key, r.made)
}

// keepMaster stores a master; nil = it could not be made.
func (r *run) keepMaster(ctx context.Context, key string, img *variant.Image) {
	p := r.p
	if img == nil {
		p.parts.Observer.Mastered("failed")
		return
	}
	e := r.entry(*img)
	e.Recipe = variant.MasterRecipe
	outcome := "made"
	if err := p.save(context.WithoutCancel(ctx), key, e, true); err != nil {
		outcome = "failed"
	}
	p.parts.Observer.Mastered(outcome)
}

// distrust removes a master that a worker cannot read: the next fill fetches.
func (r *run) distrust(err error) {
	switch fault.KindOf(err) {
	case fault.NotAnImage, fault.DecodeFailed, fault.TruncatedSource, fault.Poison, fault.UnsupportedFormat:
		key := masterKey(r.b.fills[0].key)
		r.p.masters.reads.detachPrefix(key) // Others may share it at this moment.
		if _, err := r.p.parts.Store.Delete(context.Background(), key); err != nil {
			r.p.logStore("a master that cannot be read was not removed", key, err)
		}
	}
}
