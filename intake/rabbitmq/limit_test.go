package rabbitmq

import (
	"context"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/intake/intaketest"
)

// A quorum queue throws a message away that was delivered too often without an answer. A message that outlives more
// processes than that is kept: it is put into the queue again in time.
func TestRedeliveryLimit(t *testing.T) {
	const limit, deaths = renewAt + 2, 2*renewAt + 5
	b := startBroker(t)
	onBroker(t, b, func(ch *amqp.Channel) (amqp.Queue, error) {
		return ch.QueueDeclare("limited", true, false, false, false,
			amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum, "x-delivery-limit": int32(limit)})
	})
	send(t, b, "limited", amqp.Publishing{MessageId: "m-1", Body: []byte("{}")})
	for death := range deaths + 1 {
		w := intaketest.NewWire(t, b.addr)
		q, err := Open(config(b.url(w.Addr()), "limited"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		got := ""
		_ = q.Receive(ctx, 1, func(_ context.Context, m intake.Message) intake.Outcome {
			got = m.ID
			if death < deaths {
				w.Cut() // The process dies before it answers.
			} else {
				cancel()
			}
			return intake.Outcome{}
		})
		cancel()
		q.Close()
		if got != "m-1" {
			t.Fatalf("after %d deaths the message is gone", death)
		}
	}
	if left := get(t, b, "limited"); len(left) > 0 {
		t.Errorf("%d messages are left, the first with %v", len(left), left[0].Headers)
	}
}
