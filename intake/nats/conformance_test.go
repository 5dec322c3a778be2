package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/intake/intaketest"
)

// broker is a NATS server of the test's own.
type broker struct {
	dir  string
	port int
	*server.Server
}

func (b *broker) start(t *testing.T) {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: b.port, JetStream: true, StoreDir: b.dir, SyncAlways: true, NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("NATS does not start")
	}
	b.Server = s
	b.port = s.Addr().(*net.TCPAddr).Port
}

func (b *broker) stop() {
	b.Shutdown()
	b.WaitForShutdown()
}

func (b *broker) addr() string { return fmt.Sprint("127.0.0.1:", b.port) }

// onServer does something as a sender or a receiver does.
func onServer(t *testing.T, b *broker, do func(context.Context, jetstream.JetStream) error) {
	t.Helper()
	conn, err := nats.Connect("nats://" + b.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	js, err := jetstream.New(conn)
	if err == nil {
		err = do(ctx, js)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// all gives every message of a subject so far.
func all(t *testing.T, b *broker, subject string) (out []*jetstream.RawStreamMsg) {
	t.Helper()
	onServer(t, b, func(ctx context.Context, js jetstream.JetStream) error {
		name, err := js.StreamNameBySubject(ctx, subject)
		if err != nil {
			return err
		}
		s, err := js.Stream(ctx, name)
		if err != nil {
			return err
		}
		last := s.CachedInfo().State.LastSeq
		for seq := s.CachedInfo().State.FirstSeq; seq > 0 && seq <= last; seq++ {
			m, err := s.GetMsg(ctx, seq)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			out = append(out, m)
		}
		return nil
	})
	return out
}

// bench is what the conformance suite needs of a server.
func bench(t *testing.T, b *broker, name string) intaketest.Broker {
	t.Helper()
	config := func(addr string) intake.Config {
		return intake.Config{Name: name, Broker: intake.Broker{Kind: intake.NATS, URL: "nats://" + addr, From: name},
			Verdicts: intake.Verdicts{To: name + ".verdicts"}}
	}
	first := Open(config(b.addr())) // The streams exist before the first message.
	defer first.Close()
	if _, err := first.Waiting(t.Context()); err != nil {
		t.Fatal(err)
	}
	return intaketest.Broker{
		Open: func(t *testing.T) intaketest.Door {
			w := intaketest.NewWire(t, b.addr())
			q := Open(config(w.Addr()))
			return intaketest.Door{Intake: q, Outlet: q, Kill: w.Cut, Close: q.Close}
		},
		Send: func(t *testing.T, m intake.Message) {
			t.Helper()
			onServer(t, b, func(ctx context.Context, js jetstream.JetStream) error {
				msg := nats.NewMsg(name)
				msg.Data = m.Body
				for key, value := range map[string]string{"Content-Type": m.Type, "Content-Encoding": m.Encoding} {
					if value != "" {
						msg.Header.Set(key, value)
					}
				}
				_, err := js.PublishMsg(ctx, msg, jetstream.WithMsgID(m.ID))
				return err
			})
		},
		Dead: func(t *testing.T) (out []intaketest.Dead) {
			t.Helper()
			for _, m := range all(t, b, name+".dead") {
				out = append(out, intaketest.Dead{
					ID: m.Header.Get(jetstream.MsgIDHeader), Body: m.Data, Reason: m.Header.Get("Goldcrest-Reason"),
				})
			}
			return out
		},
		Notices: func(t *testing.T) (out []intake.Notice) {
			t.Helper()
			for _, m := range all(t, b, name+".verdicts") {
				out = append(out, intake.Notice{
					ID: m.Header.Get(jetstream.MsgIDHeader), Type: m.Header.Get("Goldcrest-Type"),
					Message: m.Header.Get("Goldcrest-Message"), Body: m.Data,
				})
			}
			return out
		},
		Restart: func(t *testing.T) {
			t.Helper()
			b.stop()
			b.start(t)
		},
	}
}

func TestConformance(t *testing.T) {
	b := &broker{dir: t.TempDir(), port: -1}
	b.start(t)
	t.Cleanup(func() { b.stop() })
	n := 0
	intaketest.Run(t, func(t *testing.T) intaketest.Broker {
		n++
		return bench(t, b, fmt.Sprint("units-", n))
	})
}

// An address that cannot be read must not end up in the log: it may hold a password.
func TestAddressStaysSecret(t *testing.T) {
	q := Open(intake.Config{Name: "x", Broker: intake.Broker{URL: "nats://user:hunter2@%zz", From: "u"}})
	_, err := q.Waiting(t.Context())
	if err == nil || len(err.Error()) > 60 {
		t.Errorf("error = %v", err)
	}
}
