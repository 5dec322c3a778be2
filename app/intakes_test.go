package app

import (
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/intake"
)

// Each kind that a configuration may name has an intake and an outlet. Opening them connects to nothing.
func TestOpenIntake(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-central-1")
	queue := func(name string) string { return "https://sqs.eu-central-1.amazonaws.com/123456789012/" + name }
	for _, c := range []intake.Config{
		{Broker: intake.Broker{Kind: intake.RabbitMQ, URL: "amqp://127.0.0.1:1", From: "units"}, Verdicts: intake.Verdicts{To: "done"}},
		{Broker: intake.Broker{Kind: intake.NATS, URL: "nats://127.0.0.1:1", From: "units"}, Verdicts: intake.Verdicts{To: "done"}},
		{Broker: intake.Broker{Kind: intake.SQS, From: queue("units"), Dead: queue("dead")}, Verdicts: intake.Verdicts{To: queue("done")}},
	} {
		c.Name, c.Token = "shop", "backend"
		if err := c.Validate(); err != nil {
			t.Errorf("%s: Validate = %v", c.Broker.Kind, err)
		}
		in, out, end, err := openIntake(c)
		if err != nil || in == nil || out == nil {
			t.Errorf("%s: %v, %v, %v", c.Broker.Kind, in, out, err)
			continue
		}
		end()
		c.Verdicts.To = ""
		if _, out, end, err = openIntake(c); err != nil || out != nil {
			t.Errorf("%s without verdicts.to: outlet %v, %v", c.Broker.Kind, out, err)
			continue
		}
		end()
	}
	c := intake.Config{Broker: intake.Broker{Kind: intake.SQS, From: "units", Dead: queue("dead")}}
	if _, _, _, err := openIntake(c); err == nil || !strings.Contains(err.Error(), "queue") {
		t.Errorf("a queue that is no URL: %v", err)
	}
}
