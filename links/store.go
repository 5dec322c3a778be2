package links

import (
	"context"
	"errors"
	"time"

	"github.com/goldcrest/goldcrest/cache"
)

// InStore is a Store in the store of the cache: in a bucket for all instances that use it.
func InStore(store cache.Store) Store { return inStore{store} }

type inStore struct{ cache.Store }

// key is none that a variant has: a purge leaves links alone.
func key(id string) string { return cache.LastingPrefix + id[:2] + "/" + id }

// Put implements Store.
func (s inStore) Put(ctx context.Context, id string, sealed []byte) error {
	return s.Store.Put(ctx, key(id), cache.Entry{Body: sealed, Meta: cache.Meta{
		ContentType: "application/octet-stream", Created: time.Now(),
	}})
}

// Get implements Store.
func (s inStore) Get(ctx context.Context, id string) ([]byte, error) {
	e, err := s.Store.Get(ctx, key(id))
	if errors.Is(err, cache.ErrMiss) {
		return nil, ErrUnknown
	}
	return e.Body, err
}
