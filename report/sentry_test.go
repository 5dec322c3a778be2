package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// event is the payload of an event's item, as far as the tests read it.
type event struct {
	ID          string            `json:"event_id"`
	Timestamp   string            `json:"timestamp"`
	Platform    string            `json:"platform"`
	Level       string            `json:"level"`
	Message     string            `json:"message"`
	Release     string            `json:"release"`
	Environment string            `json:"environment"`
	Server      string            `json:"server_name"`
	Tags        map[string]string `json:"tags"`
	Fingerprint []string          `json:"fingerprint"`
	Exception   []struct {
		Type, Value string
		Stacktrace  *struct{ Frames []frame }
	}
	raw string
}

type frame struct {
	Function, Module, Filename string
	Lineno                     int
	InApp                      bool `json:"in_app"`
}

// fake is a server with Sentry's protocol that accepts only what the protocol's documentation allows.
type fake struct {
	*httptest.Server
	mu     sync.Mutex
	events []event
}

func startSentry(t *testing.T) *fake {
	s := &fake{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, err := readEnvelope(r)
		if err != nil {
			t.Error(err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.events = append(s.events, e)
		fmt.Fprintf(w, `{"id":%q}`, e.ID)
	}))
	t.Cleanup(s.Close)
	return s
}

var (
	uuid4  = regexp.MustCompile(`^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$`)
	levels = regexp.MustCompile(`^(fatal|error|warning|info|debug)$`)
)

// readEnvelope reads the envelope of one event: a line of headers, then the item's headers, then exactly as many bytes
// as these say.
func readEnvelope(r *http.Request) (e event, err error) {
	auth := r.Header.Get("X-Sentry-Auth")
	for _, part := range []string{"Sentry ", "sentry_version=7", "sentry_key=0123456789abcdef",
		"sentry_client=sentry.go/"} {
		if !strings.Contains(auth, part) {
			return e, fmt.Errorf("X-Sentry-Auth is %q, without %q", auth, part)
		}
	}
	if r.Method != "POST" || r.URL.Path != "/api/42/envelope/" ||
		r.Header.Get("Content-Type") != "application/x-sentry-envelope" {
		return e, fmt.Errorf("%s %s of %s", r.Method, r.URL, r.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return e, err
	}
	head, rest, _ := bytes.Cut(body, []byte("\n"))
	itemHead, payload, _ := bytes.Cut(rest, []byte("\n"))
	var envelope struct {
		ID   string `json:"event_id"`
		Sent string `json:"sent_at"`
	}
	var item struct {
		Type   string
		Length *int
	}
	if err := errors.Join(json.Unmarshal(head, &envelope), json.Unmarshal(itemHead, &item)); err != nil {
		return e, fmt.Errorf("the headers %s and %s: %w", head, itemHead, err)
	}
	if item.Type != "event" || item.Length == nil || *item.Length > len(payload) {
		return e, fmt.Errorf("the item's headers are %s, %d bytes follow", itemHead, len(payload))
	}
	if end := string(payload[*item.Length:]); end != "" && end != "\n" {
		return e, fmt.Errorf("after the item there is %q", end)
	}
	e.raw = string(body)
	if err := json.Unmarshal(payload[:*item.Length], &e); err != nil {
		return e, err
	}
	_, sent := time.Parse(time.RFC3339, envelope.Sent)
	_, at := time.Parse(time.RFC3339, e.Timestamp)
	if !uuid4.MatchString(e.ID) || e.ID != envelope.ID || e.Platform != "go" || !levels.MatchString(e.Level) ||
		sent != nil || at != nil {
		return e, fmt.Errorf("a required key is wrong: %s", body)
	}
	for name, value := range e.Tags {
		if len(name) > 32 || len(value) > 200 || value == "" {
			return e, fmt.Errorf("the tag %s is %q", name, value)
		}
	}
	for _, x := range e.Exception {
		if x.Type == "" && x.Value == "" || x.Stacktrace != nil && len(x.Stacktrace.Frames) == 0 {
			return e, fmt.Errorf("an exception lacks what it requires: %+v", x)
		}
	}
	return e, nil
}

// dsn is a file with the DSN of s.
func (s *fake) dsn(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(file, []byte(strings.Replace(s.URL, "://", "://0123456789abcdef@", 1)+"/42\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
