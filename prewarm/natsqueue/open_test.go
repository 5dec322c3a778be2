package natsqueue

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/ledger/ledgertest"
)

// lone starts a single NATS server; port 0 = a free port.
func lone(t *testing.T, port int, dir string) *server.Server {
	t.Helper()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, JetStream: true, StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { end(s) })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server does not start")
	}
	return s
}

func end(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// logged collects log lines.
type logged struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.out.String(), text)
}

// While its cluster does not respond, a queue refuses every call. It opens by itself when the cluster responds.
func TestFault51OpensInTheBackground(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts the connection; no server responds
	if err != nil {
		t.Fatal(err)
	}
	cfg, log := Default(), &logged{}
	cfg.NATS = "nats://" + silent.Addr().String()
	q, err := Open(t.Context(), cfg, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close(context.Background()) })
	following, stop := context.WithCancel(t.Context())
	defer stop()
	started, seen := make(chan struct{}), make(chan ledger.Record, 8)
	var working sync.WaitGroup
	defer working.Wait()
	defer stop()
	working.Go(func() {
		if err := q.Follow(following, []string{"task"}, func() { close(started) }, func(r ledger.Record) { seen <- r }); err != nil {
			t.Error(err)
		}
	})
	handled := make(chan struct{})
	working.Go(func() {
		err := q.Consume(following, []string{"normal"}, 1, func(context.Context, ledger.Ticket) time.Duration { close(handled); return 0 })
		if err != nil {
			t.Error(err)
		}
	})
	_, read := q.Read(t.Context(), "task.a.00000")
	_, waiting := q.Waiting(t.Context(), "normal")
	for name, err := range map[string]error{
		"Read": read, "Waiting": waiting, "Put": q.Put(t.Context(), ticket("normal", "x")), "Room": q.Room(t.Context()),
		"Write": q.Write(t.Context(), rec("task.a.00000", "m", "b", 0)),
		"List":  q.List(t.Context(), ledger.Scan{Prefix: "task"}, func(ledger.Record) bool { return true }),
	} {
		if f := fault.Of(err); f == nil || f.Kind != fault.Overloaded || f.RetryAfter == 0 {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
	port := silent.Addr().(*net.TCPAddr).Port
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}
	lone(t, port, t.TempDir())
	if err := q.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-started
	mustWrite(t, q, rec("task.a.00000", "m", "b", 0))
	if r := <-seen; r.Key != "task.a.00000" {
		t.Errorf("got %v", r)
	}
	if err := q.Put(t.Context(), ticket("normal", "x")); err != nil {
		t.Error(err)
	}
	<-handled
	// An unanswered and a refused connection, possibly with a lost one in between.
	if n := log.count("cannot be opened"); n > 3 {
		t.Errorf("%d lines say that the queue cannot be opened, want one for each reason", n)
	}
}

// Streams that are lost with the cluster's disks are created again, workers continue with them, and followers learn of
// the gap.
func TestFault52LostStreams(t *testing.T) {
	s := lone(t, 0, t.TempDir())
	port, err := strconv.Atoi(s.ClientURL()[strings.LastIndexByte(s.ClientURL(), ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	q := open(t, "", func(c *Config) { c.NATS = s.ClientURL() })
	mustWrite(t, q, rec("task.a.00000", "m", "b", 0))
	gap, started := make(chan error, 1), make(chan struct{})
	var working sync.WaitGroup
	defer working.Wait()
	working.Go(func() {
		gap <- q.Follow(t.Context(), []string{"task"}, func() { close(started) }, func(ledger.Record) {})
	})
	handled := make(chan string, 8)
	stop := ledgertest.Consume(t, q, 1, func(_ context.Context, k ledger.Ticket) time.Duration {
		handled <- k.ID
		return 0
	})
	defer stop()
	<-started
	end(s)
	lone(t, port, t.TempDir())
	if err := <-gap; err == nil {
		t.Error("the follower is not told that its stream was lost")
	}
	if err := q.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Await may still refer to the old streams: the first call that fails on them detects the loss.
	soon(t, "an empty ledger", func() bool {
		_, err := q.Read(t.Context(), "task.a.00000")
		return err == ledger.ErrNoRecord
	})
	mustWrite(t, q, rec("task.b.00000", "m", "b", 0))
	soon(t, "a ticket that is taken", func() bool { return q.Put(t.Context(), ticket("normal", "after")) == nil })
	if id := <-handled; id != "after" {
		t.Errorf("got the ticket %s", id)
	}
}

// After its caller has left, a list yields nothing more.
func TestListingThatIsLeft(t *testing.T) {
	q := open(t, t.TempDir(), nil)
	var records []*ledger.Record
	for n := range 600 {
		records = append(records, rec(fmt.Sprintf("task.a.%05d", n), "m", "b", 0))
	}
	mustWrite(t, q, records...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var returned atomic.Bool
	err := q.List(ctx, ledger.Scan{Prefix: "task"}, func(ledger.Record) bool {
		cancel()
		if returned.Load() {
			t.Error("a record is given after the listing has returned")
		}
		return true
	})
	returned.Store(true)
	if fault.KindOf(err) != fault.Canceled {
		t.Errorf("got %v, want the end of the context", err)
	}
}

// A hanging call does not block its caller beyond the limit, and whatever it does later does not affect the caller.
func TestFault53CallsThatHang(t *testing.T) {
	q := open(t, t.TempDir(), nil)
	hang, left := make(chan struct{}), make(chan struct{})
	_, err := within(t.Context(), q, "test", time.Millisecond, func(context.Context) (none, error) {
		defer close(left)
		<-hang
		return none{}, nil
	})
	if f := fault.Of(err); f.Kind != fault.Overloaded || f.RetryAfter == 0 {
		t.Errorf("got %v, want a refusal", err)
	}
	close(hang)
	<-left
	if err := q.Room(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// When a cluster restarts with its disks, followers keep their place.
func TestRestartIsNoLoss(t *testing.T) {
	dir := t.TempDir()
	s := lone(t, 0, dir)
	port, err := strconv.Atoi(s.ClientURL()[strings.LastIndexByte(s.ClientURL(), ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	q := open(t, "", func(c *Config) { c.NATS = s.ClientURL() })
	mustWrite(t, q, rec("task.a.00000", "m", "b", 0))
	before := opened(t, q)
	end(s)
	lone(t, port, dir)
	for q.Check(t.Context()) != nil {
		if t.Context().Err() != nil {
			t.Fatal("the queue does not answer")
		}
	}
	if lost, err := before.isLost(t.Context()); lost || err != nil {
		t.Errorf("got %v %v, want streams that are there", lost, err)
	}
	mustWrite(t, q, rec("task.b.00000", "m", "b", 0))
	if opened(t, q) != before {
		t.Error("the streams were opened anew")
	}
}

// TestSilentJetStreamIsToldOnce switches JetStream off in a running server, as the server does itself when its disk is
// full. Calls are refused. The log says once what to do, and once that it works again after a restart.
func TestSilentJetStreamIsToldOnce(t *testing.T) {
	dir := t.TempDir()
	s := lone(t, 0, dir)
	port, err := strconv.Atoi(s.ClientURL()[strings.LastIndexByte(s.ClientURL(), ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	cfg, log := Default(), &logged{}
	cfg.NATS = s.ClientURL()
	q, err := Open(t.Context(), cfg, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close(context.Background()) })
	if err := q.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, q, rec("task.a.00000", "m", "b", 0))
	if err := s.DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	const silent = "NATS is reached, and the prewarm queue does not answer"
	for log.count(silent) == 0 {
		if err := q.Put(t.Context(), ticket("normal", "refused")); fault.KindOf(err) != fault.Overloaded {
			t.Fatalf("got %v, want that it can come again", err)
		}
	}
	for range 3 {
		_ = q.Put(t.Context(), ticket("normal", "refused"))
	}
	end(s)
	lone(t, port, dir)
	for log.count("the prewarm queue answers again") == 0 {
		_, _ = q.Read(t.Context(), "task.a.00000")
	}
	if n := log.count(silent); n != 1 {
		t.Errorf("it was told %d times", n)
	}
	if r, err := q.Read(t.Context(), "task.a.00000"); err != nil || string(r.Body) != "b" {
		t.Errorf("got %+v, %v; want what was kept", r, err)
	}
}
