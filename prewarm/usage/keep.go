package usage

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/goldcrest/goldcrest/pause"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// prefix is the prefix of usage keys in the ledger.
const prefix = "usage."

// record is the ledger's record of one owner, day and instance. Its mark is the number of images.
type record struct {
	Owner string `json:"owner"`
	Usage
}

// lastWrite bounds the final write of counts.
const lastWrite = time.Second

// Run writes changed counts after a short delay until ctx ends, and then those that are left.
func (a *Accounts) Run(ctx context.Context) {
	for failing := false; ; {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
			defer cancel()
			if err := a.write(last); err != nil {
				a.Log.Warn("the latest usage of tokens was not saved", "error", err)
			}
			return
		case <-a.changed:
		}
		_ = pause.For(ctx, interval) // when it ends early, the loop writes once more
		err := a.write(ctx)
		if err != nil && ctx.Err() == nil {
			a.mu.Lock()
			a.touch()
			a.mu.Unlock()
			if !failing {
				a.Log.Warn("the usage of tokens cannot be saved; trying again", "error", err)
			}
		}
		failing = err != nil
	}
}

// write writes the counts that have changed since the last write.
func (a *Accounts) write(ctx context.Context) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	for {
		conflict, err := a.writeOnce(ctx)
		if err != nil || !conflict {
			return err
		}
	}
}

// writingCount is a count that is being written.
type writingCount struct {
	at     ownerDay
	count  *count
	usage  Usage
	record *ledger.Record
}

func (a *Accounts) writeOnce(ctx context.Context) (conflict bool, err error) {
	todo, err := a.unwritten()
	if err != nil || len(todo) == 0 {
		return false, err
	}
	records := make([]*ledger.Record, len(todo))
	for i, w := range todo {
		records[i] = w.record
	}
	err = a.Views.Store.Write(ctx, records...)
	conflict = errors.Is(err, ledger.ErrConflict)
	if conflict {
		err = nil
	}
	for _, w := range todo {
		if w.record.Revision != w.count.revision {
			a.mu.Lock()
			w.count.revision, w.count.written = w.record.Revision, w.usage
			a.mu.Unlock()
		} else if conflict {
			// The response to an earlier write was lost, or the ledger was: no other instance writes this record.
			r, bad := a.Views.Store.Read(ctx, w.record.Key)
			if bad != nil && !errors.Is(bad, ledger.ErrNoRecord) {
				return false, bad
			}
			a.mu.Lock()
			w.count.revision = r.Revision
			a.mu.Unlock()
		}
	}
	return conflict, err
}

// unwritten returns the counts that have changed. It drops written counts of earlier days.
func (a *Accounts) unwritten() (todo []writingCount, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	today := ledger.DayOf(a.Now())
	for at, c := range a.own {
		if c.Usage == c.written {
			if at.day < today {
				delete(a.own, at)
			}
			continue
		}
		body, err := json.Marshal(record{at.owner, c.Usage})
		if err != nil {
			return nil, err
		}
		r := &ledger.Record{Key: a.key(at), Revision: c.revision, Mark: strconv.FormatInt(c.Images, 10), Body: body}
		todo = append(todo, writingCount{at, c, c.Usage, r})
	}
	return todo, nil
}

// key is the ledger key of a count of this instance.
func (a *Accounts) key(at ownerDay) string {
	return prefix + at.day + "." + ledger.OwnerMark(at.owner) + "." + a.instance
}
