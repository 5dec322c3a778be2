package prewarm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pause"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// claimRecord is the record of an Idempotency-Key.
type claimRecord struct {
	Hash string `json:"hash"` // of the body
	Job  string `json:"job"`
}

// idemKey is the ledger key of an Idempotency-Key. It reveals neither the token nor the key.
func idemKey(token, idem string) string {
	sum := sha256.Sum256([]byte(token + "\x00" + idem))
	return "idem." + hex.EncodeToString(sum[:16])
}

// claim claims an Idempotency-Key for a job. known is the job that already has it. Otherwise the caller holds it until
// free, and the existence of its job's record decides whether the call was accepted.
func (s *Service) claim(ctx context.Context, key, hash, job string) (known string, free func(), err error) {
	if free, err = s.enter(ctx, key); err != nil {
		return "", nil, err
	}
	defer func() {
		if known != "" || err != nil {
			free()
		}
	}()
	body, _ := json.Marshal(claimRecord{hash, job}) // strings can always be marshalled
	mine := &ledger.Record{Key: key, Body: body, Mark: "idem"}
	for try := 0; ; try++ {
		err = s.deps.Ledger.Write(ctx, mine)
		if !errors.Is(err, ledger.ErrConflict) {
			return "", free, err
		}
		held, known, err := s.claimed(ctx, key, hash)
		switch {
		case err != nil || known != "":
			return known, free, err
		// Another instance is accepting the same call, or stopped in the middle of it.
		case s.deps.Now().Sub(held.At) > s.times.adopt:
			mine.Revision = held.Revision
		case try == 10:
			return "", free, fault.New(fault.Overloaded, "prewarm.Accept", "the same call is being accepted; try again shortly", nil).
				After(s.times.adopt)
		default:
			_ = pause.For(ctx, s.times.known/10)
		}
	}
}

// claimed reads the record that claims a key, and the job that was accepted with it, if any. The record is empty if it
// has just expired.
func (s *Service) claimed(ctx context.Context, key, hash string) (held ledger.Record, job string, err error) {
	held, err = s.deps.Ledger.Read(ctx, key)
	if errors.Is(err, ledger.ErrNoRecord) {
		return ledger.Record{}, "", nil
	}
	if err != nil {
		return held, "", err
	}
	var c claimRecord
	if err := json.Unmarshal(held.Body, &c); err != nil {
		return held, "", fault.New(fault.Internal, "prewarm.claim", "an internal error", err)
	}
	if c.Hash != hash {
		return held, "", fault.New(fault.IdempotencyConflict, "prewarm.Accept", "this Idempotency-Key was used with another body", nil)
	}
	if _, err = s.ReadJob(ctx, c.Job); fault.KindOf(err) == fault.NoSuchJob {
		return held, "", nil
	}
	return held, c.Job, err
}

// disclaim releases the Idempotency-Key of a refused call, so that the next try need not wait. The key stays if it is
// not certain that the job does not exist, for example because the ledger does not respond.
func (s *Service) disclaim(ctx context.Context, key, job string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if _, err := s.ReadJob(ctx, job); fault.KindOf(err) == fault.NoSuchJob {
		_ = s.Erase(ctx, key)
	}
}

// enter waits until no other goroutine in this process is accepting a call with the key.
func (s *Service) enter(ctx context.Context, key string) (leave func(), err error) {
	for {
		s.mu.Lock()
		other := s.accepting[key]
		if other == nil {
			mine := make(chan struct{})
			s.accepting[key] = mine
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				delete(s.accepting, key)
				s.mu.Unlock()
				close(mine)
			}, nil
		}
		s.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
