package cache

import "context"

// Images is store as far as it holds images of the types that variants have. Anything else that somebody put into a
// bucket is a miss there, so that it is never served.
func Images(store Store) Store { return images{store} }

type images struct{ Store }

var _ Store = images{}

func (s images) Get(ctx context.Context, key string) (Entry, error) {
	e, err := s.Store.Get(ctx, key)
	if err == nil && !servable(e.ContentType) {
		return Entry{}, ErrMiss
	}
	return e, err
}

func (s images) Stat(ctx context.Context, key string) (Meta, error) {
	m, err := s.Store.Stat(ctx, key)
	if err == nil && !servable(m.ContentType) {
		return Meta{}, ErrMiss
	}
	return m, err
}

func servable(contentType string) bool {
	switch contentType {
	case "image/jpeg", "image/png", "image/webp", "image/avif", "image/gif":
		return true
	}
	return false
}
