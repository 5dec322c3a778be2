package sqs

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// fake is a server that speaks as SQS does, after its API reference: messages in any order unless the queue is FIFO, a
// new receipt at every delivery, the limits of calls, and batches that may fail in part. It is not kinder: a call that
// SQS refuses is refused.
type fake struct {
	t *testing.T

	mu      sync.Mutex
	queues  map[string]*queue
	changed chan struct{}                     // closed at every change
	refuse  func(action, receipt string) bool // whether an entry of a batch fails; nil = none does
	calls   map[string]int                    // by action
	faults  []string                          // calls that SQS would refuse
	server  *http.Server

	visibility time.Duration // of the tests' doors
	addr       string
}

type queue struct {
	fifo     bool
	messages []*stored
	seen     map[string]time.Time // deduplication ids
}

type stored struct {
	ID, Body, Group string
	Attributes      map[string]attribute
	receipt         string
	visible         time.Time
	received        int
}

type attribute struct {
	DataType    string
	StringValue string `json:",omitempty"`
	BinaryValue []byte `json:",omitempty"`
}

func newFake(t *testing.T, names ...string) *fake {
	t.Helper()
	f := &fake{t: t, queues: map[string]*queue{}, changed: make(chan struct{}), calls: map[string]int{}}
	for _, name := range names {
		f.queues[name] = &queue{fifo: strings.HasSuffix(name, ".fifo"), seen: map[string]time.Time{}}
	}
	f.listen("127.0.0.1:0")
	t.Cleanup(func() {
		_ = f.server.Close()
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, what := range f.faults {
			t.Errorf("SQS would have refused: %s", what)
		}
	})
	return f
}

func (f *fake) listen(addr string) {
	f.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.addr, f.server = l.Addr().String(), &http.Server{Handler: f}
	go func() { _ = f.server.Serve(l) }()
}

// away cuts all connections and refuses new ones while do runs. Queues are durable; what was received stays hidden for
// its time.
func (f *fake) away(do func()) {
	_ = f.server.Close()
	do()
	f.listen(f.addr)
}

func (f *fake) url(name string) string { return "http://" + f.addr + "/123456789012/" + name }

// input is the body of every call.
type input struct {
	QueueURL               string `json:"QueueUrl"`
	MessageBody            string
	MessageAttributes      map[string]attribute
	MessageGroupID         string `json:"MessageGroupId"`
	MessageDeduplicationID string `json:"MessageDeduplicationId"`
	MaxNumberOfMessages    *int
	WaitTimeSeconds        *int
	VisibilityTimeout      *int
	MessageAttributeNames  []string
	Entries                []entry
}

type entry struct {
	ID                string `json:"Id"`
	ReceiptHandle     string
	VisibilityTimeout *int
}

// refusal is an error of SQS.
type refusal struct{ code, message string }

func (r refusal) Error() string { return r.code + ": " + r.message }

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
	var in input
	var out any
	err := json.NewDecoder(r.Body).Decode(&in)
	signed := strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if err == nil && (!signed || r.Header.Get("Content-Type") != "application/x-amz-json-1.0") {
		err = refusal{"AccessDenied", "not signed, or not JSON 1.0"}
	}
	f.mu.Lock()
	f.calls[action]++
	f.mu.Unlock()
	if err == nil {
		out, err = f.do(r, action, in)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if err != nil {
		if r.Context().Err() == nil {
			f.mu.Lock()
			f.faults = append(f.faults, action+": "+err.Error())
			f.mu.Unlock()
		}
		code, _, _ := strings.Cut(err.Error(), ":")
		w.WriteHeader(http.StatusBadRequest)
		out = map[string]string{"__type": "com.amazonaws.sqs#" + code, "message": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (f *fake) do(r *http.Request, action string, in input) (any, error) {
	f.mu.Lock()
	q := f.queues[in.QueueURL[strings.LastIndex(in.QueueURL, "/")+1:]]
	f.mu.Unlock()
	if q == nil {
		return nil, refusal{"QueueDoesNotExist", in.QueueURL}
	}
	switch action {
	case "SendMessage":
		return f.send(q, in)
	case "ReceiveMessage":
		return f.receive(r, q, in)
	case "DeleteMessageBatch", "ChangeMessageVisibilityBatch":
		return f.batch(q, action, in)
	}
	return nil, refusal{"UnsupportedOperation", action}
}

// change does something to the queues, and wakes who waits for them.
func (f *fake) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	close(f.changed)
	f.changed = make(chan struct{})
}

func sum(text string) string { d := md5.Sum([]byte(text)); return hex.EncodeToString(d[:]) }

// lost reports whether SQS refuses a character.
func lost(r rune) bool { return !carried(r) }

// carried reports whether SQS carries a character.
func carried(r rune) bool {
	return r == 9 || r == 10 || r == 13 || r >= 0x20 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000
}

func (f *fake) send(q *queue, in input) (any, error) {
	size := len(in.MessageBody)
	for name, a := range in.MessageAttributes {
		size += len(name) + len(a.DataType) + len(a.StringValue)
		if a.StringValue == "" || strings.HasPrefix(strings.ToLower(name), "aws.") {
			return nil, refusal{"InvalidParameterValue", "attribute " + name}
		}
	}
	switch {
	case in.MessageBody == "":
		return nil, refusal{"MissingParameter", "MessageBody"}
	case !utf8.ValidString(in.MessageBody), strings.ContainsFunc(in.MessageBody, lost):
		return nil, refusal{"InvalidMessageContents", "a character"}
	case size > 1<<20:
		return nil, refusal{"InvalidParameterValue", "longer than 1 MiB"}
	case len(in.MessageAttributes) > 10:
		return nil, refusal{"InvalidParameterValue", "more than 10 attributes"}
	case q.fifo && (in.MessageGroupID == "" || in.MessageDeduplicationID == ""):
		return nil, refusal{"MissingParameter", "MessageGroupId or MessageDeduplicationId"}
	case !q.fifo && in.MessageDeduplicationID != "":
		return nil, refusal{"InvalidParameterValue", "MessageDeduplicationId"}
	}
	m := &stored{ID: rand64(), Body: in.MessageBody, Group: in.MessageGroupID, Attributes: in.MessageAttributes}
	f.change(func() {
		if q.fifo && time.Since(q.seen[in.MessageDeduplicationID]) < 5*time.Minute {
			return
		}
		q.seen[in.MessageDeduplicationID] = time.Now()
		q.messages = append(q.messages, m)
	})
	return map[string]string{"MessageId": m.ID, "MD5OfMessageBody": sum(m.Body)}, nil
}

func rand64() string { return fmt.Sprintf("%016x-%016x", rand.Uint64(), rand.Uint64()) }

func within(n *int, least, most, otherwise int) (int, bool) {
	if n == nil {
		return otherwise, true
	}
	return *n, *n >= least && *n <= most
}

func (f *fake) receive(r *http.Request, q *queue, in input) (any, error) {
	most, ok1 := within(in.MaxNumberOfMessages, 1, 10, 1)
	wait, ok2 := within(in.WaitTimeSeconds, 0, 20, 0)
	hidden, ok3 := within(in.VisibilityTimeout, 0, 43200, 30)
	if !ok1 || !ok2 || !ok3 {
		return nil, refusal{"InvalidParameterValue", "of ReceiveMessage"}
	}
	end := time.NewTimer(time.Duration(wait) * time.Second)
	defer end.Stop()
	tick := time.NewTicker(50 * time.Millisecond) // Messages become visible again.
	defer tick.Stop()
	for {
		f.mu.Lock()
		all, changed := q.take(most, time.Duration(hidden)*time.Second), f.changed
		f.mu.Unlock()
		if len(all) > 0 {
			return map[string]any{"Messages": all}, nil
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-end.C:
			return map[string]any{}, nil
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// take hides messages and gives them with new receipts.
func (q *queue) take(most int, hidden time.Duration) (all []map[string]any) {
	order := slices.Clone(q.messages)
	if !q.fifo {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	now := time.Now()
	for _, m := range order {
		if m.visible.After(now) {
			if q.fifo {
				break // One group is all that the tests need.
			}
			continue
		}
		m.visible, m.receipt, m.received = now.Add(hidden), rand64(), m.received+1
		all = append(all, map[string]any{
			"MessageId": m.ID, "ReceiptHandle": m.receipt, "Body": m.Body, "MD5OfBody": sum(m.Body),
			"MessageAttributes": m.Attributes,
		})
		if len(all) == most {
			break
		}
	}
	return all
}

// batch deletes messages or changes how long they are hidden.
func (f *fake) batch(q *queue, action string, in input) (any, error) {
	ids := map[string]bool{}
	for _, e := range in.Entries {
		ids[e.ID] = true
	}
	if len(in.Entries) == 0 || len(in.Entries) > 10 || len(ids) != len(in.Entries) {
		return nil, refusal{"TooManyEntriesInBatchRequest", strconv.Itoa(len(in.Entries))}
	}
	good, bad := []map[string]any{}, []map[string]any{}
	fail := func(id, code string, sender bool) {
		bad = append(bad, map[string]any{"Id": id, "Code": code, "SenderFault": sender})
	}
	f.change(func() {
		for _, e := range in.Entries {
			i := slices.IndexFunc(q.messages, func(m *stored) bool { return m.receipt == e.ReceiptHandle })
			hidden, ok := within(e.VisibilityTimeout, 0, 43200, 0)
			switch {
			case f.refuse != nil && f.refuse(action, e.ReceiptHandle):
				fail(e.ID, "InternalError", false)
				continue
			case !ok:
				fail(e.ID, "InvalidParameterValue", true)
				continue
			case action == "DeleteMessageBatch" && i >= 0:
				q.messages = slices.Delete(q.messages, i, i+1)
			case action == "DeleteMessageBatch": // An old receipt deletes nothing, and that is no failure.
			case i < 0 || q.messages[i].visible.Before(time.Now()):
				fail(e.ID, "MessageNotInflight", true)
				continue
			default:
				q.messages[i].visible = time.Now().Add(time.Duration(hidden) * time.Second)
			}
			good = append(good, map[string]any{"Id": e.ID})
		}
	})
	return map[string]any{"Successful": good, "Failed": bad}, nil
}
