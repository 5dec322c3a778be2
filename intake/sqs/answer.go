package sqs

import (
	"context"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/goldcrest/goldcrest/pause"
)

// word is what SQS is told of one message.
type word struct {
	receipt string
	keep    bool          // it comes again, after hidden; else it is deleted
	hidden  int32         // seconds
	said    chan struct{} // closed when SQS has heard it, or never will
}

// tries is how often SQS is told the words that it did not take, while it took others of the same call.
const tries = 4

// speak tells SQS what handlers said, as many words in one call as have come together, until ctx ends.
func (r *receiving) speak(ctx context.Context) {
	for {
		var deleted, kept []word
		select {
		case w := <-r.told:
			deleted, kept = sort(w, deleted, kept)
		case <-ctx.Done():
			return
		}
		for more := true; more && len(deleted) < batch && len(kept) < batch; {
			select {
			case w := <-r.told:
				deleted, kept = sort(w, deleted, kept)
			default:
				more = false
			}
		}
		r.tell(ctx, deleted, r.remove)
		r.tell(ctx, kept, r.change)
	}
}

func sort(w word, deleted, kept []word) (_, _ []word) {
	if w.keep {
		return deleted, append(kept, w)
	}
	return append(deleted, w), kept
}

// tell says words until SQS has taken all of them, or there are no tries left. do gives those that it did not take.
func (r *receiving) tell(ctx context.Context, words []word, do func(context.Context, []word) []word) {
	ctx, cancel := context.WithTimeout(ctx, lastWord)
	defer cancel()
	left := words
	for try := 0; len(left) > 0 && try < tries && ctx.Err() == nil; try++ {
		if try > 0 {
			_ = pause.For(ctx, time.Duration(try)*100*time.Millisecond)
		}
		left = do(ctx, left)
	}
	for _, w := range words {
		close(w.said)
	}
}

// remove deletes messages, and gives those that were not.
func (r *receiving) remove(ctx context.Context, words []word) (left []word) {
	in := &sqs.DeleteMessageBatchInput{QueueUrl: &r.cfg.Queue}
	for i, w := range words {
		entry := types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: aws.String(w.receipt)}
		in.Entries = append(in.Entries, entry)
	}
	out, err := r.client.DeleteMessageBatch(ctx, in)
	if err != nil {
		return words
	}
	return failed(words, out.Failed)
}

// change sets how long messages are hidden from now on, and gives those of which it failed.
func (r *receiving) change(ctx context.Context, words []word) (left []word) {
	in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &r.cfg.Queue}
	for i, w := range words {
		in.Entries = append(in.Entries, types.ChangeMessageVisibilityBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), ReceiptHandle: aws.String(w.receipt), VisibilityTimeout: w.hidden,
		})
	}
	out, err := r.client.ChangeMessageVisibilityBatch(ctx, in)
	if err != nil {
		return words
	}
	return failed(words, out.Failed)
}

// failed are the words of a call that SQS did not take, and may take later: a receipt that is no good any more stays so.
func failed(words []word, entries []types.BatchResultErrorEntry) (left []word) {
	for _, e := range entries {
		i, err := strconv.Atoi(aws.ToString(e.Id))
		if err == nil && i >= 0 && i < len(words) && !e.SenderFault {
			left = append(left, words[i])
		}
	}
	return left
}
