package links

import (
	"context"
	"errors"
	"time"

	"github.com/goldcrest/goldcrest/cache"
)

// InStore is a Store in the cache's store: in a bucket it is shared by all instances that use the bucket.
func InStore(store cache.Store) Store { return inStore{store} }

type inStore struct{ cache.Store }

// key differs from every variant's key, so purges do not delete links.
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
