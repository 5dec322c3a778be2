package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/pause"
)

// APIConfig has the address of the private listener and the credentials.
type APIConfig struct {
	// URL is the address of the private listener: "http://goldcrest.internal:8081".
	URL string
	// Token is a bearer token with the scopes of the calls.
	Token string
	// HTTP makes the requests. nil means a client of its own. Its Timeout should be 0: the context bounds each call,
	// and long polls take up to a minute.
	HTTP *http.Client
	// Attempts is how often a call with a retryable failure is tried. 0 means 8.
	Attempts int
	// MaxPause limits the pause between two attempts, whatever Retry-After says. 0 means 30 s. If Retry-After exceeds
	// all remaining pauses, the call ends at once.
	MaxPause time.Duration
}

// API calls the private listener for a backend. It retries temporary failures (no connection, 429, 503 and others)
// after the pause that the server asks for; every call is safe to repeat. Safe for concurrent use.
type API struct {
	cfg   APIConfig
	pause func(ctx context.Context, d time.Duration) error
}

// Error is a refusal by the server: its problem document.
type Error struct {
	Status     int           `json:"status"`
	Code       string        `json:"code"` // queue_full, bad_selector, ...
	Title      string        `json:"title"`
	Detail     string        `json:"detail"`
	Retryable  bool          `json:"retryable"`
	RequestID  string        `json:"request_id"` // as in the server's log
	RetryAfter time.Duration `json:"-"`          // 0 = not given
}

// Error returns the code and what was wrong.
func (e *Error) Error() string {
	text := e.Detail
	if text == "" {
		text = e.Title
	}
	if e.RequestID == "" {
		return fmt.Sprintf("%s (%d %s)", text, e.Status, e.Code)
	}
	return fmt.Sprintf("%s (%d %s, request %s)", text, e.Status, e.Code, e.RequestID)
}

// NewAPI makes an API. It connects to nothing.
func NewAPI(cfg APIConfig) (*API, error) {
	if strings.Contains(cfg.URL, "@") { // it may contain a password, which must not appear in an error
		return nil, errors.New("client: the URL of the private listener contains a user name")
	}
	if !isBase(cfg.URL) {
		return nil, fmt.Errorf("client: %q is not the http or https URL of a private listener", cfg.URL)
	}
	if cfg.Token == "" {
		return nil, errors.New("client: the API needs a bearer token")
	}
	if strings.ContainsFunc(cfg.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("client: the token contains a character that is not allowed in a header")
	}
	cfg.URL = strings.TrimRight(cfg.URL, "/")
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{}
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = 8
	}
	if cfg.MaxPause <= 0 {
		cfg.MaxPause = 30 * time.Second
	}
	return &API{cfg: cfg, pause: pause.For}, nil
}

// request is one call, kept so that it can be sent again.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	body         []byte
}

// jsonRequest is a POST of a JSON value.
func jsonRequest(path string, v any) (request, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return request{}, fmt.Errorf("client: %w", err)
	}
	return request{method: http.MethodPost, path: path, body: body, header: http.Header{"Content-Type": {"application/json"}}}, nil
}

// reply is a complete successful response.
type reply struct {
	header http.Header
	body   []byte
}

// fetch sends r, with retries, and decodes the response.
func (a *API) fetch(ctx context.Context, r request, into any) error {
	res, err := a.send(ctx, r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(res.body, into); err != nil {
		return fmt.Errorf("client: %s %s: the answer cannot be read: %w", r.method, r.path, err)
	}
	return nil
}

// send sends r until it gets a complete successful response or a permanent refusal.
func (a *API) send(ctx context.Context, r request) (reply, error) {
	body, encoding := r.body, ""
	if len(body) > 4<<10 {
		body, encoding = compress(body), "gzip"
	}
	for try := 1; ; try++ {
		res, err := a.once(ctx, r, body, encoding)
		if err == nil {
			return res, nil
		}
		wait, again := retryAfter(err, try)
		if !again || try >= a.cfg.Attempts || ctx.Err() != nil || a.tooLate(err, try) {
			return reply{}, fmt.Errorf("client: %s %s: %w", r.method, r.path, err)
		}
		if stopped := a.pause(ctx, min(wait, a.cfg.MaxPause)); stopped != nil {
			return reply{}, fmt.Errorf("client: %s %s: %w", r.method, r.path, err)
		}
	}
}

// tooLate reports whether the server asks for a longer pause than all remaining ones: a daily quota may be free only
// hours later.
func (a *API) tooLate(err error, try int) bool {
	var e *Error
	return errors.As(err, &e) && e.RetryAfter > time.Duration(a.cfg.Attempts-try)*a.cfg.MaxPause
}

// once sends r once. Any status of 400 and above is an *Error.
func (a *API) once(ctx context.Context, r request, body []byte, encoding string) (reply, error) {
	target := a.cfg.URL + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	req.Header.Set("Authorization", "Bearer "+a.cfg.Token)
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	res, err := a.cfg.HTTP.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer drain(res.Body)
	if res.StatusCode >= 300 {
		return reply{}, refusal(res)
	}
	text, err := io.ReadAll(res.Body)
	return reply{res.Header, text}, err
}

// refusal decodes a problem document; for any other body it uses the status.
func refusal(res *http.Response) *Error {
	e := &Error{}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if kind != "application/problem+json" || json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(e) != nil {
		e = &Error{Title: http.StatusText(res.StatusCode), Code: "no_problem_document"}
		switch res.StatusCode {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			e.Retryable = true
		}
	}
	e.Status = res.StatusCode
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}

// retryAfter says whether to retry, and after which pause: what the server asks for, else a random part of a second
// that doubles with each attempt. Some jitter is always added, so that many callers do not retry together.
func retryAfter(err error, try int) (time.Duration, bool) {
	backoff := time.Second << min(try-1, 5)
	jitter := mathrand.N(backoff)
	var e *Error
	if !errors.As(err, &e) {
		return jitter, !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}
	if e.RetryAfter > 0 {
		return e.RetryAfter + jitter/4, e.Retryable
	}
	return jitter, e.Retryable
}

// compress is gzip at its fastest level: Data Units are text, and the network is rarely faster than that.
func compress(body []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level is valid,
	_, _ = z.Write(body)                            // and a Buffer accepts everything
	_ = z.Close()
	return b.Bytes()
}

// drain reads the rest of a small body, so that its connection can be used again.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10)
	_ = body.Close()
}

// newKey makes a unique idempotency key.
func newKey() string { return rand.Text() }
