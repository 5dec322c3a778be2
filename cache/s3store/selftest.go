package s3store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/goldcrest/goldcrest/cache"
)

// SelfTest writes, reads, lists and deletes a probe object. Its error says which right is missing or what else is
// wrong.
func (s *Store) SelfTest(ctx context.Context) error {
	key := "probe/" + rand.Text()
	probe, err := cache.Check(key, cache.Entry{
		Meta: cache.Meta{ContentType: "text/plain", Created: time.Now(), Attrs: map[string]string{"note": "self-test"}},
		Body: []byte("goldcrest writes, reads and deletes this object when it starts\n"),
	})
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := s.put(limited, key, probe); err != nil {
		return s.explain("write", "s3:PutObject", err)
	}
	_, headErr := s.stat(limited, key)
	listErr := s.listProbe(limited, key)
	if forbidden(listErr) { // The credentials are valid: they have just written.
		s.rights.learn(listingDenied)
	}
	return errors.Join(
		s.explain("read", "s3:GetObject", s.readProbe(limited, key, probe)),
		s.explain("look up", "s3:GetObject", headErr),
		s.explain("list", "s3:ListBucket", listErr),
		s.explain("delete", "s3:DeleteObject", s.removeOne(ctx, s.name(key))),
	)
}

func (s *Store) readProbe(ctx context.Context, key string, want cache.Entry) error {
	got, err := s.get(ctx, key)
	if errors.Is(err, cache.ErrChecksum) || (err == nil && !bytes.Equal(got.Body, want.Body)) {
		return errors.New("an object comes back changed or without its user metadata")
	}
	return err
}

func (s *Store) listProbe(ctx context.Context, key string) error {
	names, _, err := s.list(ctx, key, nil)
	if err == nil && len(names) != 1 {
		err = errors.New("an object that was just written is not listed")
	}
	return err
}

func (s *Store) explain(doing, right string, err error) error {
	switch {
	case err == nil:
		return nil
	case forbidden(err):
		return fmt.Errorf("s3store: cannot %s in bucket %q: the right %s is missing, or the credentials are not valid: %w", doing, s.bucket, right, err)
	case noBucket(err):
		return fmt.Errorf("s3store: there is no bucket %q: %w", s.bucket, err)
	}
	return fmt.Errorf("s3store: cannot %s in bucket %q: %w", doing, s.bucket, err)
}
