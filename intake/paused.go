package intake

import (
	"context"
	"errors"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pause"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// Ledger keeps which intakes are paused, over restarts and for all instances that share it. Implemented by the queue of
// the jobs.
type Ledger interface {
	Read(ctx context.Context, key string) (ledger.Record, error)
	Write(ctx context.Context, records ...*ledger.Record) error
}

const (
	// renewPaused is the age at which the record of a pause is renewed: the ledger drops old records.
	renewPaused = 30 * time.Second
	// pauseTries bounds the tries to write where another instance writes as well.
	pauseTries = 5
)

// key is that of the record that there is while the intake is paused.
func (o *one) key() string { return "intake." + o.cfg.Name }

// learn takes over what the ledger says about the pause.
func (o *one) learn(ctx context.Context) error {
	o.pausing.Lock()
	defer o.pausing.Unlock()
	r, err := o.door.deps.Ledger.Read(ctx, o.key())
	if err != nil && !errors.Is(err, ledger.ErrNoRecord) {
		return err
	}
	o.state.pause(err == nil)
	if err == nil && time.Since(r.At) > renewPaused {
		err = o.door.deps.Ledger.Write(ctx, &ledger.Record{Key: r.Key, Revision: r.Revision, Mark: r.Mark})
		if err != nil && !errors.Is(err, ledger.ErrConflict) {
			return err
		}
	}
	return nil
}

// learnFirst is learn until it succeeds: before that nothing may be taken.
func (o *one) learnFirst(ctx context.Context) error {
	for told := false; ; {
		err := o.learn(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		o.state.failed(err)
		if !told {
			o.door.deps.Log.Warn("an intake waits: it cannot be read whether it is paused", "intake", o.cfg.Name,
				"error", err)
		}
		told = true
		if err := pause.For(ctx, watchEvery); err != nil {
			return err
		}
	}
}

// setPaused pauses or resumes the intake for all instances.
func (o *one) setPaused(ctx context.Context, paused bool) error {
	o.pausing.Lock()
	defer o.pausing.Unlock()
	for range pauseTries {
		r, err := o.door.deps.Ledger.Read(ctx, o.key())
		switch {
		case err != nil && !errors.Is(err, ledger.ErrNoRecord):
			return err
		case (err == nil) == paused:
			o.state.pause(paused)
			return nil
		}
		next := &ledger.Record{Key: o.key(), Revision: r.Revision} // It deletes the record.
		if paused {
			next = &ledger.Record{Key: o.key(), Mark: "paused"}
		}
		if err := o.door.deps.Ledger.Write(ctx, next); err != nil && !errors.Is(err, ledger.ErrConflict) {
			return err
		}
	}
	return fault.New(fault.Overloaded, "intake.pause", "others pause and resume this intake at the same time", nil)
}

// SetPaused lets an intake take nothing any more on all instances, over restarts, or take messages again. Faults:
// not_found where this instance has no intake of that name; those of the ledger.
func (d *Door) SetPaused(ctx context.Context, name string, paused bool) error {
	o := d.find(name)
	if o == nil {
		return fault.New(fault.NotFound, "intake.SetPaused", "this instance has no intake of that name", nil)
	}
	return o.setPaused(ctx, paused)
}
