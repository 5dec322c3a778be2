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

// word is the outcome of one message, for SQS.
type word struct {
	receipt string
	keep    bool          // it is delivered again, after hidden; otherwise it is deleted
	hidden  int32         // seconds
	said    chan struct{} // closed when SQS has accepted it, or never will
}

// tries is how often outcomes are sent again that SQS refused while it accepted others of the same call.
const tries = 4

// speak sends outcomes to SQS, as many in one call as have accumulated, until ctx ends.
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

// tell sends outcomes until SQS has accepted all of them, or no tries are left. do returns the refused ones.
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

// remove deletes messages, and returns those that were not deleted.
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

// change sets the visibility timeout of messages, and returns those for which it failed.
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

// failed are the outcomes that SQS refused and may accept later: an invalid receipt stays invalid.
func failed(words []word, entries []types.BatchResultErrorEntry) (left []word) {
	for _, e := range entries {
		i, err := strconv.Atoi(aws.ToString(e.Id))
		if err == nil && i >= 0 && i < len(words) && !e.SenderFault {
			left = append(left, words[i])
		}
	}
	return left
}
