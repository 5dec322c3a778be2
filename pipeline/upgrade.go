package pipeline

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// upgradePause is how long an entry stays at its first stage after a failed upgrade. Most often its original is gone.
const upgradePause = time.Hour

// maxPaused bounds the remembered failures; beyond it some entries are tried again sooner.
const maxPaused = 4096

// improvement is an entry that will be made again at a better stage.
type improvement struct {
	ref   variant.Ref
	key   string
	stage variant.Stage
	from  cache.Meta // of the entry
}

// upgrades is the queue of first-stage entries that were hit again, and of hot entries. Each key is in it once. Safe
// for concurrent use.
type upgrades struct {
	workers, room int
	now           func() time.Time
	life          context.Context // ends when the pipeline closes
	end           context.CancelFunc

	mu      sync.Mutex
	queue   []improvement
	behind  []improvement          // hot entries, after all others
	busy    map[string]bool        // keys that wait or are being upgraded
	paused  map[fillName]time.Time // failed upgrades, until when. By allowed hosts, which may be the reason
	running int
}

func (u *upgrades) open(cfg Config, now func() time.Time) {
	u.workers, u.room, u.now = cfg.Upgrades, cfg.UpgradeRoom, now
	u.life, u.end = context.WithCancel(context.Background())
	u.busy, u.paused = map[string]bool{}, map[fillName]time.Time{}
}

// wants reports whether an upgrade of key should be queued for a caller that is restricted to the hosts in within.
func (u *upgrades) wants(key string, within reach.Hosts) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.wanted(key, within)
}

// wanted is wants; mu is held.
func (u *upgrades) wanted(key string, within reach.Hosts) bool {
	return u.workers > 0 && !u.busy[key] && !u.now().Before(u.paused[fillName{key: key, within: within}])
}

// add queues an entry. It returns the outcome ("" = not wanted), and whether to start another worker.
func (u *upgrades) add(i improvement) (outcome string, start bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.wanted(i.key, i.ref.Within) {
		return "", false
	}
	if len(u.queue)+len(u.behind) >= u.room {
		return "dropped", false
	}
	u.busy[i.key] = true
	if i.stage == variant.StageHot {
		u.behind = append(u.behind, i)
	} else {
		u.queue = append(u.queue, i)
	}
	if start = u.running < u.workers; start {
		u.running++
	}
	return "queued", start
}

// next takes the oldest entry, hot ones after all others; false ends the worker.
func (u *upgrades) next() (i improvement, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	line := &u.queue
	if len(*line) == 0 {
		line = &u.behind
	}
	if len(*line) == 0 || u.life.Err() != nil {
		u.running--
		return i, false
	}
	i = (*line)[0]
	*line = (*line)[1:]
	return i, true
}

// done ends the work on key. With pause the key is not wanted for a while by callers with the same within.
func (u *upgrades) done(key string, within reach.Hosts, pause bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	name := fillName{key: key, within: within}
	delete(u.busy, key)
	delete(u.paused, name)
	if !pause {
		return
	}
	now := u.now()
	if len(u.paused) >= maxPaused {
		maps.DeleteFunc(u.paused, func(_ fillName, until time.Time) bool { return !now.Before(until) })
	}
	for old := range u.paused { // Any entry will do: at worst it is retried too early.
		if len(u.paused) < maxPaused {
			break
		}
		delete(u.paused, old)
	}
	u.paused[name] = now.Add(upgradePause)
}

// pending is the number of entries that wait or are being upgraded.
func (u *upgrades) pending() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.busy)
}

// isFirst reports whether an entry is of the first stage.
func isFirst(m cache.Meta) bool { return variant.StageOf(m.Attrs) == variant.StageFirst }

// viewerStage is the stage at which viewers' fills are made.
func (p *Pipeline) viewerStage() variant.Stage {
	if p.cfg.Upgrades == 0 {
		return variant.StageFinal
	}
	return variant.StageFirst
}

// upgradeIfFirst queues a first-stage entry for its upgrade.
func (p *Pipeline) upgradeIfFirst(ref variant.Ref, key string, m cache.Meta) {
	if isFirst(m) {
		p.improve(improvement{ref, key, variant.StageFinal, m})
	}
}

// improve queues an entry and reports the outcome.
func (p *Pipeline) improve(i improvement) {
	outcome, start := p.upgrades.add(i)
	if outcome != "" {
		p.tellQueued(i, outcome)
	}
	if start {
		p.fills.spawn(p.upgradeAll)
	}
}

// upgradeAll works until the queue is empty.
func (p *Pipeline) upgradeAll() {
	for i, ok := p.upgrades.next(); ok; i, ok = p.upgrades.next() {
		f, outcome := p.upgrade(p.upgrades.life, i)
		p.upgrades.done(i.key, i.ref.Within, outcome == "failed")
		p.tellImproved(i, f, outcome)
	}
}

// upgrade makes the better stage of an entry as soon as no other work needs the machine, however long that takes. The
// fill is nil if there was none.
func (p *Pipeline) upgrade(ctx context.Context, i improvement) (f *fill, outcome string) {
	const ended = "dropped" // The pipeline is closing.
	slot, err := p.idleSlot(ctx, i.key)
	if err != nil {
		return nil, ended
	}
	o := p.orderOf(i.ref, i.key)
	o.rank, o.stage, o.refresh, o.upgrade, o.slot = gate.Upgrading, i.stage, true, true, slot
	all, led, err := p.fills.join(o, p.runner(ctx, p.parts.Tiers.Lookup))
	if err != nil || !led[0] { // Otherwise another refresh is running, which has the same effect.
		slot()
	}
	if err != nil {
		return nil, ended
	}
	f = all[0]
	<-f.stored
	if i.stage == variant.StageHot && !led[0] {
		return f, "present" // only its final stage is
	}
	return f, f.improved()
}

// idleSlot waits until no other work needs the machine, and returns a fetch slot. It waits before the fetch, so that it
// holds no original while it waits. It does not wait after that, so that no original is fetched in vain.
func (p *Pipeline) idleSlot(ctx context.Context, key string) (slot func(), err error) {
	// The viewer's own write must not overwrite its replacement.
	if err := p.fills.settled(ctx, key); err != nil {
		return nil, err
	}
	if err := p.relief.await(ctx); err != nil {
		return nil, err
	}
	u := gate.At(gate.Upgrading)
	turn, err := p.transforms.Acquire(ctx, u)
	if err != nil {
		return nil, err
	}
	turn()
	return p.originals.Gate().Acquire(ctx, u)
}

// improved returns the outcome of an upgrade.
func (f *fill) improved() string {
	switch {
	case errors.Is(f.err, cache.ErrPurged) || errors.Is(f.storeErr, cache.ErrPurged):
		return "gone"
	case f.err != nil || f.storeErr != nil || f.answer.NoStore:
		return "failed"
	case f.answer.Outcome == Hit:
		return "present"
	case f.batch.kept:
		return "kept"
	}
	return "made"
}

// findFirst finds the entry that an upgrade replaces: in the store, where another instance may have put the final one,
// or in memory if it was never stored. If there is nothing to upgrade, it publishes that and returns false.
func (r *run) findFirst(ctx context.Context, f *fill) bool {
	e, err := r.p.parts.Store.Get(ctx, f.key)
	if errors.Is(err, cache.ErrMiss) {
		var ok bool
		if e, ok = r.p.parts.Tiers.Recall(f.key); ok {
			err = nil
		} else {
			err = cache.ErrPurged
		}
	}
	switch {
	case err != nil:
		f.publish(Answer{}, err)
		return false
	case r.b.stage == variant.StageHot && lightens(e.Meta), r.b.stage != variant.StageHot && isFirst(e.Meta):
		r.first = &e
		return true
	}
	r.p.parts.Keeper.Remember(f.key, e, true)
	f.publish(Answer{Entry: e, Outcome: Hit}, nil)
	return false
}

// better returns the final stage of a variant. It is the second one if its quality was measured, because that of the
// first was only predicted. Otherwise it is the smaller one.
func better(first, final cache.Entry) (e cache.Entry, kept bool) {
	if variant.DecodeFacts(final.Attrs).Choice.Score > 0 && final.ETag != first.ETag || len(final.Body) < len(first.Body) {
		return later(first, final), false
	}
	first.Attrs = variant.WithStage(first.Attrs, variant.StageFinal)
	return first, true
}

// later returns e with a creation time at least a second after old, so that If-Modified-Since can tell them apart.
func later(old, e cache.Entry) cache.Entry {
	if next := old.Created.Add(time.Second); e.Created.Before(next) {
		e.Created = next
	}
	return e
}

// replace writes e over the first-stage entry, in the store and then in memory, unless the source was purged after work
// on e began, or the entry is gone.
func (p *Pipeline) replace(ctx context.Context, key string, first cache.Meta, e cache.Entry) error {
	m, _, err := p.parts.Tiers.Stat(ctx, key)
	if errors.Is(err, cache.ErrMiss) || err == nil && m.ETag != first.ETag {
		return cache.ErrPurged
	}
	if err == nil {
		err = p.parts.Keeper.Save(ctx, key, e)
	}
	if err != nil {
		p.logStore("an upgraded variant was not stored", key, err)
		return err
	}
	p.parts.Keeper.Remember(key, e, true)
	return nil
}
