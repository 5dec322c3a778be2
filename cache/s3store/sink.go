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

// markerControl is the Cache-Control of an empty object, which marks a failure that the next attempt may end.
const markerControl = "public, max-age=300"

// Sink writes plain objects to buckets that its caller names. It adds no meta text or checksum of ours: other programs
// read these objects. Safe for concurrent use.
type Sink struct {
	client *s3.Client
	obs    cache.Observer
}

// OpenSink makes a client with the region, endpoint and credentials of cfg; the bucket and prefix of cfg are ignored.
// obs may be nil.
func OpenSink(ctx context.Context, cfg Config, obs cache.Observer) (*Sink, error) {
	cfg.Bucket, cfg.Prefix = "sink", "" // Open requires a name; the bucket is never accessed.
	s, err := Open(ctx, cfg, obs)
	if err != nil {
		return nil, err
	}
	return &Sink{client: s.client, obs: s.obs}, nil
}

// Put writes body to exactly this key of this bucket, and replaces what is there. An empty body is a marker, and gets a
// short cache lifetime.
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
