package sqs

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/goldcrest/goldcrest/intake"
)

// The attributes of messages. A body that SQS cannot carry, such as gzip, is sent in base64, and marked so.
const (
	attrID       = "Message-Id" // set by the sender; else SQS's own id
	attrType     = "Content-Type"
	attrEncoding = "Content-Encoding"
	attrTransfer = "Content-Transfer-Encoding" // base64
	attrBody     = "Body"                      // its interpretation: unit, units or envelope
	attrTrace    = "traceparent"
	attrReason   = "Reason" // of dead letters
	attrDetail   = "Detail"
	attrNotice   = "Notice-Id" // of notices
	attrKind     = "Type"
	attrJob      = "Job"
)

// Why a message is unreadable.
const (
	notBase64       = "the body is not in base64, as its Content-Transfer-Encoding says"
	unknownTransfer = "the Content-Transfer-Encoding is not base64"
)

// message converts a message of SQS.
func message(m types.Message) intake.Message {
	get := func(name string) string { return aws.ToString(m.MessageAttributes[name].StringValue) }
	out := intake.Message{
		ID: get(attrID), Body: []byte(aws.ToString(m.Body)), Type: get(attrType), Encoding: get(attrEncoding),
		Reading: get(attrBody), Trace: get(attrTrace),
	}
	if out.ID == "" {
		out.ID = aws.ToString(m.MessageId)
	}
	switch how := get(attrTransfer); {
	case strings.EqualFold(how, "base64"):
		// Padding is optional; an empty body may have only padding.
		body, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(aws.ToString(m.Body), "="))
		if err != nil {
			out.Unreadable = notBase64
			return out
		}
		out.Body = body
	case how != "":
		out.Unreadable = unknownTransfer
	}
	return out
}

// mostDetail is the maximum length of a dead letter's detail, in bytes.
const mostDetail = 1000

// bury sends a message unchanged to the dead letters, with the reason.
func (d *Door) bury(ctx context.Context, m types.Message, o intake.Outcome) error {
	attributes := map[string]types.MessageAttributeValue{}
	for name, value := range m.MessageAttributes {
		if name != attrReason && name != attrDetail {
			attributes[name] = value
		}
	}
	more := map[string]string{attrReason: string(o.Reason), attrDetail: clip(o.Detail)}
	if _, found := attributes[attrID]; !found {
		more[attrID] = aws.ToString(m.MessageId)
	}
	for name, value := range more {
		if value != "" && len(attributes) < maxAttributes {
			attributes[name] = text(value)
		}
	}
	in := &sqs.SendMessageInput{QueueUrl: &d.cfg.Dead, MessageBody: m.Body, MessageAttributes: attributes}
	if fifo(d.cfg.Dead) {
		in.MessageGroupId, in.MessageDeduplicationId = aws.String("dead"), m.MessageId
	}
	_, err := d.client.SendMessage(ctx, in)
	return err
}

// maxAttributes is SQS's limit for one message.
const maxAttributes = 10

// clip shortens a text for an attribute.
func clip(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), mostDetail)], "")
}

// text is an attribute.
func text(value string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(value)}
}

// Outlet publishes to one queue. Safe for concurrent use.
type Outlet struct {
	door  *Door
	queue string
}

// Outlet returns the outlet to a queue's URL.
func (d *Door) Outlet(queue string) *Outlet { return &Outlet{d, queue} }

// Publish implements intake.Outlet. A FIFO queue keeps the order of a job, and drops duplicates within five minutes.
func (o *Outlet) Publish(ctx context.Context, n intake.Notice) error {
	attributes := map[string]types.MessageAttributeValue{}
	for name, value := range map[string]string{
		attrNotice: n.ID, attrKind: n.Type, attrJob: n.Job, attrID: n.Message, attrTrace: n.Trace,
	} {
		if value != "" {
			attributes[name] = text(value)
		}
	}
	in := &sqs.SendMessageInput{
		QueueUrl: &o.queue, MessageBody: aws.String(string(n.Body)), MessageAttributes: attributes,
	}
	if fifo(o.queue) {
		in.MessageGroupId, in.MessageDeduplicationId = aws.String(n.Job), aws.String(n.ID)
	}
	_, err := o.door.client.SendMessage(ctx, in)
	return err
}
