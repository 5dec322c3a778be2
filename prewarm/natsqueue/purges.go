package natsqueue

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/goldcrest/goldcrest/purge"
)

// The stream of purges. A record is kept for a day: longer than any write that began before a purge can take to arrive.
const (
	purgeStream = "GOLDCREST_PURGES"
	purgeRoot   = "goldcrest.purge."
	purgesKept  = 24 * time.Hour
)

// Purges is a purge.Log on a JetStream stream of an external cluster. It has its own connection, so that a purge does
// not wait for the work of Data Units. It is safe for concurrent use.
type Purges struct{ *sharedStream }

var _ purge.Log = (*Purges)(nil)

// OpenPurges returns at once; calls fail while the cluster cannot be reached.
func OpenPurges(cfg Config, log *slog.Logger) (*Purges, error) {
	c, err := connect(cfg, log, "purges", jetstream.StreamConfig{
		Name: purgeStream, Subjects: []string{purgeRoot + ">"}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardOld, MaxAge: purgesKept, Duplicates: 2 * time.Minute,
	})
	if err != nil {
		return nil, err
	}
	return &Purges{c}, nil
}

// Close ends the connection.
func (p *Purges) Close() { p.conn.Close() }

// Append implements purge.Log.
func (p *Purges) Append(ctx context.Context, name string, body []byte) error {
	return p.append(ctx, &nats.Msg{Subject: purgeRoot + name, Data: body})
}

// Follow implements purge.Log.
func (p *Purges) Follow(ctx context.Context, after purge.Place, begun func(purge.Place), each func(purge.Record)) error {
	s, err := p.open(ctx)
	if err != nil {
		return err
	}
	info, err := s.Info(ctx)
	if err != nil {
		p.lost()
		return err
	}
	now := purge.Place{Epoch: info.Created.UnixMilli(), Seq: info.State.LastSeq}
	cfg := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy}
	if after.Epoch == now.Epoch && after.Seq <= now.Seq {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, after.Seq+1
	}
	c, err := s.OrderedConsumer(ctx, cfg)
	if err != nil {
		p.lost()
		return err
	}
	begun(now)
	running, err := ordered(ctx, c, nil, func() {}, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if err == nil {
			each(purge.Record{
				Place: purge.Place{Epoch: now.Epoch, Seq: meta.Sequence.Stream}, Name: strings.TrimPrefix(m.Subject(), purgeRoot), Body: m.Data(),
			})
		}
		return err
	})
	if running != nil {
		<-running.Closed() // after this, each is not called
	}
	if err != nil {
		p.lost()
	}
	return err
}
