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
	batch    = 10               // the maximum number of messages in one call
	longPoll = 20               // seconds, the maximum of SQS
	slack    = 15 * time.Second // additional time of a call
	lastWord = 10 * time.Second // for the last outcomes at a stop
)

// receiving is one Receive.
type receiving struct {
	*Door
	handler intake.Handler
	free    chan struct{} // a slot for each message that may be received
	told    chan word     // outcomes of handlers

	mu   sync.Mutex
	held map[string]bool // receipts of running messages
}

// Receive implements intake.Intake. It long-polls for as many messages as it has free slots, and keeps them invisible
// to others while their handlers run.
func (d *Door) Receive(ctx context.Context, slots int, h intake.Handler) error {
	r := &receiving{
		Door: d, handler: h, free: make(chan struct{}, slots), told: make(chan word), held: map[string]bool{},
	}
	for range slots {
		r.free <- struct{}{}
	}
	// Outcomes are sent to SQS after ctx has ended, too.
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

// poll receives messages until ctx ends or SQS fails.
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

// slots takes at least one free slot, and at most as many as a call can fill; 0: ctx ended.
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

// handle calls the handler and sends its outcome. If that does not reach SQS, the message is delivered again.
func (r *receiving) handle(ctx, speaking context.Context, m types.Message) {
	receipt := aws.ToString(m.ReceiptHandle)
	o := r.handler(ctx, message(m))
	if o.Reason != "" {
		burying, cancel := context.WithTimeout(speaking, lastWord)
		err := r.bury(burying, m, o)
		cancel()
		o = intake.Outcome{}
		if err != nil {
			o.Again = r.cfg.Visibility // it must not be lost: try again at its next delivery
		}
	}
	r.drop(receipt)
	w := word{receipt: receipt, keep: o.Again > 0, hidden: seconds(min(o.Again, mostVisibility)), said: make(chan struct{})}
	r.told <- w
	<-w.said
}

// seconds rounds up: SQS accepts whole seconds only.
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

// hold keeps messages invisible while their handlers run, until ctx ends. If SQS shows one to another process, it makes
// the same job there.
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
