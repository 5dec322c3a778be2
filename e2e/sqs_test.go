package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sivchari/kumo"
)

// sqsServer is a third-party server with the API of SQS.
type sqsServer struct {
	t   *testing.T
	url string
}

func startSQS(t *testing.T) *sqsServer {
	t.Helper()
	server := kumo.NewServer()
	t.Cleanup(server.Close)
	return &sqsServer{t, server.URL}
}

// call executes one action of SQS; into receives the response.
func (s *sqsServer) call(action string, in map[string]any, into any) {
	s.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, s.url+"/", strings.NewReader(string(body)))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "AmazonSQS."+action)
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s, %v", action, res.Status, err)
	}
}

// queue creates a queue and returns its URL.
func (s *sqsServer) queue(name string) string {
	s.t.Helper()
	var out struct {
		QueueURL string `json:"QueueUrl"`
	}
	s.call("CreateQueue", map[string]any{"QueueName": name}, &out)
	return out.QueueURL
}

// sqsMessage is a message as SQS delivers it.
type sqsMessage struct {
	Body, ReceiptHandle string
	MessageAttributes   map[string]struct{ StringValue string }
}

// next waits for the next message of a queue.
func (s *sqsServer) next(queue string) sqsMessage {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		var out struct{ Messages []sqsMessage }
		s.call("ReceiveMessage", map[string]any{
			"QueueUrl": queue, "WaitTimeSeconds": 5, "MessageAttributeNames": []string{"All"},
		}, &out)
		if len(out.Messages) > 0 {
			s.call("DeleteMessage", map[string]any{"QueueUrl": queue, "ReceiptHandle": out.Messages[0].ReceiptHandle},
				&struct{}{})
			return out.Messages[0]
		}
	}
	s.t.Fatalf("nothing comes from %s", queue)
	return sqsMessage{}
}

// Units from an SQS queue are made, their verdicts arrive in another queue, and messages that can never be accepted are
// dead letters. A server that is killed continues where it was, also if its intake was paused.
func TestSQS(t *testing.T) {
	corpus(t)
	o, broker := startOrigin(t), startSQS(t)
	from, dead, verdicts := broker.queue("units"), broker.queue("dead"), broker.queue("verdicts")
	env := append(slices.Clone(prewarmEnv), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
		"AWS_REGION=eu-central-1", "AWS_EC2_METADATA_DISABLED=true",
		fmt.Sprintf("GOLDCREST_INTAKES=[{name: shop, kind: sqs, url: %q, token: backend, from: %q, dead: %q, body: unit, "+
			"verdicts: {to: %q, events: [unit.done]}}]", broker.url, from, dead, verdicts))
	post := func(id, body string) {
		t.Helper()
		attributes := map[string]any{"Message-Id": map[string]string{"DataType": "String", "StringValue": id}}
		in := map[string]any{"QueueUrl": from, "MessageBody": body, "MessageAttributes": attributes}
		broker.call("SendMessage", in, &struct{}{})
	}
	unit := func(n int) string {
		return fmt.Sprintf(`{"id":"unit-%d","photo":"%s/alias/%d/groceries.jpg"}`, n, o.URL, n)
	}
	verdict := func(n int) {
		t.Helper()
		m := broker.next(verdicts)
		var notice struct {
			Type string
			Data struct {
				ID, State string
				Request   string `json:"request_id"`
				Verdicts  []struct{ State, Source string }
			}
		}
		if err := json.Unmarshal([]byte(m.Body), &notice); err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(notice.Type, notice.Data, m.MessageAttributes["Message-Id"].StringValue)
		want := fmt.Sprintf("unit.done{unit-%[1]d done message-%[1]d [{made %[2]s/alias/%[1]d/groceries.jpg}]}message-%[1]d",
			n, o.URL)
		if got != want {
			t.Errorf("the verdict is %s, want %s", got, want)
		}
	}
	s := start(t, env...)
	post("message-1", unit(1))
	verdict(1)
	post("poison", `{"id":`)
	if m := broker.next(dead); m.Body != `{"id":` || m.MessageAttributes["Reason"].StringValue != "bad_unit" {
		t.Errorf("the dead letter is %+v", m)
	}
	paused := func(change string) {
		t.Helper()
		a := s.call("GET", "/v1/intakes", "")
		if change != "" {
			a = s.call("POST", "/v1/intakes/shop/"+change, "")
		}
		if want := fmt.Sprintf(`"paused":%t`, change != "resume"); !strings.Contains(string(a.body), want) {
			t.Errorf("%s: got %s, want %s", change, a.body, want)
		}
	}
	paused("pause")
	s.kill()
	post("message-1", unit(1)) // It is delivered twice, and is one job.
	post("message-2", unit(2))
	s = startIn(t, s.dir, env...)
	eventually(t, "the pause is known again", func() bool { return s.metric("goldcrest_intake_paused", `intake="shop"`) == 1 })
	paused("")
	if jobs := countJobs(s); jobs != 1 {
		t.Errorf("there are %d jobs while the intake is paused, want 1", jobs)
	}
	paused("resume")
	verdict(2)
	if jobs := countJobs(s); jobs != 2 {
		t.Errorf("there are %d jobs, want one for each message", jobs)
	}
}
