// Package bucketevents parses the events of object stores, and plans by rules what to do: a new object is prewarmed,
// one that is replaced or deleted is purged. It does no I/O and keeps no state.
package bucketevents

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
)

// Event is one change of one object.
type Event struct {
	Bucket string
	// Key is the object's key as in the event: in notifications of S3 it is escaped as in a query, "+" for a blank.
	Key     string
	Escaped bool
	Deleted bool // otherwise the object was written
}

// maxEvents is the maximum number of events in one body. S3 sends one record in a body, but does not promise that.
const maxEvents = 1000

// Read parses a body: a notification of S3, the same event from EventBridge, or either of them in a notification of
// SNS. Other events are ignored. Fault: bad_unit.
func Read(body []byte) ([]Event, error) {
	var d document
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, unreadable("the body is not the JSON of an S3 event", err)
	}
	if d.Type == "Notification" && d.Message != "" {
		inner := []byte(d.Message)
		d = document{}
		if err := json.Unmarshal(inner, &d); err != nil {
			return nil, unreadable("the message of the SNS notification is not the JSON of an S3 event", err)
		}
	}
	switch {
	case d.Source == "aws.s3":
		return d.bridged()
	case d.Records != nil:
		return d.notified()
	case d.Event == "s3:TestEvent":
		return nil, nil
	}
	return nil, unreadable("the body is neither a notification of S3 nor an event of EventBridge", nil)
}

// document has the fields of all formats.
type document struct {
	Records []record
	Event   string // s3:TestEvent, sent when notifications are configured

	Source string `json:"source"` // of EventBridge
	Detail struct {
		Bucket named `json:"bucket"`
		Object keyed `json:"object"`
	} `json:"detail"`
	Kind string `json:"detail-type"`

	Type, Message string // of SNS
}

type record struct {
	Source string `json:"eventSource"`
	Name   string `json:"eventName"`
	S3     struct {
		Bucket named `json:"bucket"`
		Object keyed `json:"object"`
	} `json:"s3"`
}

type named struct {
	Name string `json:"name"`
}

type keyed struct {
	Key string `json:"key"`
}

// bridged parses an event of EventBridge. Its key is not escaped.
func (d document) bridged() ([]Event, error) {
	e := Event{Bucket: d.Detail.Bucket.Name, Key: d.Detail.Object.Key, Deleted: d.Kind == "Object Deleted"}
	if d.Kind != "Object Created" && !e.Deleted {
		return nil, nil
	}
	return whole([]Event{e})
}

// notified parses the records of a notification.
func (d document) notified() ([]Event, error) {
	if len(d.Records) > maxEvents {
		return nil, unreadable("the notification has too many records", nil)
	}
	var all []Event
	for _, r := range d.Records {
		name := strings.TrimPrefix(r.Name, "s3:")
		e := Event{Bucket: r.S3.Bucket.Name, Key: r.S3.Object.Key, Escaped: true}
		e.Deleted = strings.HasPrefix(name, "ObjectRemoved:") || strings.HasPrefix(name, "LifecycleExpiration:")
		if !e.Deleted && !strings.HasPrefix(name, "ObjectCreated:") {
			continue
		}
		all = append(all, e)
	}
	return whole(all)
}

// whole refuses events that name no object.
func whole(all []Event) ([]Event, error) {
	for _, e := range all {
		if e.Bucket == "" || e.Key == "" {
			return nil, unreadable("an event names no bucket or no key", nil)
		}
	}
	return all, nil
}

// key is the object's key. A key with invalid escapes is used as it is.
func (e Event) key(plain bool) string {
	if !e.Escaped || plain {
		return e.Key
	}
	key, err := url.QueryUnescape(e.Key)
	if err != nil {
		return e.Key
	}
	return key
}

func unreadable(public string, err error) error {
	return fault.New(fault.BadUnit, "bucketevents.Read", public, err)
}
