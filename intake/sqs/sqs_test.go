package sqs

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/intake/intaketest"
)

// wire is a process' connection, which can be cut.
type wire struct {
	cut    atomic.Bool
	failed atomic.Int64 // polls that reached nobody
	short  atomic.Bool  // polls wait for a second at most
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	if w.cut.Load() {
		return nil, errors.New("the process is dead")
	}
	if w.short.Load() {
		if err := shorten(r); err != nil {
			return nil, err
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if w.cut.Load() && err == nil {
		resp.Body.Close()
		err = errors.New("the process is dead")
	}
	if err != nil && strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".ReceiveMessage") {
		w.failed.Add(1)
	}
	return resp, err
}

// shorten makes a long poll a short one.
func shorten(r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	body = bytes.Replace(body, fmt.Appendf(nil, `"WaitTimeSeconds":%d`, longPoll), []byte(`"WaitTimeSeconds":1`), 1)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return nil
}

const attempts = 2

func settings(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-central-1",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
}

func (f *fake) config() Config {
	return Config{
		Queue: f.url("units"), Dead: f.url("dead"), Endpoint: "http://" + f.addr,
		Visibility: f.visibility,
	}
}

// open makes a door, and what cuts it off.
func (f *fake) open(t *testing.T) (*Door, *wire) {
	t.Helper()
	return open(t, f.config())
}

func open(t *testing.T, c Config) (*Door, *wire) {
	t.Helper()
	w := &wire{}
	d, err := Open(t.Context(), c, func(o *sqs.Options) { o.HTTPClient, o.RetryMaxAttempts = w, attempts })
	if err != nil {
		t.Fatal(err)
	}
	return d, w
}

// post puts a message into a queue, as a sender does.
func (f *fake) post(t *testing.T, m intake.Message) {
	t.Helper()
	post(t, f.config(), m)
}

func post(t *testing.T, c Config, m intake.Message) {
	t.Helper()
	d, _ := open(t, c)
	body, attributes := string(m.Body), map[string]types.MessageAttributeValue{}
	set := func(name, value string) {
		if value != "" {
			attributes[name] = text(value)
		}
	}
	set(attrID, m.ID)
	set(attrType, m.Type)
	set(attrEncoding, m.Encoding)
	if body == "" || strings.ContainsFunc(body, func(r rune) bool { return !carried(r) || r == 0xfffd }) {
		set(attrTransfer, "base64")
		if body = base64.StdEncoding.EncodeToString(m.Body); body == "" {
			body = "=="
		}
	}
	in := &sqs.SendMessageInput{QueueUrl: &c.Queue, MessageBody: &body, MessageAttributes: attributes}
	if _, err := d.client.SendMessage(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func (f *fake) stored(name string) []stored {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []stored
	for _, m := range f.queues[name].messages {
		all = append(all, *m)
	}
	return all
}

func (f *fake) broker() intaketest.Broker {
	return intaketest.Broker{
		Open: func(t *testing.T) intaketest.Door {
			d, w := f.open(t)
			return intaketest.Door{
				Intake: d, Outlet: d.Outlet(f.url("verdicts.fifo")),
				Kill: func() { w.cut.Store(true) }, Close: func() {},
			}
		},
		// Restart is nil: what a process holds while the service is away it can still acknowledge after, which
		// TestReceiveResumesAfterAnOutageOfSQS holds.
		Send: f.post,
		Dead: func(*testing.T) (all []intaketest.Dead) {
			for _, m := range f.stored("dead") {
				read := message(types.Message{Body: &m.Body, MessageAttributes: attributes(m)})
				reason := m.Attributes[attrReason].StringValue
				all = append(all, intaketest.Dead{ID: read.ID, Body: read.Body, Reason: reason})
			}
			return all
		},
		Notices: func(*testing.T) (all []intake.Notice) {
			for _, m := range f.stored("verdicts.fifo") {
				get := func(name string) string { return m.Attributes[name].StringValue }
				all = append(all, intake.Notice{
					ID: get(attrNotice), Type: get(attrKind), Job: get(attrJob), Message: get(attrID),
					Body: []byte(m.Body),
				})
			}
			return all
		},
	}
}

func attributes(m stored) map[string]types.MessageAttributeValue {
	all := map[string]types.MessageAttributeValue{}
	for name, a := range m.Attributes {
		all[name] = text(a.StringValue)
	}
	return all
}

func queues(t *testing.T) *fake {
	settings(t)
	f := newFake(t, "units", "dead", "verdicts.fifo")
	f.visibility = 2 * time.Second
	return f
}

func TestConformance(t *testing.T) {
	intaketest.Run(t, func(t *testing.T) intaketest.Broker { return queues(t).broker() })
}

// running receives until the test ends.
func running(t *testing.T, d *Door, slots int, h intake.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Receive(ctx, slots, h) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Receive = %v", err)
		}
	}
	return stop
}

// A message that is in work for longer than it is hidden stays hidden: nobody gets it a second time.
func TestVisibilityIsExtended(t *testing.T) {
	f := queues(t)
	d, _ := f.open(t)
	f.post(t, intake.Message{ID: "slow", Body: []byte("{}")})
	got := make(chan struct{}, 10)
	stop := running(t, d, 2, func(ctx context.Context, _ intake.Message) intake.Outcome {
		got <- struct{}{}
		f.until(t, func() bool { return f.calls["ChangeMessageVisibilityBatch"] >= 6 }) // Twice its time.
		return intake.Outcome{}
	})
	f.until(t, func() bool { return f.calls["DeleteMessageBatch"] == 1 })
	stop()
	if len(got) != 1 || len(f.stored("units")) != 0 {
		t.Errorf("it was delivered %d times, and %d are left", len(got), len(f.stored("units")))
	}
}

// until waits for something about the fake.
func (f *fake) until(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		f.mu.Lock()
		done := ok()
		f.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(end) {
			t.Error("it does not come about")
			return
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Of a batch that fails in part the rest is told again: every message is deleted, none is delivered twice.
func TestPartialBatchFailures(t *testing.T) {
	f := queues(t)
	f.visibility = time.Minute // The pauses between tries must not let it end.
	d, _ := f.open(t)
	tried := map[string]int{}
	f.refuse = func(action, receipt string) bool {
		tried[receipt]++
		first := receipt[0] < '8' // Of each batch about a half fails, twice.
		return action == "DeleteMessageBatch" && first && tried[receipt] < 3
	}
	const all = 40
	for i := range all {
		f.post(t, intake.Message{ID: fmt.Sprint("m-", i), Body: []byte("{}")})
	}
	var delivered atomic.Int64
	stop := running(t, d, 20, func(context.Context, intake.Message) intake.Outcome {
		delivered.Add(1)
		return intake.Outcome{}
	})
	f.until(t, func() bool { return len(f.queues["units"].messages) == 0 })
	stop()
	if delivered.Load() != all {
		t.Errorf("%d messages were delivered %d times", all, delivered.Load())
	}
}

// The service is away while messages are in work: Receive ends with an error once their handlers have returned, what
// they accepted is deleted when the service is back, and the next Receive goes on.
func TestReceiveResumesAfterAnOutageOfSQS(t *testing.T) {
	f := queues(t)
	d, w := f.open(t)
	f.post(t, intake.Message{ID: "m-1", Body: []byte("{}")})
	held, accept := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- d.Receive(context.Background(), 2, func(context.Context, intake.Message) intake.Outcome {
			close(held)
			<-accept
			return intake.Outcome{}
		})
	}()
	<-held
	f.until(t, func() bool { return f.calls["ReceiveMessage"] >= 2 }) // It waits for more.
	f.away(func() { f.until(t, func() bool { return w.failed.Load() >= attempts }) })
	close(accept)
	if err := <-ended; err == nil {
		t.Error("Receive = nil while the service was away")
	}
	f.post(t, intake.Message{ID: "m-2", Body: []byte("{}")})
	got := make(chan string, 10)
	stop := running(t, d, 2, func(_ context.Context, m intake.Message) intake.Outcome {
		got <- m.ID
		return intake.Outcome{}
	})
	f.until(t, func() bool { return len(f.queues["units"].messages) == 0 })
	stop()
	if len(got) != 1 || <-got != "m-2" {
		t.Error("what was accepted while the service was away came again")
	}
}

// A dead letter that cannot be put stays where it is, and is put when it comes again.
func TestDeadLettersAreNotLost(t *testing.T) {
	f := queues(t)
	cfg := f.config()
	cfg.Dead = f.url("dead2")
	d, err := Open(t.Context(), cfg, func(o *sqs.Options) { o.RetryMaxAttempts = 1 })
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("ä", 2000)
	f.post(t, intake.Message{ID: "poison", Body: []byte("{")})
	stop := running(t, d, 1, func(context.Context, intake.Message) intake.Outcome {
		return intake.Outcome{Reason: fault.BadUnit, Detail: long}
	})
	f.until(t, func() bool { return f.calls["SendMessage"] >= 2 && f.calls["ChangeMessageVisibilityBatch"] >= 1 })
	f.mu.Lock()
	f.queues["dead2"], f.faults = &queue{seen: map[string]time.Time{}}, nil
	f.mu.Unlock()
	f.until(t, func() bool { return len(f.queues["dead2"].messages) == 1 && len(f.queues["units"].messages) == 0 })
	stop()
	dead := f.stored("dead2")[0]
	detail := dead.Attributes[attrDetail].StringValue
	if !strings.HasPrefix(long, detail) || len(detail) != mostDetail {
		t.Errorf("the detail is %d bytes: %q", len(detail), detail)
	}
}

func TestMessage(t *testing.T) {
	for name, tt := range map[string]struct {
		body, transfer, id string
		want               intake.Message
	}{
		"its own id":   {"{}", "", "", intake.Message{ID: "sqs-1", Body: []byte("{}")}},
		"the sender's": {"{}", "", "mine", intake.Message{ID: "mine", Body: []byte("{}")}},
		"base64":       {"e30=", "Base64", "", intake.Message{ID: "sqs-1", Body: []byte("{}")}},
		"no padding":   {"e30", "base64", "", intake.Message{ID: "sqs-1", Body: []byte("{}")}},
		"no base64":    {"{}", "base64", "", intake.Message{Unreadable: notBase64}},
		"another":      {"{}", "uuencode", "", intake.Message{Unreadable: unknownTransfer}},
	} {
		m := types.Message{MessageId: aws.String("sqs-1"), Body: &tt.body}
		m.MessageAttributes = map[string]types.MessageAttributeValue{}
		for attr, value := range map[string]string{attrTransfer: tt.transfer, attrID: tt.id} {
			if value != "" {
				m.MessageAttributes[attr] = text(value)
			}
		}
		got := message(m)
		same := got.ID == tt.want.ID && string(got.Body) == string(tt.want.Body)
		if got.Unreadable != tt.want.Unreadable || got.Unreadable == "" && !same {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestValidate(t *testing.T) {
	good := Config{Queue: "https://sqs.example/1/units", Dead: "https://sqs.example/1/dead"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for said, change := range map[string]func(*Config){
		"queue: \"units\" is not a URL": func(c *Config) { c.Queue = "units" },
		"dead: \"\" is not a URL":       func(c *Config) { c.Dead = "" },
		"endpoint: ":                    func(c *Config) { c.Endpoint = "localhost:9324" },
		"dead: is the queue":            func(c *Config) { c.Dead = c.Queue },
		"FIFO":                          func(c *Config) { c.Queue += ".fifo" },
		"visibility: 10ms":              func(c *Config) { c.Visibility = 10 * time.Millisecond },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("%v does not say %q", err, said)
		}
	}
}
