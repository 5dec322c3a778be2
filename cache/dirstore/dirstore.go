// Package dirstore is a Store on a local directory: the embedded default.
//
// An entry is one file at the path that its key names (so "v1/ab/<hash>/<spec>.webp" fans out by itself): a header, the meta
// text with its checksums, the body. Files are written aside and renamed into place.
package dirstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/goldcrest/goldcrest/cache"
)

// ErrFull says that an entry was not written because the store is at its bound, or the disk at the part to be left free. The
// sweep that makes room has begun when a caller sees it.
var ErrFull = errors.New("dirstore: no room")

// The names in the store's directory that are not entries.
const (
	lockName = ".lock"
	tempName = ".tmp"
)

const tier = "dir"

// Store keeps each entry in a file. Safe for concurrent use within one process; a second process is kept out.
type Store struct {
	cfg  Config
	obs  cache.Observer
	root *os.Root // keeps every path inside, whatever links there are
	lock *os.File
	temp atomic.Uint64 // names temporary files

	ops    sync.RWMutex // held for reading by each operation; Close waits for them
	closed bool

	mu     sync.Mutex       // held while names change: rename, remove, make and remove a directory
	used   int64            // bytes of entries on disk; too small until the first walk has ended
	max    int64            // 0 until known
	placed map[string]int64 // bytes of what was put since the current walk began; nil between walks

	kick   chan struct{}
	reads  chan string // keys read, to be recorded
	cancel context.CancelFunc
	done   chan struct{} // closed when the sweeper has ended

	write func(f *os.File, b []byte) error // os.File.Write, but for tests
}

var _ cache.Store = (*Store)(nil)

// Open takes the directory into use; obs may be nil. What the store holds is counted in the background.
func Open(cfg Config, obs cache.Observer) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if obs == nil {
		obs = cache.NoObserver{}
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("dirstore: %w", err)
	}
	root, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("dirstore: %w", err)
	}
	lock, err := take(root)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Store{
		cfg: cfg, obs: obs, root: root, lock: lock, max: cfg.MaxBytes,
		kick: make(chan struct{}, 1), reads: make(chan string, 256), cancel: cancel, done: make(chan struct{}),
		write: func(f *os.File, b []byte) error { _, err := f.Write(b); return err },
	}
	go s.sweeper(ctx)
	return s, nil
}

// take locks the directory and removes what an earlier process left half written.
func take(root *os.Root) (*os.File, error) {
	lock, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("dirstore: %w", err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("%s is in use by another server; each needs a directory of its own", root.Name())
	}
	if err == nil {
		err = root.RemoveAll(tempName)
	}
	if err == nil {
		err = root.Mkdir(tempName, 0o700)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("dirstore: %w", err), lock.Close())
	}
	return lock, nil
}

// Close waits for running operations and the sweeper, then gives the directory free.
func (s *Store) Close() error {
	s.ops.Lock()
	defer s.ops.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.cancel()
	<-s.done
	return errors.Join(s.root.Close(), s.lock.Close())
}

// Usage says how many bytes the entries take and what the bound is, 0 while it is still being found out.
func (s *Store) Usage() (used, bound int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.max
}

// Get implements cache.Store.
func (s *Store) Get(ctx context.Context, key string) (cache.Entry, error) {
	start := time.Now()
	var e cache.Entry
	err := s.enter(ctx, checkKey(key), func() (err error) {
		e, err = s.read(key, true)
		return err
	})
	s.observe("get", start, err, int64(len(e.Body)))
	return e, err
}

// Stat implements cache.Store. The body is not read, so its checksum is not verified; its length is.
func (s *Store) Stat(ctx context.Context, key string) (cache.Meta, error) {
	start := time.Now()
	var e cache.Entry
	err := s.enter(ctx, checkKey(key), func() (err error) {
		e, err = s.read(key, false)
		return err
	})
	s.observe("stat", start, err, 0)
	return e.Meta, err
}

// Put implements cache.Store. When it returns the entry is on disk, and stays there through a power cut.
func (s *Store) Put(ctx context.Context, key string, e cache.Entry) error {
	start := time.Now()
	e, err := cache.Check(key, e)
	if err == nil {
		err = checkKey(key)
	}
	err = s.enter(ctx, err, func() error { return s.put(ctx, key, e) })
	s.observe("put", start, err, e.Size)
	return err
}

// Delete implements cache.Store.
func (s *Store) Delete(ctx context.Context, prefix string) (int, error) {
	start := time.Now()
	n := 0
	err := s.enter(ctx, cache.CheckPrefix(prefix), func() error {
		err := s.walk(ctx, prefix, func(name string, _ fs.FileInfo) (bool, error) {
			removed, err := s.remove(name, func(fs.FileInfo) bool { return true })
			if removed {
				n++
			}
			return removed, err
		})
		if n > 0 { // a purge must not come undone by a power cut
			dir := path.Dir(prefix + "x")
			err = errors.Join(err, s.syncUp(dir, dir))
		}
		return err
	})
	s.observe("delete", start, err, 0)
	return n, err
}

// checkKey is cache.CheckKey with the store's own names excepted.
func checkKey(key string) error {
	if first, _, _ := strings.Cut(key, "/"); first == lockName || first == tempName {
		return fmt.Errorf("%w: %q", cache.ErrBadKey, key)
	}
	return cache.CheckKey(key)
}

// enter runs an operation unless err, the context or Close forbid it.
func (s *Store) enter(ctx context.Context, err error, operation func() error) error {
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.ops.RLock()
	defer s.ops.RUnlock()
	if s.closed {
		return fmt.Errorf("dirstore: %w", fs.ErrClosed)
	}
	err = operation()
	if err == nil || errors.Is(err, cache.ErrMiss) || errors.Is(err, ErrFull) {
		return err
	}
	return fmt.Errorf("dirstore: %w", err)
}

func (s *Store) observe(op string, start time.Time, err error, bytes int64) {
	outcome := "ok"
	switch {
	case errors.Is(err, cache.ErrMiss):
		outcome = "miss"
	case err != nil:
		outcome = "error"
	case op == "get" || op == "stat":
		outcome = "hit"
	}
	if err != nil {
		bytes = 0
	}
	s.obs.Observe(tier, op, outcome, time.Since(start), bytes)
}

// put writes the entry aside, makes it durable, and renames it into place.
func (s *Store) put(ctx context.Context, key string, e cache.Entry) error {
	head := encodeHead(cache.MarshalMeta(key, e))
	size := onDisk(int64(len(head) + len(e.Body)))
	if err := s.room(size); err != nil {
		s.nudge()
		return err
	}
	defer s.nudge()
	temp := path.Join(tempName, strconv.FormatUint(s.temp.Add(1), 10))
	err := s.writeFile(temp, head, e.Body)
	if err == nil {
		err = ctx.Err() // the last moment at which the caller's leaving changes nothing
	}
	var there string
	if err == nil {
		there, err = s.place(temp, key, size)
	}
	if err != nil {
		_ = s.root.Remove(temp) // it may never have come to be; the next start removes it otherwise
		return err
	}
	// Without the directory's own sync a power cut could undo the rename after prewarming has reported the variant as made and
	// has taken its unit off the queue. A directory that is new needs the same from the one that it was made in.
	return s.syncUp(path.Dir(key), there)
}

func (s *Store) writeFile(name string, parts ...[]byte) error {
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if err == nil {
			err = s.write(f, part)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// place renames a finished file to its key and says which of the directories above it was there before: the lowest.
func (s *Store) place(temp, key string, size int64) (there string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir := path.Dir(key)
	there = dir
	var old int64
	if info, err := s.root.Lstat(key); err == nil {
		old = onDisk(info.Size())
	} else {
		for there != "." && !s.exists(there) {
			there = path.Dir(there)
		}
	}
	if there != dir {
		if err := s.root.MkdirAll(dir, 0o700); err != nil {
			return "", err
		}
	}
	if err := s.root.Rename(temp, key); err != nil {
		return "", err
	}
	s.used += size - old
	if s.placed != nil {
		s.placed[key] = size
	}
	return there, nil
}

func (s *Store) exists(dir string) bool {
	_, err := s.root.Lstat(dir)
	return err == nil
}

// syncUp makes the names in dir durable, and those in its parents up to top. A directory that is gone has no names to keep: its nearest parent
// is synced in its place.
func (s *Store) syncUp(dir, top string) error {
	for reached := false; ; dir = path.Dir(dir) {
		reached = reached || dir == top
		d, err := s.root.Open(dir)
		if err == nil {
			err = errors.Join(d.Sync(), d.Close())
		} else if absent(err) && dir != "." {
			continue
		}
		if err != nil || reached || dir == "." {
			return err
		}
	}
}

// remove deletes a file if it still is as the caller wants it, and reports whether it did.
func (s *Store) remove(name string, wanted func(fs.FileInfo) bool) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := s.root.Lstat(name)
	if err == nil && !wanted(info) {
		return false, nil
	}
	if err == nil {
		err = s.root.Remove(name)
	}
	if err != nil {
		if absent(err) {
			err = nil
		}
		return false, err
	}
	s.used = max(0, s.used-onDisk(info.Size()))
	return true, nil
}

// room refuses what would pass a bound.
func (s *Store) room(size int64) error {
	free, err := s.free()
	if err != nil {
		return err
	}
	used, bound := s.Usage()
	switch {
	case bound > 0 && used+size > bound:
		return fmt.Errorf("%w: the entries take %d of %d bytes", ErrFull, used, bound)
	case free-size < s.cfg.MinFree:
		return fmt.Errorf("%w: %d bytes of the disk are free, %d are to stay so", ErrFull, free, s.cfg.MinFree)
	}
	return nil
}

// nudge has the sweeper look whether there is something to do.
func (s *Store) nudge() {
	select {
	case s.kick <- struct{}{}:
	default: // it will look anyway
	}
}

func (s *Store) free() (int64, error) {
	var disk syscall.Statfs_t
	if err := syscall.Fstatfs(int(s.lock.Fd()), &disk); err != nil {
		return 0, err
	}
	return int64(disk.Bavail) * disk.Bsize, nil
}

// onDisk is what a file of n bytes takes: whole blocks.
func onDisk(n int64) int64 { return (n + 4095) &^ 4095 }

// absent reports that a path leads to nothing, also where one of its directories is a file.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
