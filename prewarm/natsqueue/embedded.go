package natsqueue

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// embedded is a NATS server inside this process: no port, no signals, every write synced.
type embedded struct {
	dir  string
	log  *slog.Logger
	lock *os.File

	mu     sync.Mutex
	server *server.Server
}

// startEmbedded takes the directory's lock and starts a server on it.
func startEmbedded(dir string, log *slog.Logger) (*embedded, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// Jobs name sources, which may hold signatures: nobody else reads them.
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		// Two servers would open one directory without a word, and spoil it.
		return nil, errors.Join(fmt.Errorf("another process uses the directory %s: %w", dir, err), lock.Close())
	}
	e := &embedded{dir: dir, log: log, lock: lock}
	if err := e.start(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return e, nil
}

func (e *embedded) start() error {
	s, err := server.NewServer(&server.Options{
		ServerName: "goldcrest", DontListen: true, NoSigs: true, JetStream: true, StoreDir: e.dir, SyncAlways: true,
		JetStreamMaxMemory: 64 << 20,
	})
	if err != nil {
		return err
	}
	s.SetLoggerV2(serverLog{e.log}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(time.Minute) || !s.JetStreamEnabled() {
		s.Shutdown()
		return fmt.Errorf("the embedded server did not start on %s", e.dir)
	}
	e.mu.Lock()
	e.server = s
	e.mu.Unlock()
	return nil
}

// InProcessConn gives the client library a connection to the present server.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.server.InProcessConn()
}

func (e *embedded) close() error {
	e.mu.Lock()
	s := e.server
	e.mu.Unlock()
	s.Shutdown()
	s.WaitForShutdown()
	return e.lock.Close()
}

// reserve is the free disk, in bytes, below which no new work is taken, so that the verdicts of work already taken find room; on
// a small disk it is an eighth.
const reserve = 64 << 20

// room reports whether new work may be taken.
func (e *embedded) room() (bool, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(e.dir, &fs); err != nil {
		return false, err
	}
	size := int64(fs.Bsize)
	return int64(fs.Bavail)*size >= min(reserve, int64(fs.Blocks)*size/8), nil
}

// isFull reports whether JetStream refused a write for want of room.
func isFull(err *jetstream.APIError) bool {
	switch err.ErrorCode {
	case 10023, 10047: // insufficient resources, insufficient storage
		return true
	}
	return strings.Contains(err.Description, "no space left") || strings.Contains(err.Description, "disk quota") ||
		strings.Contains(err.Description, "maximum bytes exceeded")
}

// serverLog gives the server's log to slog. Notices are its start-up banner.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(format string, v ...any) {
	l.log.Debug("queue: " + fmt.Sprintf(format, v...))
}
func (l serverLog) Warnf(format string, v ...any) { l.log.Warn("queue: " + fmt.Sprintf(format, v...)) }
func (l serverLog) Errorf(format string, v ...any) {
	l.log.Error("queue: " + fmt.Sprintf(format, v...))
}
func (l serverLog) Fatalf(format string, v ...any) {
	l.log.Error("queue: " + fmt.Sprintf(format, v...))
}
func (l serverLog) Debugf(string, ...any) {}
func (l serverLog) Tracef(string, ...any) {}
