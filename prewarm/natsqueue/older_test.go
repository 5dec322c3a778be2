package natsqueue

import (
	"bufio"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/webhook"
)

// kept is what a server of an older version left in its queue: of a job that has ended, whose events are not yet
// delivered, and of two jobs in progress. A line is a record (key, mark, body) or a ticket (lane, id).
const kept = "testdata/v0.7.jsonl"

// older puts what is kept into a queue and returns the bodies by key.
func older(t *testing.T, q *Queue) map[string]string {
	t.Helper()
	file, err := os.Open(kept)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	bodies := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var line struct{ Key, Mark, Body, Lane, ID string }
		if err = json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Lane != "" {
			err = q.Put(t.Context(), ledger.Ticket{Lane: line.Lane, ID: line.ID})
		} else {
			err = q.Write(t.Context(), &ledger.Record{Key: line.Key, Mark: line.Mark, Body: []byte(line.Body)})
		}
		if err != nil {
			t.Fatalf("%s%s: %v", line.Lane, line.Key, err)
		}
		bodies[line.Key] = line.Body
	}
	return bodies
}

// After an upgrade jobs in progress go on, events are delivered, and what has ended is shown as before.
func TestRecordsOfAnOlderVersion(t *testing.T) {
	q := openNow(t)
	bodies := older(t, q)
	l := &teller{told: make(chan webhook.Event), answer: make(chan error)}
	w := newWorld()
	i := start(t, q, w, true, telling(l))
	seen := map[string]webhook.Event{}
	for range 2 {
		e := <-l.told
		seen[e.Type] = e
		l.answer <- nil
	}
	if j := seen[webhook.JobDone].Job; j.State != ledger.Partial || j.Counts.Made != 4 || j.Tags[0] != "spring" {
		t.Errorf("the event of the end has %+v", j)
	}
	if b := seen[webhook.ImageBroken].Broken; len(b) != 2 || !strings.HasSuffix(b[0].Source, "/bad.jpg") {
		t.Errorf("the broken images are %+v", b)
	}
	found, err := i.Broken(t.Context(), everyone, time.Time{}, 100)
	if err != nil || len(found) != 2 {
		t.Errorf("the broken sources are %+v, %v", found, err)
	}
	read := 0
	for key, body := range bodies {
		var into any
		switch kind, _, _ := strings.Cut(key, "."); kind {
		case "job":
			j := &ledger.JobRecord{}
			into = j
			defer func() { agree(t, i, ended(t, i, j.ID)) }()
		case "task":
			into = &ledger.Task{}
		default:
			continue
		}
		read++
		holdsAll(t, key, body, into)
	}
	if read != 6 {
		t.Errorf("%d of 6 records were read", read)
	}
}

// holdsAll fails unless a value that was read from a body is written with all that the body has, so that an instance
// of the older version can read it.
func holdsAll(t *testing.T, key, body string, into any) {
	t.Helper()
	var was, is any
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(into)
	if err != nil || json.Unmarshal(again, &is) != nil || json.Unmarshal([]byte(body), &was) != nil {
		t.Fatalf("%s: %v", key, err)
	}
	if !contains(is, was) {
		t.Errorf("%s was\n%s\nand is written as\n%s", key, body, again)
	}
}

// contains reports whether a JSON value has all that another one has.
func contains(is, was any) bool {
	switch was := was.(type) {
	case map[string]any:
		all, ok := is.(map[string]any)
		for name, v := range was {
			ok = ok && contains(all[name], v)
		}
		return ok
	case []any:
		all, ok := is.([]any)
		ok = ok && len(all) == len(was)
		for n, v := range was {
			ok = ok && contains(all[n], v)
		}
		return ok
	}
	return reflect.DeepEqual(is, was)
}
