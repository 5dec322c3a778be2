package sqs

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/goldcrest/goldcrest/intake"
)

const (
	batch    = 10               // the most messages of a call to SQS
	longPoll = 20               // seconds, the most that SQS waits
	slack    = 15 * time.Second // that a call may take longer
	lastWord = 10 * time.Second // for what handlers said before a stop
)

// receiving is one Receive.
type receiving struct {
	*Door
	handler intake.Handler
	free    chan struct{} // a slot for each message that may be taken
	told    chan word     // what handlers said

	mu   sync.Mutex
	held map[string]bool // receipts of messages whose handlers run
}

// Receive implements intake.Intake. It asks for as many messages as it has slots for, by long polls, and keeps them
// hidden from others while their handlers run.
func (d *Door) Receive(ctx context.Context, slots int, h intake.Handler) error {
	r := &receiving{
		Door: d, handler: h, free: make(chan struct{}, slots), told: make(chan word), held: map[string]bool{},
	}
	for range slots {
		r.free <- struct{}{}
	}
	// Words of handlers reach SQS after ctx has ended too.
	speaking, hush := context.WithCancel(context.WithoutCancel(ctx))
	var handling, speakers sync.WaitGroup
	speakers.Go(func() { r.speak(speaking) })
	speakers.Go(func() { r.hold(speaking) })
	err := r.poll(ctx, speaking, &handling)
	handling.Wait()
	hush()
	speakers.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// poll takes messages until ctx ends or SQS fails.
func (r *receiving) poll(ctx, speaking context.Context, handling *sync.WaitGroup) error {
	for {
		n := r.slots(ctx)
		if n == 0 {
			return nil
		}
		messages, err := r.ask(ctx, n)
		for range n - len(messages) {
			r.free <- struct{}{}
		}
		if err != nil {
			return err
		}
		for _, m := range messages {
			r.keep(aws.ToString(m.ReceiptHandle))
			handling.Go(func() {
				r.handle(ctx, speaking, m)
				r.free <- struct{}{}
			})
		}
	}
}

// slots takes at least one free slot, and as many as a call can fill; 0: ctx ended.
func (r *receiving) slots(ctx context.Context) (n int) {
	select {
	case <-r.free:
	case <-ctx.Done():
		return 0
	}
	for n = 1; n < batch; n++ {
		select {
		case <-r.free:
		default:
			return n
		}
	}
	return n
}

// ask is one long poll.
func (r *receiving) ask(ctx context.Context, n int) ([]types.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, longPoll*time.Second+slack)
	defer cancel()
	out, err := r.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &r.cfg.Queue, MaxNumberOfMessages: int32(n), WaitTimeSeconds: longPoll,
		VisibilityTimeout: seconds(r.cfg.Visibility), MessageAttributeNames: []string{"All"},
	})
	if err != nil {
		return nil, fmt.Errorf("sqs: receive: %w", err)
	}
	return out.Messages, nil
}

// handle hands a message over, and says what its handler said. Words that do not reach SQS are lost, and the message
// comes again.
func (r *receiving) handle(ctx, speaking context.Context, m types.Message) {
	receipt := aws.ToString(m.ReceiptHandle)
	o := r.outcome(ctx, message(m))
	if o.Reason != "" {
		burying, cancel := context.WithTimeout(speaking, lastWord)
		err := r.bury(burying, m, o)
		cancel()
		o = intake.Outcome{}
		if err != nil {
			o.Again = r.cfg.Visibility // It must not be lost: it is buried when it comes again.
		}
	}
	r.drop(receipt)
	w := word{receipt: receipt, keep: o.Again > 0, hidden: seconds(min(o.Again, mostVisibility)), said: make(chan struct{})}
	r.told <- w
	<-w.said
}

// outcome calls the handler. One that panics gets its message again.
func (r *receiving) outcome(ctx context.Context, m intake.Message) (o intake.Outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = intake.Outcome{Again: time.Second}
		}
	}()
	return r.handler(ctx, m)
}

// seconds rounds up: SQS knows no parts of them.
func seconds(d time.Duration) int32 { return int32((d + time.Second - 1) / time.Second) }

func (r *receiving) keep(receipt string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[receipt] = true
}

func (r *receiving) drop(receipt string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, receipt)
}

// hold keeps the messages hidden whose handlers run, until ctx ends. One that SQS does not hide any more comes to
// another process too, and gives the same job there.
func (r *receiving) hold(ctx context.Context) {
	tick := time.NewTicker(r.cfg.Visibility / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		var words []word
		r.mu.Lock()
		for receipt := range r.held {
			words = append(words, word{receipt: receipt, keep: true, hidden: seconds(r.cfg.Visibility)})
		}
		r.mu.Unlock()
		for len(words) > 0 {
			n := min(len(words), batch)
			r.change(ctx, words[:n])
			words = words[n:]
		}
	}
}
