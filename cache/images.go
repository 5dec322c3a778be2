package cache

import (
	"context"
	"slices"
)

// Images wraps store so that only entries of types that variants have are visible: encoded ones, originals sent as they
// are, and what is told of an original (application/json). Anything else that was put into a bucket is a miss and is
// never served.
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
	return slices.Contains([]string{
		"image/jpeg", "image/png", "image/webp", "image/avif", "image/jxl", "image/gif",
		"image/heic", "image/tiff", "image/bmp", "image/x-icon", "application/json",
	}, contentType)
}
