package exchange

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
)

// The Kinds that only HTTP can cause.
const (
	RangeNotSatisfiable fault.Kind = "range_not_satisfiable"
	PreconditionFailed  fault.Kind = "precondition_failed"
)

// canceledStatus is only logged: the client is gone.
const canceledStatus = 499

// refusal is the response to one Kind of failure.
type refusal struct {
	status int
	ttl    time.Duration // how long caches may keep the response; 0 = no-store
	title  string
	retry  time.Duration // Retry-After if the fault has none; 0 = none
}

// refusals is the contract's table from Kind to HTTP. A temporary failure is never cached.
var refusals = map[fault.Kind]refusal{
	fault.BadPath:           {400, time.Hour, "The path is not an image path", 0},
	fault.BadOption:         {400, time.Hour, "An option has a value that is not allowed", 0},
	fault.UnsupportedOption: {400, time.Hour, "An option is not supported", 0},
	fault.BadSource:         {400, time.Hour, "The source is not a usable URL", 0},

	fault.Unauthorized:     {401, time.Minute, "A valid token is needed", 0},
	fault.ForbiddenScope:   {403, time.Minute, "The caller may not do this", 0},
	fault.BadSignature:     {403, time.Minute, "The signature does not match", 0},
	fault.KeyNotValid:      {403, time.Minute, "The signing key is not valid now", 0},
	fault.SourceNotAllowed: {403, time.Minute, "The source is not allowed", 0},
	fault.AddressBlocked:   {403, time.Minute, "The source's address is blocked", 0},

	fault.SourceNotFound: {404, time.Minute, "The source does not exist", 0},
	fault.NotFound:       {404, time.Minute, "There is nothing here", 0},
	fault.NoSuchJob:      {404, time.Minute, "There is no such job", 0},

	fault.MethodNotAllowed:    {405, 0, "The method is not allowed", 0},
	fault.BodyTimeout:         {408, 0, "The request body came too slowly", 0},
	fault.IdempotencyConflict: {409, 0, "The idempotency key belongs to another body", 0},
	fault.URLExpired:          {410, time.Hour, "The URL has expired", 0},
	PreconditionFailed:        {412, 0, "A condition of the request does not hold", 0},
	fault.SourceTooLarge:      {413, time.Hour, "The source is too large", 0},
	fault.BodyTooLarge:        {413, time.Hour, "The request body is too large", 0},

	fault.NotAnImage:        {415, 5 * time.Minute, "The source is not an image", 0},
	fault.UnsupportedFormat: {415, 5 * time.Minute, "The source's format is not supported", 0},
	RangeNotSatisfiable:     {416, 0, "The range lies outside the picture", 0},

	fault.TooManyPixels:   {422, 5 * time.Minute, "The source has too many pixels", 0},
	fault.TooManyFrames:   {422, 5 * time.Minute, "The source has too many frames", 0},
	fault.ResultTooLarge:  {422, 5 * time.Minute, "The picture asked for is too large", 0},
	fault.DecodeFailed:    {422, 5 * time.Minute, "The source cannot be decoded", 0},
	fault.TruncatedSource: {422, 5 * time.Minute, "The source is incomplete", 0},
	fault.HashMismatch:    {422, 5 * time.Minute, "The source is not the one that was signed", 0},
	fault.TooCostly:       {422, 5 * time.Minute, "The source costs too much to decode", 0},
	fault.Poison:          {422, 5 * time.Minute, "The source crashed the decoder", 0},

	fault.BadUnit:     {422, 5 * time.Minute, "The Data Unit cannot be read", 0},
	fault.BadSelector: {422, 5 * time.Minute, "The selector is not usable", 0},

	fault.QuotaExceeded: {429, 0, "The token's quota is used up", 30 * time.Second},
	fault.QueueFull:     {429, 0, "The queue is full", 5 * time.Second},
	fault.RateLimited:   {429, 0, "Too many requests", time.Second},
	fault.Canceled:      {canceledStatus, 0, "The caller closed the connection", 0},
	fault.Internal:      {500, 0, "An internal error", 0},

	fault.SourceError:      {502, 0, "The source's server failed", 0},
	fault.ConnectFailed:    {502, 0, "The source's server cannot be reached", 0},
	fault.TLSFailed:        {502, 0, "The source's server has no valid certificate", 0},
	fault.TooManyRedirects: {502, 0, "The source redirects too often", 0},
	fault.SourceForbidden:  {502, 0, "The source's server refuses access", 0},
	fault.DNSFailed:        {502, 0, "The source's host name cannot be resolved", 0},

	fault.Overloaded:        {503, 0, "The server is overloaded", time.Second},
	fault.ShuttingDown:      {503, 0, "The server is shutting down", time.Second},
	fault.OriginCircuitOpen: {503, 0, "The source's server is failing and is not called for now", 5 * time.Second},

	fault.SourceTimeout:    {504, 0, "The source's server was too slow", 0},
	fault.TransformTimeout: {504, 0, "The picture took too long to make", 0},
	fault.NotCached:        {504, 0, "The picture is not in the cache", 0},

	fault.DiskFull: {507, 0, "The queue's disk is full", 30 * time.Second},
}

// refusalOf is the row of kind; a Kind without one is a bug and an internal error.
func refusalOf(kind fault.Kind) refusal {
	if r, ok := refusals[kind]; ok {
		return r
	}
	return refusals[fault.Internal]
}

// problem is an RFC 9457 problem document.
type problem struct {
	Type      string     `json:"type"`
	Title     string     `json:"title"`
	Status    int        `json:"status"`
	Code      fault.Kind `json:"code"`
	Detail    string     `json:"detail"`
	Retryable bool       `json:"retryable"`
	RequestID string     `json:"request_id"`
}

// FaultOf classifies an error of a handler or of the router.
func FaultOf(r *http.Request, err error) *fault.Error {
	var he *echo.HTTPError
	if errors.As(err, &he) {
		switch he.Code {
		case http.StatusNotFound:
			return fault.New(fault.NotFound, "exchange.route", "there is nothing at this path", nil)
		case http.StatusMethodNotAllowed:
			return fault.New(fault.MethodNotAllowed, "exchange.route", "this method is not allowed here", nil)
		}
	}
	f := fault.Of(err)
	if f.Kind == fault.Canceled && r.Context().Err() == nil {
		// The work was cancelled although its caller still waits: only a stop does that.
		return fault.New(fault.ShuttingDown, f.Op, "this server is shutting down", err)
	}
	return f
}

// Fail answers err as a problem document and notes it for the log.
func (s *Responder) Fail(c echo.Context, err error) {
	k, w, r := CallOf(c), c.Response(), c.Request()
	f := FaultOf(r, err)
	k.Kind, k.Cause = f.Kind, err
	if w.Committed {
		return // the body has begun; its Content-Length tells the client that it is truncated
	}
	status, _ := s.Refuse(w.Header(), k, f)
	if f.Kind == fault.Canceled {
		w.WriteHeader(status)
		return
	}
	body, _ := json.Marshal(problem{ // a struct of strings can always be marshalled
		Type: "urn:goldcrest:error:" + string(f.Kind), Title: refusalOf(f.Kind).title, Status: status, Code: f.Kind,
		Detail: fault.Redact(f.Public), Retryable: f.Kind.Retryable(), RequestID: k.ID,
	})
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that left needs no response
	}
}

// Refuse sets the headers of every failed response, whatever its body, and removes those of a success. It returns the
// status, and how long caches may keep the response.
func (s *Responder) Refuse(h http.Header, k *Call, f *fault.Error) (status int, ttl time.Duration) {
	row := refusalOf(f.Kind)
	if k.Unkept {
		row.ttl = 0
	}
	if k.Status != 0 {
		row.status = k.Status
	}
	for _, name := range []string{"ETag", "Last-Modified", "Accept-Ranges", "Content-Disposition", "Goldcrest-Frames", "Goldcrest-Reduced"} {
		h.Del(name)
	}
	h.Set("X-Error", string(f.Kind))
	h.Set("Cache-Control", "no-store")
	if ttl := k.Clip(row.ttl, s.Now()); row.ttl > 0 {
		h.Set("Cache-Control", "max-age="+Seconds(ttl))
	}
	if retry := max(f.RetryAfter, row.retry); retry > 0 && row.ttl == 0 {
		h.Set("Retry-After", Seconds(max(retry+time.Second-1, time.Second)))
	}
	if f.Kind == fault.Unauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="goldcrest"`)
	}
	s.SetShared(h, k)
	return row.status, row.ttl
}
