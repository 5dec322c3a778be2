package natsqueue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pause"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// markHeader contains a record's mark outside its body, so that lists need not read bodies.
const markHeader = "Goldcrest-Mark"

// tries bounds how often one call publishes a message that is not acknowledged: a cluster may be electing a leader.
const tries = 4

// write writes records and sets their revisions.
func (q *Queue) write(ctx context.Context, l *link, records []*ledger.Record) error {
	var msgs []*nats.Msg
	var written []*ledger.Record
	for _, r := range records {
		if len(r.Body) > ledger.MaxBody {
			return fault.New(fault.Internal, "natsqueue.Write", "an internal error", fmt.Errorf("the record %s has %d bytes", r.Key, len(r.Body)))
		}
		if r.Body == nil && r.Mark == "" {
			if err := q.remove(ctx, l, r.Revision); err != nil {
				return err
			}
			continue
		}
		m := nats.NewMsg(ledgerRoot + r.Key)
		m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(r.Revision, 10))
		if r.Mark != "" {
			m.Header.Set(markHeader, r.Mark)
		}
		m.Data = r.Body
		msgs, written = append(msgs, m), append(written, r)
	}
	var conflict error
	revisions, errs := q.publish(ctx, l, msgs)
	for i, err := range errs {
		if isConflict(err) {
			revisions[i], err = q.settle(ctx, l, written[i])
		}
		if errors.Is(err, ledger.ErrConflict) {
			conflict = err
			continue
		}
		if err != nil {
			return q.classify("natsqueue.Write", err)
		}
		written[i].Revision = revisions[i]
	}
	return conflict
}

// settle resolves a conflict. If an acknowledgement was lost, the conflicting record may be the one that was written.
func (q *Queue) settle(ctx context.Context, l *link, r *ledger.Record) (revision uint64, err error) {
	now, err := q.read(ctx, l, r.Key)
	if errors.Is(err, ledger.ErrNoRecord) || err == nil && (now.Mark != r.Mark || !bytes.Equal(now.Body, r.Body)) {
		err = ledger.ErrConflict
	}
	return now.Revision, err
}

// remove deletes the record that has this revision. A record that is gone or was written again stays as it is.
func (q *Queue) remove(ctx context.Context, l *link, revision uint64) error {
	err := l.ledger.DeleteMsg(ctx, revision)
	var api *jetstream.APIError
	if errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) || errors.As(err, &api) && api.Code == 404 {
		return nil
	}
	return q.classify("natsqueue.Write", err)
}

// hasCode reports whether JetStream's error has one of the server's codes.
func hasCode(err *jetstream.APIError, codes ...server.ErrorIdentifier) bool {
	return slices.Contains(codes, server.ErrorIdentifier(err.ErrorCode))
}

// isConflict reports whether a record did not have the required revision. In a cluster a concurrent write also counts.
func isConflict(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		hasCode(api, server.JSStreamWrongLastSequenceErrF, server.JSStreamWrongLastSequenceConstantErr)
}

// publish sends messages in order and waits until each is on disk, with its revision, or refused. Unacknowledged
// messages are sent again: all messages may arrive twice.
func (q *Queue) publish(ctx context.Context, l *link, msgs []*nats.Msg) (revisions []uint64, errs []error) {
	revisions, errs = make([]uint64, len(msgs)), make([]error, len(msgs))
	todo := make([]int, len(msgs))
	for i := range msgs {
		todo[i] = i
	}
	for try := 0; len(todo) > 0 && try < tries; try++ {
		if try > 0 && pause.For(ctx, time.Duration(try)*300*time.Millisecond) != nil {
			break
		}
		if err := q.writable(); err != nil {
			for _, i := range todo {
				errs[i] = err
			}
			break
		}
		futures := make([]jetstream.PubAckFuture, len(msgs))
		for _, i := range todo {
			// The library changes the messages that it sends, so every try needs a new one.
			m := &nats.Msg{Subject: msgs[i].Subject, Data: msgs[i].Data, Header: maps.Clone(msgs[i].Header)}
			futures[i], errs[i] = l.js.PublishMsgAsync(m)
		}
		todo = slices.DeleteFunc(todo, func(i int) bool {
			if errs[i] == nil {
				revisions[i], errs[i] = q.acknowledged(ctx, futures[i])
			}
			var api *jetstream.APIError
			return errs[i] == nil || errors.As(errs[i], &api) &&
				!hasCode(api, server.JSClusterNotAvailErr, server.JSNotEnabledForAccountErr)
		})
	}
	return revisions, errs
}

// writable reports whether the embedded server can be written to.
func (q *Queue) writable() error {
	if q.embedded == nil {
		return nil
	}
	if ok, err := q.embedded.room(floor); err != nil || !ok {
		return errors.Join(errFull, err)
	}
	return q.embedded.revive()
}

// acknowledged waits for the response to one message.
func (q *Queue) acknowledged(ctx context.Context, f jetstream.PubAckFuture) (revision uint64, err error) {
	select {
	case ack := <-f.Ok():
		return ack.Sequence, nil
	case err := <-f.Err():
		return 0, err
	default:
	}
	select {
	case <-q.embedded.failed():
		return 0, errors.New("the embedded server could not write")
	case ack := <-f.Ok():
		return ack.Sequence, nil
	case err := <-f.Err():
		return 0, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// read reads the last record of a key.
func (q *Queue) read(ctx context.Context, l *link, key string) (ledger.Record, error) {
	var m *jetstream.RawStreamMsg
	err := q.patiently(ctx, func() (err error) {
		m, err = l.ledger.GetLastMsgForSubject(ctx, ledgerRoot+key)
		return err
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return ledger.Record{}, ledger.ErrNoRecord
	}
	if err != nil {
		return ledger.Record{}, q.classify("natsqueue.Read", err)
	}
	return ledger.Record{Key: key, Revision: m.Sequence, Mark: m.Header.Get(markHeader), Body: m.Data, At: m.Time}, nil
}

// patiently repeats a read that got no response.
func (q *Queue) patiently(ctx context.Context, read func() error) error {
	var err error
	for try := range tries {
		if try > 0 && pause.For(ctx, time.Duration(try)*300*time.Millisecond) != nil {
			break
		}
		err = read()
		var api *jetstream.APIError
		if err == nil || errors.As(err, &api) && api.Code < 500 || errors.Is(err, jetstream.ErrMsgNotFound) {
			return err
		}
	}
	return err
}

// scanBatch is the number of records that List requests at once.
const scanBatch = 256

func (q *Queue) list(ctx context.Context, l *link, s ledger.Scan, yield func(ledger.Record) bool) error {
	cfg := jetstream.ConsumerConfig{
		FilterSubject: ledgerRoot + s.Prefix + ".>", AckPolicy: jetstream.AckNonePolicy, HeadersOnly: !s.Bodies,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: time.Minute, DeliverPolicy: jetstream.DeliverAllPolicy,
	}
	if !s.Since.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &s.Since
	}
	// A list's consumer exists on one server. If that is lost, a new one continues after the last record seen.
	return q.classify("natsqueue.List", q.patiently(ctx, func() error {
		last, err := l.listing(ctx, cfg, yield)
		if last > 0 {
			cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime = jetstream.DeliverByStartSequencePolicy, last+1, nil
		}
		return err
	}))
}

// listing lists with a new consumer. last is the revision of the last record yielded.
func (l *link) listing(ctx context.Context, cfg jetstream.ConsumerConfig, yield func(ledger.Record) bool) (last uint64, err error) {
	c, err := l.ledger.CreateConsumer(ctx, cfg)
	if err != nil {
		return 0, err
	}
	defer func() {
		// It would end by itself too, but only later.
		ctx, cancel := lasting(ctx, ackTimeout)
		defer cancel()
		_ = l.ledger.DeleteConsumer(ctx, c.CachedInfo().Name)
	}()
	return scan(ctx, c, yield)
}

// scan reads a list's consumer to its end. It never takes silence for the end: a list is complete or an error.
func scan(ctx context.Context, c jetstream.Consumer, yield func(ledger.Record) bool) (last uint64, err error) {
	left, silent := c.CachedInfo().NumPending, 0
	for next := uint64(1); left > 0; {
		batch, err := c.FetchNoWait(scanBatch)
		if err != nil {
			return last, err
		}
		silent++
		for m := range batch.Messages() {
			r, meta, err := record(m)
			if err != nil {
				return last, err
			}
			if meta.Sequence.Consumer != next {
				return last, fmt.Errorf("record %d of a listing came as number %d", next, meta.Sequence.Consumer)
			}
			next, left, silent = next+1, meta.NumPending, 0
			if ctx.Err() != nil || !yield(r) {
				return last, ctx.Err()
			}
			last = r.Revision
		}
		if err := batch.Error(); err != nil {
			return last, err
		}
		if silent > 0 { // the rest may have been deleted
			if left, err = pending(ctx, c); err != nil {
				return last, err
			}
		}
		if silent > tries {
			return last, errors.New("a listing got no answer")
		}
	}
	return last, nil
}

// pending returns how much of a list's consumer is left.
func pending(ctx context.Context, c jetstream.Consumer) (uint64, error) {
	info, err := c.Info(ctx)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return 0, errors.New("a listing's consumer was lost") // not permanent, as a 404 would say
	}
	if err != nil {
		return 0, err
	}
	return info.NumPending, nil
}

// record decodes a message of the ledger.
func record(m jetstream.Msg) (ledger.Record, *jetstream.MsgMetadata, error) {
	meta, err := m.Metadata()
	if err != nil {
		return ledger.Record{}, nil, err
	}
	return ledger.Record{
		Key: strings.TrimPrefix(m.Subject(), ledgerRoot), Revision: meta.Sequence.Stream, Mark: m.Headers().Get(markHeader), Body: m.Data(),
		At: meta.Timestamp,
	}, meta, nil
}

// Follow implements ledger.Store. It waits until the queue is open.
func (q *Queue) Follow(ctx context.Context, prefixes []string, started func(), each func(ledger.Record)) error {
	l, err := q.await(ctx)
	if err == nil {
		err = q.follow(ctx, l, prefixes, started, each)
	}
	if ctx.Err() != nil {
		return nil
	}
	return q.classify("natsqueue.Follow", err)
}

// follow follows on one link.
func (q *Queue) follow(ctx context.Context, l *link, prefixes []string, started func(), each func(ledger.Record)) error {
	info, err := l.ledger.Info(ctx)
	if err != nil {
		return err
	}
	var filters []string
	for _, p := range prefixes {
		filters = append(filters, ledgerRoot+p+".>")
	}
	c, err := l.ledger.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: filters, DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq: info.State.LastSeq + 1, HeadersOnly: true,
	})
	if err != nil {
		return err
	}
	started()
	_, err = ordered(ctx, c, l.lost, q.suspect, func(m jetstream.Msg) error {
		if r, _, err := record(m); err == nil {
			each(r)
		}
		return nil
	})
	return err
}

// ordered calls each with the messages of an ordered consumer until ctx ends, which is no error, or the stream is lost,
// or each fails. The client library recreates the consumer after every gap, from the last message seen; ordered then
// calls gap, since the consumer may be gone with its stream. each may still be called until running, which is nil if
// nothing ran, is closed.
func ordered(
	ctx context.Context, c jetstream.Consumer, lost <-chan struct{}, gap func(), each func(jetstream.Msg) error,
) (running jetstream.ConsumeContext, err error) {
	healthy, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	running, err = c.Consume(func(m jetstream.Msg) {
		if err := each(m); err != nil {
			fail(err)
		}
	}, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		if errors.Is(err, jetstream.ErrOrderedConsumerReset) || errors.Is(err, jetstream.ErrNoHeartbeat) {
			gap()
		} else {
			fail(err)
		}
	}))
	if err != nil {
		return nil, err
	}
	defer running.Stop()
	select {
	case <-healthy.Done():
		if ctx.Err() != nil {
			return running, nil
		}
		return running, context.Cause(healthy)
	case <-lost:
		return running, errors.New("the stream was lost")
	case <-running.Closed():
		return running, errors.New("the consumer ended")
	}
}
