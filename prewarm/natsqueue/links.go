package natsqueue

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/goldcrest/goldcrest/links"
)

// The stream of links. A link that is not put again within this time expires.
const (
	linkStream = "GOLDCREST_LINKS"
	linkRoot   = "goldcrest.link."
	linksKept  = 90 * 24 * time.Hour
)

// Links is a links.Store on a JetStream stream of an external cluster, for instances without a shared bucket. It has
// its own connection. It is safe for concurrent use.
type Links struct{ *sharedStream }

var _ links.Store = (*Links)(nil)

// OpenLinks returns at once; calls fail while the cluster cannot be reached.
func OpenLinks(cfg Config, log *slog.Logger) (*Links, error) {
	c, err := connect(cfg, log, "links", jetstream.StreamConfig{
		Name: linkStream, Subjects: []string{linkRoot + ">"}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardOld, MaxAge: linksKept, AllowDirect: true,
	})
	if err != nil {
		return nil, err
	}
	return &Links{c}, nil
}

// Close ends the connection.
func (l *Links) Close() error {
	l.conn.Close()
	return nil
}

// Put implements links.Store.
func (l *Links) Put(ctx context.Context, id string, sealed []byte) error {
	return l.append(ctx, &nats.Msg{Subject: linkRoot + id, Data: sealed})
}

// Get implements links.Store.
func (l *Links) Get(ctx context.Context, id string) ([]byte, error) {
	s, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	m, err := s.GetLastMsgForSubject(ctx, linkRoot+id)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, links.ErrUnknown
	}
	if err != nil {
		l.lost()
		return nil, err
	}
	return m.Data, nil
}
