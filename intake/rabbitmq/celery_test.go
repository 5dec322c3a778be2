package rabbitmq

import (
	"encoding/json"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/goldcrest/goldcrest/intake"
)

// celery is a call as Celery 5 sends it.
func celery(task, id, body string) amqp.Delivery {
	return amqp.Delivery{
		Headers: amqp.Table{"lang": "py", "task": task, "id": id, "root_id": id, "retries": int32(0),
			"argsrepr": "..."},
		ContentType: "application/json", ContentEncoding: "utf-8", CorrelationId: id, Body: []byte(body),
	}
}

const embed = `{"callbacks": null, "errbacks": null, "chain": null, "chord": null}`

func TestMessagesOfCelery(t *testing.T) {
	other := celery(intake.DefaultTask, "t-1", `[[{"a":1}], {}, `+embed+`]`)
	other.ContentType = "application/x-python-serialize"
	packed := celery(intake.DefaultTask, "t-1", `[[{"a":1}], {}, `+embed+`]`)
	packed.Headers["compression"] = "application/x-gzip"
	tests := []struct {
		name                string
		d                   amqp.Delivery
		body, reading, says string
	}{
		{"an argument", celery(intake.DefaultTask, "t-1", `[[{"a": 1}], {}, `+embed+`]`), `{"a": 1}`, "", ""},
		{"a unit by name", celery(intake.DefaultTask, "t-1", `[[], {"unit": {"a":1}}, `+embed+`]`),
			`{"a":1}`, "unit", ""},
		{"units by name", celery(intake.DefaultTask, "t-1", `[[], {"units": [1]}, `+embed+`]`), `[1]`, "units", ""},
		{"an envelope by name", celery(intake.DefaultTask, "t-1", `[[], {"envelope": {}}, `+embed+`]`),
			`{}`, "envelope", ""},
		{"two arguments", celery(intake.DefaultTask, "t-1", `[[1, 2], {}, `+embed+`]`), "", "", "one argument"},
		{"one of either", celery(intake.DefaultTask, "t-1", `[[1], {"unit": 2}, `+embed+`]`), "", "", "one argument"},
		{"none", celery(intake.DefaultTask, "t-1", `[[], {}, `+embed+`]`), "", "", "one argument"},
		{"another name", celery(intake.DefaultTask, "t-1", `[[], {"product": 2}, `+embed+`]`), "", "", "one argument"},
		{"another task", celery("shop.mail", "t-1", `[[1], {}, `+embed+`]`), "", "", "shop.mail"},
		{"no id", celery(intake.DefaultTask, "", `[[1], {}, `+embed+`]`), "", "", "without an id"},
		{"no list", celery(intake.DefaultTask, "t-1", `{"task": 1}`), "", "", "[args, kwargs, embed]"},
		{"two parts", celery(intake.DefaultTask, "t-1", `[[1], {}]`), "", "", "[args, kwargs, embed]"},
		{"no JSON", celery(intake.DefaultTask, "t-1", `[[1], {}, `), "", "", "[args, kwargs, embed]"},
		{"null for arguments", celery(intake.DefaultTask, "t-1", `[null, null, null]`), "", "", "one argument"},
		{"pickle", other, "", "", "serializer"},
		{"compressed", packed, "", "", "compression"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := message(tt.d, intake.Broker{})
			if tt.says != "" {
				if !strings.Contains(m.Unreadable, tt.says) {
					t.Errorf("unreadable = %q, want something about %q", m.Unreadable, tt.says)
				}
				return
			}
			if m.Unreadable != "" || string(m.Body) != tt.body || m.Reading != tt.reading || m.ID != "t-1" ||
				m.Encoding != "" {
				t.Errorf("message = %+v with body %s, want id t-1 and %s read as %q", m, m.Body, tt.body, tt.reading)
			}
		})
	}
}

func TestPlainMessages(t *testing.T) {
	m := message(amqp.Delivery{MessageId: "m-1", ContentType: "application/x-ndjson",
		ContentEncoding: "utf-8", Body: []byte("{}"),
		Headers: amqp.Table{"traceparent": "00-a-b-01"}}, intake.Broker{})
	if m.ID != "m-1" || m.Type != "application/x-ndjson" || m.Encoding != "" || string(m.Body) != "{}" ||
		m.Trace != "00-a-b-01" {
		t.Errorf("message = %+v", m)
	}
	if m := message(amqp.Delivery{ContentEncoding: "gzip"}, intake.Broker{}); m.Encoding != "gzip" || m.ID != "" {
		t.Errorf("a compressed message without id = %+v", m)
	}
}

// A verdict as a call is what Celery's own reader takes, and what ours takes.
func TestVerdictAsCall(t *testing.T) {
	p := call("shop.verdict", intake.Notice{ID: "j-1-u0-0", Type: intake.UnitDone, Message: "t-1",
		Body: []byte(`{"type":"unit.done"}`)})
	var parts []json.RawMessage
	if err := json.Unmarshal(p.Body, &parts); err != nil || len(parts) != 3 ||
		string(parts[0]) != `[{"type":"unit.done"}]` {
		t.Fatalf("body = %s, %v", p.Body, err)
	}
	if err := p.Headers.Validate(); err != nil || p.Headers["task"] != "shop.verdict" || p.Headers["id"] != "j-1-u0-0" {
		t.Errorf("headers = %v, %v", p.Headers, err)
	}
	d := amqp.Delivery{Headers: p.Headers, ContentType: p.ContentType, ContentEncoding: p.ContentEncoding, Body: p.Body}
	if m := message(d, intake.Broker{Tasks: []string{"shop.verdict"}}); m.Unreadable != "" || m.ID != "j-1-u0-0" {
		t.Errorf("read back as %+v", m)
	}
}
