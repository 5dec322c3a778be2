// Package s3store is a Store in an S3 bucket.
//
// An entry is one object named by its key, with Content-Type and Cache-Control set so that a CDN can read the bucket
// directly. The meta text, with checksums that bind it to the body and the key, is user metadata.
package s3store

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/goldcrest/goldcrest/cache"
)

const (
	tier         = "s3"
	metaName     = "goldcrest" // x-amz-meta-goldcrest: the meta text in base64
	cacheControl = "public, max-age=2592000"
	callTimeout  = 10 * time.Second // of one call with its retry; callers have shorter timeouts of their own
	maxBackoff   = 100 * time.Millisecond
	batchSize    = 1000 // the page size of ListObjectsV2 and the limit of DeleteObjects
)

// Store keeps each entry in an object. Safe for concurrent use.
type Store struct {
	client *s3.Client
	obs    cache.Observer
	bucket string
	prefix string // "" or ends with "/"
	seal   cache.Seal
	rights rights
}

var _ cache.Store = (*Store)(nil)

// Open prepares the client; it does not call the bucket (SelfTest does). obs may be nil.
func Open(ctx context.Context, cfg Config, obs cache.Observer) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Bucket == "" {
		return nil, errors.New("cache.store.s3.bucket must name a bucket")
	}
	if obs == nil {
		obs = cache.NoObserver{}
	}
	options := []func(*config.LoadOptions) error{
		config.WithLogger(logging.Nop{}), // The SDK would write to our log. Its failures are returned as errors.
		// The SDK's own client type: with AWS_CA_BUNDLE set the SDK refuses any other.
		config.WithHTTPClient(awshttp.NewBuildableClient().
			WithDialerOptions(func(d *net.Dialer) { d.Timeout = 2 * time.Second }).
			WithTransportOptions(func(t *http.Transport) { t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 64 })),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 2, maxBackoff })
		}),
	}
	if cfg.Region != "" {
		options = append(options, config.WithRegion(cfg.Region))
	} else if cfg.Endpoint != "" {
		options = append(options, config.WithDefaultRegion("us-east-1")) // other servers ignore the region, but it is signed
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("s3store: %w", err)
	}
	if loaded.Region == "" {
		return nil, errors.New("s3store: no region: set cache.store.s3.region or AWS_REGION")
	}
	client := s3.NewFromConfig(loaded, func(o *s3.Options) {
		o.UsePathStyle = cfg.PathStyle
		o.DisableLogOutputChecksumValidationSkipped = true
		if cfg.Endpoint != "" {
			o.BaseEndpoint = aws.String(cfg.Endpoint)
		}
		o.RequestChecksumCalculation, o.ResponseChecksumValidation = aws.RequestChecksumCalculationWhenRequired, aws.ResponseChecksumValidationWhenRequired
		if cfg.Checksums == whenSupported {
			o.RequestChecksumCalculation, o.ResponseChecksumValidation = aws.RequestChecksumCalculationWhenSupported, aws.ResponseChecksumValidationWhenSupported
		}
	})
	s := &Store{client: client, obs: obs, bucket: cfg.Bucket, prefix: strings.Trim(cfg.Prefix, "/"), seal: cfg.Seal}
	if s.prefix != "" {
		s.prefix += "/"
	}
	return s, nil
}

// Get implements cache.Store. A 403 is a miss only if the self-test found that the bucket may be written but not
// listed: without the right to list, S3 returns 403 for an absent object. These misses are counted separately.
// Otherwise a 403 is an error, such as a revoked key.
func (s *Store) Get(ctx context.Context, key string) (cache.Entry, error) {
	var e cache.Entry
	err := s.do(ctx, "get", cache.CheckKey(key), func(ctx context.Context) (n int64, err error) {
		e, err = s.get(ctx, key)
		return int64(len(e.Body)), err
	})
	return e, err
}

// Stat implements cache.Store. The body's checksum is not verified; its length is.
func (s *Store) Stat(ctx context.Context, key string) (cache.Meta, error) {
	var m cache.Meta
	err := s.do(ctx, "stat", cache.CheckKey(key), func(ctx context.Context) (n int64, err error) {
		m, err = s.stat(ctx, key)
		return 0, err
	})
	return m, err
}

// Put implements cache.Store.
func (s *Store) Put(ctx context.Context, key string, e cache.Entry) error {
	e, err := cache.Check(key, e)
	return s.do(ctx, "put", err, func(ctx context.Context) (int64, error) { return e.Size, s.put(ctx, key, e) })
}

// Delete implements cache.Store. The empty prefix empties the bucket, or the part below the configured prefix.
func (s *Store) Delete(ctx context.Context, prefix string) (int, error) {
	removed := 0
	err := s.do(ctx, "delete", cache.CheckPrefix(prefix), func(context.Context) (int64, error) {
		for token := (*string)(nil); ; { // each call has its own deadline: a purge may need many
			names, next, err := s.list(ctx, prefix, token)
			if err != nil {
				return 0, err
			}
			n, err := s.remove(ctx, names)
			removed += n
			if err != nil || next == nil {
				return 0, err
			}
			token = next
		}
	})
	return removed, err
}

// do runs one operation with a deadline, counts it, and turns its error into one of cache.Store.
func (s *Store) do(ctx context.Context, op string, err error, call func(context.Context) (int64, error)) error {
	start, read := time.Now(), op == "get" || op == "stat"
	var n int64
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		n, err = call(limited)
		cancel()
		if err != nil && ctx.Err() != nil {
			err = ctx.Err() // the caller left: the SDK's error would only hide that
		}
	}
	if errors.Is(err, cache.ErrChecksum) {
		s.obs.Observe(tier, "checksum", "error", time.Since(start), 0)
	}
	outcome, err := s.outcome(ctx, read, err)
	if err != nil {
		n = 0
	}
	s.obs.Observe(tier, op, outcome, time.Since(start), n)
	return err
}

// outcome is the word for metrics of how a call ended, and the error that the caller gets.
func (s *Store) outcome(ctx context.Context, read bool, err error) (string, error) {
	switch {
	case err == nil && read:
		return "hit", nil
	case err == nil:
		return "ok", nil
	case errors.Is(err, cache.ErrChecksum), read && missing(err):
		return "miss", cache.ErrMiss
	case read && forbidden(err) && s.hides(ctx):
		return "forbidden", cache.ErrMiss
	}
	return "error", fmt.Errorf("s3store: %w", err)
}

func (s *Store) get(ctx context.Context, key string) (cache.Entry, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: s.name(key)})
	if err != nil {
		return cache.Entry{}, err
	}
	defer out.Body.Close()
	meta, err := decodeMeta(out.Metadata)
	if err != nil {
		return cache.Entry{}, err
	}
	body, err := readBody(out.Body, out.ContentLength)
	if err != nil {
		return cache.Entry{}, err
	}
	return s.seal.Unmarshal(key, meta, body)
}

func (s *Store) stat(ctx context.Context, key string) (cache.Meta, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.name(key)})
	if err != nil {
		return cache.Meta{}, err
	}
	meta, err := decodeMeta(out.Metadata)
	if err != nil {
		return cache.Meta{}, err
	}
	m, err := s.seal.UnmarshalMeta(key, meta)
	if err == nil && out.ContentLength != nil && *out.ContentLength != m.Size {
		err = cache.ErrChecksum
	}
	return m, err
}

func (s *Store) put(ctx context.Context, key string, e cache.Entry) error {
	in := &s3.PutObjectInput{
		Bucket:        &s.bucket,
		Key:           s.name(key),
		Body:          bytes.NewReader(e.Body), // seekable, since it is read for signing and again for a retry
		ContentLength: aws.Int64(e.Size),
		CacheControl:  aws.String(cacheControl),
		Metadata:      map[string]string{metaName: base64.RawStdEncoding.EncodeToString(s.seal.MarshalMeta(key, e))},
	}
	if e.ContentType != "" {
		in.ContentType = &e.ContentType
	}
	_, err := s.client.PutObject(ctx, in)
	return err
}

// list returns one page of object names, and the token of the next page, or nil.
func (s *Store) list(ctx context.Context, prefix string, token *string) (names []types.ObjectIdentifier, next *string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: &s.bucket, Prefix: s.name(prefix), ContinuationToken: token, MaxKeys: aws.Int32(batchSize),
	})
	if err != nil {
		return nil, nil, err
	}
	s.rights.learn(listingAllowed)
	for _, object := range out.Contents {
		names = append(names, types.ObjectIdentifier{Key: object.Key})
	}
	if aws.ToBool(out.IsTruncated) {
		next = out.NextContinuationToken
	}
	return names, next, nil
}

// remove deletes the named objects in one call, or one by one if the server does not implement that call.
func (s *Store) remove(ctx context.Context, names []types.ObjectIdentifier) (int, error) {
	if len(names) == 0 {
		return 0, nil
	}
	batch, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := s.client.DeleteObjects(batch, &s3.DeleteObjectsInput{
		Bucket: &s.bucket, Delete: &types.Delete{Objects: names, Quiet: aws.Bool(true)},
	})
	if err == nil && len(out.Errors) == 0 {
		return len(names), nil
	}
	if err == nil {
		first := out.Errors[0]
		return len(names) - len(out.Errors), fmt.Errorf("%d objects were not deleted, the first for %s: %s",
			len(out.Errors), aws.ToString(first.Code), aws.ToString(first.Message))
	}
	for n, name := range names {
		if ctx.Err() != nil {
			return n, ctx.Err()
		}
		if err := s.removeOne(ctx, name.Key); err != nil {
			return n, err
		}
	}
	return len(names), nil
}

func (s *Store) removeOne(ctx context.Context, name *string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: name})
	return err
}

func (s *Store) name(key string) *string { return aws.String(s.prefix + key) }

// decodeMeta finds the meta text. An object without it was not written by this package.
func decodeMeta(metadata map[string]string) ([]byte, error) {
	for name, value := range metadata {
		if strings.EqualFold(name, metaName) { // servers spell header names differently
			meta, err := base64.RawStdEncoding.DecodeString(value)
			if err != nil {
				return nil, cache.ErrChecksum
			}
			return meta, nil
		}
	}
	return nil, cache.ErrChecksum
}

func readBody(r io.Reader, length *int64) ([]byte, error) {
	if length == nil || *length < 0 {
		body, err := io.ReadAll(io.LimitReader(r, cache.MaxBody+1))
		if err == nil && len(body) > cache.MaxBody {
			err = cache.ErrChecksum
		}
		return body, err
	}
	if *length > cache.MaxBody {
		return nil, cache.ErrChecksum
	}
	body := make([]byte, *length)
	_, err := io.ReadFull(r, body)
	return body, err
}

// missing reports that the object is absent. A missing bucket is not that, if the response tells them apart.
func missing(err error) bool { return status(err) == http.StatusNotFound && !noBucket(err) }

func noBucket(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "NoSuchBucket"
}

func forbidden(err error) bool { return status(err) == http.StatusForbidden }

func status(err error) int {
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}
