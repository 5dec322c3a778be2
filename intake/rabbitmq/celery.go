package rabbitmq

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// message converts a delivery.
func message(d amqp.Delivery, b intake.Broker) intake.Message {
	m := intake.Message{ID: d.MessageId, Body: d.Body, Type: d.ContentType, Encoding: d.ContentEncoding}
	m.Trace, _ = d.Headers["traceparent"].(string)
	if task, ok := d.Headers["task"].(string); ok {
		return fromCelery(m, d.Headers, task, b)
	}
	if isText(m.Encoding) {
		m.Encoding = ""
	}
	return m
}

// isText reports whether a content_encoding is a charset, as in Celery and kombu, not a compression.
func isText(encoding string) bool {
	return slices.Contains([]string{"utf-8", "us-ascii", "ascii", "binary"}, strings.ToLower(encoding))
}

// fromCelery takes the unit out of a task's call in Celery's message protocol 2: a body of [args, kwargs, embed]. The
// unit is the first argument, or the one named unit, units or envelope, which decides its interpretation.
func fromCelery(m intake.Message, headers amqp.Table, task string, b intake.Broker) intake.Message {
	m.ID, _ = headers["id"].(string)
	encoding, media := m.Encoding, m.Type
	m.Encoding, m.Type = "", "application/json"
	compression, _ := headers["compression"].(string)
	switch {
	case !b.Takes(task):
		m.Unreadable = fmt.Sprintf("it calls the Celery task %.100q, which is none of this intake's tasks", task)
	case m.ID == "":
		m.Unreadable = "it calls a Celery task without an id"
	case media != "application/json" || !isText(encoding) || compression != "":
		m.Unreadable = "the arguments of the Celery task are not plain JSON: its serializer has to be json, without compression"
	default:
		m.Body, m.Reading, m.Unreadable = argument(m.Body)
	}
	return m
}

// argument is the unit in the body of a task's call, its interpretation, and why there is none.
func argument(body []byte) (text []byte, reading, unreadable string) {
	var parts []json.RawMessage
	var args []json.RawMessage
	var kwargs map[string]json.RawMessage
	err := json.Unmarshal(body, &parts)
	if err == nil && len(parts) == 3 {
		if err = json.Unmarshal(parts[0], &args); err == nil {
			err = json.Unmarshal(parts[1], &kwargs)
		}
	}
	if err != nil || len(parts) != 3 {
		return body, "", "the body is not that of a Celery task's call: [args, kwargs, embed]"
	}
	for _, reading := range unit.Bodies() {
		if text, ok := kwargs[reading]; ok && len(args) == 0 && len(kwargs) == 1 {
			return text, reading, ""
		}
	}
	if len(args) == 1 && len(kwargs) == 0 {
		return args[0], "", ""
	}
	return body, "", "the Celery task takes one argument: a unit, or unit=, units= or envelope="
}

// call is a notice as the call of a Celery task whose only argument it is. The task's id is the notice's, so duplicates
// have the same id.
func call(task string, n intake.Notice) amqp.Publishing {
	var body []byte
	body = append(body, "[["...)
	body = append(body, n.Body...)
	body = append(body, `],{},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]`...)
	headers := amqp.Table{
		"lang": "py", "task": task, "id": n.ID, "root_id": n.ID, "parent_id": nil, "group": nil, "shadow": nil,
		"eta": nil, "expires": nil, "retries": int32(0), "timelimit": []any{nil, nil}, "origin": "goldcrest",
		"argsrepr": "(" + n.Type + ")", "kwargsrepr": "{}", "ignore_result": true,
	}
	if n.Trace != "" {
		headers["traceparent"] = n.Trace
	}
	return amqp.Publishing{
		Headers: headers, ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp.Persistent,
		CorrelationId: n.ID, MessageId: n.ID, Type: n.Type, AppId: "goldcrest", Timestamp: time.Now(), Body: body,
	}
}
