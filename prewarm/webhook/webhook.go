// Package webhook sends callbacks about jobs. An event is in the ledger before it is sent, and stays until it is
// accepted or given up. So each is delivered at least once, signed, and only to hosts that the configuration allows.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/trace"
)

// The types of Event.
const (
	JobDone     = "job.done"     // the job has ended, in whatever state
	ImageBroken = "image.broken" // sources were found broken since the last event of this kind
)

// Event is one event that is sent to a job's callback.
type Event struct {
	ID     string     // the same at every try, so receivers can drop duplicates; letters, digits, "_" and "-"
	Type   string     // JobDone or ImageBroken
	Job    ledger.Job // with its Callback
	Broken []BrokenImage
	At     time.Time
}

// Teller delivers an event once. Sender implements it.
type Teller interface {
	Tell(ctx context.Context, e Event) error
}

// Doer sends one HTTP request. It must guard the addresses to which it connects, follow no redirects and use no proxy.
type Doer interface {
	Do(r *http.Request) (*http.Response, error)
}

// Delays returns the pauses between the tries of one event: eight tries within 24 hours. A longer RetryAfter of a fault
// takes precedence.
func Delays() []time.Duration {
	return []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 4 * time.Hour, 7 * time.Hour, 10 * time.Hour,
	}
}

const (
	timeout       = 15 * time.Second // of one try
	maxURL        = 2048
	maxReply      = 4 << 10 // bytes of a response that are read and discarded, so that the connection can be reused
	maxRetryAfter = 6 * time.Hour
)

// Sender sends events to callbacks as Standard Webhooks specifies. It is safe for concurrent use.
type Sender struct {
	client Doer
	now    func() time.Time
	rules  atomic.Pointer[rules]
}

var _ Teller = (*Sender)(nil)

type rules struct {
	allow   []host
	secrets [][]byte
}

// NewSender reads the secrets of cfg. now may be nil.
func NewSender(cfg Config, client Doer, now func() time.Time) (*Sender, error) {
	if now == nil {
		now = time.Now
	}
	w := &Sender{client: client, now: now}
	if err := w.Reload(cfg); err != nil {
		return nil, err
	}
	return w, nil
}

// Reload applies a new configuration at once, and reads the secrets again. An invalid one changes nothing.
func (w *Sender) Reload(cfg Config) error {
	r, err := cfg.rules()
	if err != nil {
		return err
	}
	w.rules.Store(&r)
	return nil
}

// Check says why a callback is refused (422): callbacks are off, its host is not allowed, its URL is not suitable, or
// it asks for unknown events.
func (w *Sender) Check(c unit.Callback) error {
	for _, event := range c.Events {
		if event != JobDone && event != ImageBroken {
			return refused("callback.events knows " + JobDone + " and " + ImageBroken)
		}
	}
	return w.rules.Load().check(c.URL)
}

func refused(public string) error { return fault.New(fault.BadUnit, "webhook.Check", public, nil) }

func (r *rules) check(raw string) error {
	if len(r.allow) == 0 {
		return refused("callbacks are off: prewarm.callbacks.allow names no host")
	}
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxURL || !slices.Contains([]string{"https", "http"}, u.Scheme) ||
		u.User != nil || u.Fragment != "" || !plainHost(u.Host) {
		return refused("callback.url is not a plain https URL")
	}
	switch allows := func(h host) bool { return h.matches(u) }; {
	case !slices.ContainsFunc(r.allow, allows):
		return refused("callback.url names a host that prewarm.callbacks.allow does not")
	case u.Scheme != "https" && !slices.ContainsFunc(r.allow, func(h host) bool { return h.plain && allows(h) }):
		return refused("callback.url must be https: prewarm.callbacks.allow has no http://HOST for it")
	}
	return nil
}

// Tell posts one event to its job's callback, once. A fault that is not retryable means that further tries are useless:
// the receiver is gone (410), or the callback is not allowed any more. For a job without a callback it does nothing.
func (w *Sender) Tell(ctx context.Context, e Event) error {
	if e.Job.Callback == nil {
		return nil
	}
	rules := w.rules.Load()
	if err := rules.check(e.Job.Callback.URL); err != nil {
		return err
	}
	body, err := e.Notice()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.Job.Callback.URL, bytes.NewReader(body))
	if err != nil {
		// err contains the URL.
		return fault.New(fault.BadUnit, "webhook.Tell", "callback.url is not a plain https URL", nil)
	}
	at := strconv.FormatInt(w.now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", e.ID)
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", rules.sign(e.ID, at, body))
	if e.Job.Request != "" {
		req.Header.Set("X-Request-Id", e.Job.Request)
	}
	if parent := trace.From(ctx).Parent(); parent != "" {
		req.Header.Set("Traceparent", parent)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return undelivered(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxReply)
	return w.verdict(resp)
}

// sign makes one signature for each secret, so that receivers can change secrets at any time while both are configured.
func (r *rules) sign(id, at string, body []byte) string {
	var all []string
	for _, secret := range r.secrets {
		mac := hmac.New(sha256.New, secret)
		_, _ = fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}

// undelivered makes a fault of a network error. It drops the URL that net/http adds, which may contain a receiver's
// secret.
func undelivered(err error) error {
	err = fault.WithoutURL(err)
	kind, public := fault.ConnectFailed, "the callback's host could not be reached"
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		kind = f.Kind
	case errors.Is(err, context.Canceled):
		kind = fault.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		kind = fault.SourceTimeout
	}
	if kind == fault.AddressBlocked {
		public = "the callback's address is not public"
	}
	return fault.New(kind, "webhook.Tell", public, err)
}

// verdict evaluates the status: 2xx is success, 410 means never try again, anything else, redirects too, is retried.
func (w *Sender) verdict(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusGone:
		return fault.New(fault.SourceNotFound, "webhook.Tell", "the callback's receiver refuses further calls (410)", nil)
	default:
		return fault.New(fault.SourceError, "webhook.Tell", fmt.Sprintf("the callback's receiver answered %d", code), nil).
			After(w.retryAfter(resp.Header.Get("Retry-After")))
	}
}

func (w *Sender) retryAfter(text string) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		return min(time.Duration(min(max(seconds, 0), 1<<30))*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(w.now()), 0), maxRetryAfter)
	}
	return 0
}
