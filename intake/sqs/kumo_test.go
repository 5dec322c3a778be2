package sqs

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/sivchari/kumo"

	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/intake/intaketest"
)

// The suite on a server that others wrote: what the fake was written to beside it holds there too.
func TestConformanceKumo(t *testing.T) {
	settings(t)
	server := kumo.NewServer()
	t.Cleanup(server.Close)
	n := 0
	intaketest.Run(t, func(t *testing.T) intaketest.Broker {
		n++
		r := &rival{endpoint: server.URL}
		c := r.make(t, fmt.Sprint(n))
		return intaketest.Broker{
			Open: func(t *testing.T) intaketest.Door {
				d, w := open(t, c)
				w.short.Store(true) // The server does not look at hidden messages again while a poll waits.
				return intaketest.Door{Intake: d, Outlet: d.Outlet(r.verdicts), Kill: func() { w.cut.Store(true) },
					Close: func() {}}
			},
			Send: func(t *testing.T, m intake.Message) { t.Helper(); post(t, c, m) },
			Dead: func(t *testing.T) []intaketest.Dead {
				for _, m := range r.drain(t, c.Dead) {
					read := message(m)
					reason := aws.ToString(m.MessageAttributes[attrReason].StringValue)
					r.dead = append(r.dead, intaketest.Dead{ID: read.ID, Body: read.Body, Reason: reason})
				}
				return r.dead
			},
			Notices: func(t *testing.T) []intake.Notice {
				for _, m := range r.drain(t, r.verdicts) {
					get := func(name string) string { return aws.ToString(m.MessageAttributes[name].StringValue) }
					r.notices = append(r.notices, intake.Notice{
						ID: get(attrNotice), Type: get(attrKind), Job: get(attrJob), Message: get(attrID),
						Body: []byte(aws.ToString(m.Body)),
					})
				}
				return r.notices
			},
		}
	})
}

// rival is one test's queues on a server of others.
type rival struct {
	endpoint, verdicts string
	client             *sqs.Client
	dead               []intaketest.Dead
	notices            []intake.Notice
}

// make makes the queues, and gives the configuration of the doors to them.
func (r *rival) make(t *testing.T, name string) Config {
	t.Helper()
	c := Config{Queue: r.endpoint + "/x/units", Dead: r.endpoint + "/x/dead", Endpoint: r.endpoint}
	d, _ := open(t, c)
	r.client = d.client
	made := func(name string, attributes map[string]string) string {
		out, err := r.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(out.QueueUrl)
	}
	r.verdicts = made("verdicts-"+name+".fifo", map[string]string{"FifoQueue": "true"})
	return Config{Queue: made("units-"+name, nil), Dead: made("dead-"+name, nil), Endpoint: r.endpoint,
		Visibility: 2 * time.Second}
}

// drain takes what a queue has.
func (r *rival) drain(t *testing.T, queue string) (all []types.Message) {
	t.Helper()
	for {
		out, err := r.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: &queue, MaxNumberOfMessages: batch, MessageAttributeNames: []string{"All"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return all
		}
		for _, m := range out.Messages {
			in := &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle}
			if _, err := r.client.DeleteMessage(t.Context(), in); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, out.Messages...)
	}
}
