// Package fault classifies failures: a Kind for machines, a public sentence for callers, a cause for the operator.
package fault

import (
	"context"
	"errors"
	"time"
)

// Kind is the machine-readable class of a failure. Its text is the code that callers see (contract: problem+json
// "code", header X-Error, metric label), so a Kind never changes its spelling.
type Kind string

// The Kinds of bad requests: the caller must change the URL.
const (
	BadPath           Kind = "bad_path"
	BadOption         Kind = "bad_option"
	UnsupportedOption Kind = "unsupported_option"
	BadSource         Kind = "bad_source"
	BadSignature      Kind = "bad_signature"
	KeyNotValid       Kind = "key_not_valid"
	URLExpired        Kind = "url_expired"
	MethodNotAllowed  Kind = "method_not_allowed"
	NotFound          Kind = "not_found"
	Unauthorized      Kind = "unauthorized"
	ForbiddenScope    Kind = "forbidden_scope"
)

// The Kinds of a source that is not allowed or could not be fetched.
const (
	SourceNotAllowed  Kind = "source_not_allowed"
	AddressBlocked    Kind = "address_blocked"
	SourceNotFound    Kind = "source_not_found"
	SourceTooLarge    Kind = "source_too_large"
	SourceError       Kind = "source_error"
	SourceForbidden   Kind = "source_forbidden"
	SourceTimeout     Kind = "source_timeout"
	ConnectFailed     Kind = "connect_failed"
	TLSFailed         Kind = "tls_failed"
	TooManyRedirects  Kind = "too_many_redirects"
	DNSFailed         Kind = "dns_failed"
	OriginCircuitOpen Kind = "origin_circuit_open"
	TruncatedSource   Kind = "truncated_source"
	HashMismatch      Kind = "hash_mismatch"
)

// The Kinds of an original that cannot be turned into the requested variant.
const (
	NotAnImage        Kind = "not_an_image"
	UnsupportedFormat Kind = "unsupported_format"
	TooManyPixels     Kind = "too_many_pixels"
	TooManyFrames     Kind = "too_many_frames"
	ResultTooLarge    Kind = "result_too_large"
	DecodeFailed      Kind = "decode_failed"
	TooCostly         Kind = "too_costly"
	Poison            Kind = "poison"
	TransformTimeout  Kind = "transform_timeout"
)

// The Kinds of API calls: the body of a call, its Data Units, and their jobs.
const (
	BodyTooLarge        Kind = "body_too_large"
	BodyTimeout         Kind = "body_timeout"
	BadUnit             Kind = "bad_unit"
	BadSelector         Kind = "bad_selector"
	NoSuchJob           Kind = "no_such_job"
	IdempotencyConflict Kind = "idempotency_conflict"
	QuotaExceeded       Kind = "quota_exceeded"
	QueueFull           Kind = "queue_full"
	DiskFull            Kind = "disk_full"
)

// The Kinds of our own state.
const (
	RateLimited  Kind = "rate_limited"
	Overloaded   Kind = "overloaded"
	ShuttingDown Kind = "shutting_down"
	NotCached    Kind = "not_cached"
	Canceled     Kind = "canceled"
	Internal     Kind = "internal"
)

// Kinds lists every Kind once, for tables and metrics that must be complete.
func Kinds() []Kind {
	return []Kind{
		BadPath, BadOption, UnsupportedOption, BadSource, BadSignature, KeyNotValid, URLExpired, MethodNotAllowed, NotFound,
		Unauthorized, ForbiddenScope,
		SourceNotAllowed, AddressBlocked, SourceNotFound, SourceTooLarge, SourceError, SourceForbidden, SourceTimeout, ConnectFailed,
		TLSFailed, TooManyRedirects, DNSFailed, OriginCircuitOpen, TruncatedSource, HashMismatch,
		NotAnImage, UnsupportedFormat, TooManyPixels, TooManyFrames, ResultTooLarge, DecodeFailed, TooCostly, Poison, TransformTimeout,
		BodyTooLarge, BodyTimeout, BadUnit, BadSelector, NoSuchJob, IdempotencyConflict, QuotaExceeded, QueueFull, DiskFull,
		RateLimited, Overloaded, ShuttingDown, NotCached, Canceled, Internal,
	}
}

// Retryable reports whether the same request may succeed later without a change by the caller.
func (k Kind) Retryable() bool {
	switch k {
	case SourceError, SourceForbidden, SourceTimeout, ConnectFailed, TLSFailed, TooManyRedirects, DNSFailed, OriginCircuitOpen,
		TransformTimeout, BodyTimeout, QuotaExceeded, QueueFull, DiskFull, RateLimited, Overloaded, ShuttingDown, NotCached, Canceled, Internal:
		return true
	}
	return false
}

// ErrThisFile marks, as a cause, a fault of one file whose Kind may also mean a failing host: the host responded, and
// not with an error of its own. Test with errors.Is.
var ErrThisFile = errors.New("the answer is about this file alone")

// Error is one classified failure. It is immutable once returned.
type Error struct {
	Kind       Kind
	Op         string        // where it happened, as package.Function
	Public     string        // a sentence for the caller: no secret, no private address, no query string
	Err        error         // the cause, for the operator's log only; may be nil
	RetryAfter time.Duration // when a retry makes sense; 0 = unknown
}

// New makes a fault. cause may be nil.
func New(kind Kind, op, public string, cause error) *Error {
	return &Error{Kind: kind, Op: op, Public: public, Err: cause}
}

// After sets when a retry makes sense.
func (e *Error) After(d time.Duration) *Error {
	e.RetryAfter = d
	return e
}

// Error is the text for operators: operation, kind, public sentence and cause.
func (e *Error) Error() string {
	s := e.Op + ": " + string(e.Kind) + ": " + e.Public
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause for errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// Of returns the fault in err, or makes one: context errors become canceled or source-neutral timeouts, anything else
// internal. It returns nil for nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.Canceled) {
		return New(Canceled, "", "the request was cancelled", err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return New(TransformTimeout, "", "the answer took too long", err)
	}
	return New(Internal, "", "an internal error", err)
}

// KindOf is the Kind of err as Of classifies it; "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	return Of(err).Kind
}
