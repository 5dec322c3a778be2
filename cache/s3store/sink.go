package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/goldcrest/goldcrest/cache"
)

// markerControl is the Cache-Control of an empty object: it marks a state that the next attempt may end.
const markerControl = "public, max-age=300"

// Sink writes plain objects to buckets that its caller names. It keeps no meta text and no checksum of ours: what it
// writes is for other programs to read. Safe for concurrent use.
type Sink struct {
	client *s3.Client
	obs    cache.Observer
}

// OpenSink prepares a client with the region, endpoint and credentials of cfg; cfg's own bucket and prefix have no say.
// obs may be nil.
func OpenSink(ctx context.Context, cfg Config, obs cache.Observer) (*Sink, error) {
	cfg.Bucket, cfg.Prefix = "sink", "" // Open wants a name; no object of that bucket is ever touched.
	s, err := Open(ctx, cfg, obs)
	if err != nil {
		return nil, err
	}
	return &Sink{client: s.client, obs: s.obs}, nil
}

// Put writes body to exactly this key of this bucket, in place of what is there. An empty body is a marker, and
// short-lived in caches.
func (s *Sink) Put(ctx context.Context, bucket, key string, body []byte, contentType string) error {
	if bucket == "" || key == "" {
		return errors.New("s3store: a sink needs the names of a bucket and a key")
	}
	start, control := time.Now(), cacheControl
	if len(body) == 0 {
		control = markerControl
	}
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.PutObject(limited, &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))),
		ContentType: &contentType, CacheControl: &control,
	})
	switch {
	case err == nil:
		s.obs.Observe(tier, "sink", "ok", time.Since(start), int64(len(body)))
		return nil
	case ctx.Err() != nil:
		err = ctx.Err()
	case status(err) == http.StatusMovedPermanently:
		err = fmt.Errorf("s3store: bucket %q is in another region than cache.store.s3.region: %w", bucket, err)
	default:
		err = (&Store{bucket: bucket}).explain("write", "s3:PutObject", err)
	}
	s.obs.Observe(tier, "sink", "error", time.Since(start), 0)
	return err
}
