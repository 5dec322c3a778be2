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

// embedded is a NATS server in this process: no port, no signal handlers, every write synced.
type embedded struct {
	dir  string
	log  *slog.Logger
	lock *os.File // nil until it is taken; used by one goroutine

	reviving sync.Mutex // held while the server is replaced

	mu     sync.Mutex
	server *server.Server // nil while it is being replaced
	stuck  chan struct{}  // closed when the server has failed to write
}

// takeLock creates the directory and takes its lock, unless it is held already.
func (e *embedded) takeLock() error {
	if e.lock != nil {
		return nil
	}
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return err
	}
	// Jobs contain sources, which may contain signatures: no other user may read them.
	if err := os.Chmod(e.dir, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(e.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		// Two servers would both open the directory without an error, and corrupt it.
		return errors.Join(fmt.Errorf("the prewarm queue: another process uses the directory %s: %w", e.dir, err), lock.Close())
	}
	e.lock = lock
	return nil
}

// open takes the directory's lock and starts a server on it.
func (e *embedded) open() error {
	if err := e.takeLock(); err != nil {
		return err
	}
	return e.start()
}

func (e *embedded) start() error {
	s, err := server.NewServer(&server.Options{
		ServerName: "goldcrest", DontListen: true, NoSigs: true, JetStream: true, StoreDir: e.dir, SyncAlways: true,
		JetStreamMaxMemory: 64 << 20,
	})
	if err != nil {
		return err
	}
	stuck := make(chan struct{})
	s.SetLoggerV2(serverLog{e.log, sync.OnceFunc(func() { close(stuck) })}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(time.Minute) || !s.JetStreamEnabled() {
		s.Shutdown()
		return fmt.Errorf("the embedded server did not start on %s", e.dir)
	}
	e.mu.Lock()
	e.server, e.stuck = s, stuck
	e.mu.Unlock()
	return nil
}

// failed is closed when the current server has failed to write: it then accepts no more writes, whatever the disk does.
func (e *embedded) failed() <-chan struct{} {
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stuck
}

// revive replaces a server that failed to write, once there is room. The client library reconnects to the new one by
// itself.
func (e *embedded) revive() error {
	e.reviving.Lock()
	defer e.reviving.Unlock()
	select {
	case <-e.failed():
	default:
		return nil
	}
	if ok, err := e.room(floor); err != nil || !ok {
		return errors.Join(errFull, err)
	}
	e.log.Warn("the prewarm queue starts again, because it could not write")
	e.stop()
	return e.start()
}

func (e *embedded) stop() {
	e.mu.Lock()
	s := e.server
	e.server = nil
	e.mu.Unlock()
	if s != nil {
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// InProcessConn returns a connection to the current server for the client library.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == nil {
		return nil, errors.New("the embedded server restarts")
	}
	return e.server.InProcessConn()
}

func (e *embedded) close() error {
	e.stop()
	if e.lock == nil {
		return nil
	}
	return e.lock.Close()
}

// Free disk space in bytes that is required; on a small disk it is less. Below the reserve no new work is accepted, so
// that the verdicts of accepted work have room. Below the floor nothing is written, because a server that fails to
// write must be replaced.
const (
	reserve = 64 << 20
	floor   = 8 << 20
)

var errFull = errors.New("the disk of the prewarm queue is full")

// room reports whether that much space is free.
func (e *embedded) room(bytes int64) (bool, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(e.dir, &fs); err != nil {
		return false, err
	}
	return int64(fs.Bavail)*fs.Bsize >= needed(bytes, int64(fs.Blocks)*fs.Bsize), nil
}

// needed is how much of the reserve or the floor must be free on a disk of that size. It divides first, because a
// product of two sizes overflows on large disks.
func needed(bytes, disk int64) int64 { return min(bytes, disk/8/(reserve/bytes)) }

// isFull reports whether JetStream refused a write for lack of space.
func isFull(err *jetstream.APIError) bool {
	return hasCode(err, server.JSInsufficientResourcesErr, server.JSStorageResourcesExceededErr) ||
		strings.Contains(err.Description, "no space left") || strings.Contains(err.Description, "disk quota") ||
		strings.Contains(err.Description, "maximum bytes exceeded")
}

// isDiskFull reports whether an error means that a disk is full or read-only.
func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EDQUOT) ||
		strings.Contains(err.Error(), "no space left")
}

// serverLog writes the server's log to slog. Notices are its start-up banner.
type serverLog struct {
	log   *slog.Logger
	stuck func() // called when a write failed
}

func (l serverLog) Noticef(format string, v ...any) {
	l.log.Debug("queue: " + fmt.Sprintf(format, v...))
}
func (l serverLog) Warnf(format string, v ...any) { l.log.Warn("queue: " + fmt.Sprintf(format, v...)) }
func (l serverLog) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.log.Error("queue: " + text)
	// In this case the server sends no response, and stays in error. Only its log reports it.
	if strings.Contains(text, "failed to store") || strings.Contains(text, "no space left") {
		l.stuck()
	}
}

func (l serverLog) Fatalf(format string, v ...any) {
	l.log.Error("queue: " + fmt.Sprintf(format, v...))
}
func (l serverLog) Debugf(string, ...any) {}
func (l serverLog) Tracef(string, ...any) {}
