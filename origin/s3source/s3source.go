// Package s3source opens originals in buckets: s3://bucket/key, and gs://bucket/key through the S3 interface of Google
// Cloud Storage.
package s3source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/reach"
)

// GoogleEndpoint is the S3 interface of Google Cloud Storage.
const GoogleEndpoint = "https://storage.googleapis.com"

// Source opens objects. Safe for concurrent use.
type Source struct{ entries []entry }

// entry is the client of some buckets.
type entry struct {
	names  reach.Hosts
	client *s3.Client
}

// Open makes the clients of a list and reads their secrets. It sends no request. Objects are fetched through transport.
// key is the list's place in the configuration, for errors.
func Open(ctx context.Context, key string, list []Buckets, transport http.RoundTripper) (*Source, error) {
	if err := Validate(key, list); err != nil {
		return nil, err
	}
	s := &Source{}
	for i, b := range list {
		names, err := b.names()
		if err != nil {
			return nil, err
		}
		client, err := newClient(ctx, b, transport)
		if err != nil {
			return nil, fmt.Errorf("%s: entry %d: %w", key, i+1, err)
		}
		s.entries = append(s.entries, entry{names, client})
	}
	return s, nil
}

// WithGoogle returns a list with the defaults for gs:// buckets filled in.
func WithGoogle(list []Buckets) []Buckets {
	out := make([]Buckets, len(list))
	for i, b := range list {
		if b.Endpoint == "" {
			b.Endpoint, b.PathStyle = GoogleEndpoint, true
			if b.Region == "" {
				b.Region = "auto"
			}
		}
		out[i] = b
	}
	return out
}

// Check implements origin.Source.
func (s *Source) Check(u *url.URL) error {
	_, err := s.find(u)
	return err
}

// find returns the client of a bucket.
func (s *Source) find(u *url.URL) (*s3.Client, error) {
	if u.User != nil || u.Port() != "" || u.Host == "" || len(u.Path) < 2 {
		return nil, fault.New(fault.BadSource, "s3source.find", "the source names no bucket and key", nil)
	}
	// To S3 a step up is part of a name like any other, but a server or proxy that resolves paths would read another bucket,
	// perhaps one that the caller may not ask for.
	if !filepath.IsLocal("." + u.Path) {
		return nil, fault.New(fault.BadSource, "s3source.find", "the key would lead out of the bucket", nil)
	}
	for _, e := range s.entries {
		if e.names.Allows(reach.Place("s3", u.Host)) {
			return e.client, nil
		}
	}
	return nil, fault.New(fault.SourceNotAllowed, "s3source.find", "the source's bucket is not configured", nil)
}

// Open implements origin.Source.
func (s *Source) Open(ctx context.Context, u *url.URL, conditions http.Header) (*http.Response, error) {
	client, err := s.find(u)
	if err != nil {
		return nil, err
	}
	in := &s3.GetObjectInput{Bucket: aws.String(strings.ToLower(u.Host)), Key: aws.String(strings.TrimPrefix(u.Path,
		"/"))}
	if version := versionOf(u); version != "" {
		in.VersionId = &version
	}
	if tag := conditions.Get("If-None-Match"); tag != "" {
		in.IfNoneMatch = &tag
	} else if since, err := http.ParseTime(conditions.Get("If-Modified-Since")); err == nil {
		in.IfModifiedSince = &since
	}
	out, err := client.GetObject(ctx, in)
	if err != nil {
		return refusal(err)
	}
	return answer(out), nil
}

// versionOf returns the version that a source names: ?versionId=X, or as imgproxy writes it ?X.
func versionOf(u *url.URL) string {
	if query := u.Query(); query.Has("versionId") {
		return query.Get("versionId")
	}
	if strings.ContainsAny(u.RawQuery, "=&") {
		return ""
	}
	version, err := url.QueryUnescape(u.RawQuery)
	if err != nil {
		return ""
	}
	return version
}

// answer converts a successful result into an HTTP response.
func answer(out *s3.GetObjectOutput) *http.Response {
	r := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: out.Body, ContentLength: -1}
	if out.ContentLength != nil {
		r.ContentLength = *out.ContentLength
	}
	for name, value := range map[string]*string{
		"ETag": out.ETag, "Cache-Control": out.CacheControl, "Content-Encoding": out.ContentEncoding,
		"Expires": out.ExpiresString,
	} {
		if value != nil {
			r.Header.Set(name, *value)
		}
	}
	if out.LastModified != nil {
		r.Header.Set("Last-Modified", out.LastModified.UTC().Format(http.TimeFormat))
	}
	return r
}

// refusal converts a failed call into an HTTP response.
func refusal(err error) (*http.Response, error) {
	var failed *smithyhttp.ResponseError
	// No response, or one that is not a failure status.
	if !errors.As(err, &failed) || failed.HTTPStatusCode() < http.StatusMultipleChoices {
		return nil, unanswered(err)
	}
	code := ""
	if api := smithy.APIError(nil); errors.As(err, &api) {
		code = word(api.ErrorCode())
	}
	if ours(code) {
		public := "the bucket does not take this server's credentials (" + code + ")"
		return nil, fault.New(fault.SourceError, "s3source.Open", public, plain(err)).After(time.Minute)
	}
	status := failed.HTTPStatusCode()
	r := &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}
	if code != "" {
		r.Status = fmt.Sprintf("%d %s", status, code)
	}
	if failed.Response != nil && failed.Response.Response != nil {
		for _, name := range []string{"Retry-After", "Date", "Cache-Control", "ETag", "Last-Modified", "Expires"} {
			if value := failed.Response.Header.Get(name); value != "" {
				r.Header.Set(name, value)
			}
		}
	}
	return r, nil
}

// unanswered is the error of a call without a response. If it is not about the network, it is about the credentials:
// none were found, or the role was refused.
func unanswered(err error) error {
	var sending *smithyhttp.RequestSendError
	var canceled *aws.RequestCanceledError
	if errors.As(err, &sending) || errors.As(err, &canceled) || errors.Is(err, context.Canceled) || errors.Is(err,
		context.DeadlineExceeded) {
		return plain(err)
	}
	return fault.New(fault.SourceError, "s3source.Open", "this server has no credentials for the bucket", plain(err))
}

// plain returns the cause of a failed call without the SDK's wrapping, which includes URLs.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// ours reports whether an error code is about this server's credentials or clock, not about the object.
func ours(code string) bool {
	switch code {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
		"RequestTimeTooSkewed",
		"AuthorizationHeaderMalformed", "InvalidSecurity", "NotSignedUp":
		return true
	}
	return false
}

// word returns a code if it looks like one; it came from a remote server.
func word(code string) string {
	if len(code) > 64 || strings.ContainsFunc(code, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9')
	}) {
		return ""
	}
	return code
}
