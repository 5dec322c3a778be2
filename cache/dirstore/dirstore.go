// Package dirstore is a Store in a local directory: the embedded default.
//
// An entry is one file whose path is its key ("v1/ab/<hash>/<spec>.webp" distributes files over directories by itself):
// a header, the meta text with its checksums, the body. A file is written under a temporary name and renamed.
package dirstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/stall"
)

// ErrFull says that an entry was not written because the store is at its bound, or the disk has too little free space.
// A sweep has started when the caller sees it.
var ErrFull = errors.New("dirstore: no room")

// The names in the store's directory that are not entries.
const (
	lockName = ".lock"
	tempName = ".tmp"
)

const tier = "dir"

// The number of concurrent calls to the disk. Each call holds a thread while the disk hangs.
const (
	maxReads  = 64
	maxWrites = 32
)

// closePatience is how long Close waits for calls that hang.
const closePatience = 2 * time.Second

// openPatience is how long Open waits for them.
const openPatience = 10 * time.Second

// Store keeps each entry in a file. Safe for concurrent use within one process; a second process is locked out. System
// calls on files cannot be cancelled: when a context ends, its call is abandoned, see package stall.
type Store struct {
	cfg Config
	obs cache.Observer
	directory
	temp atomic.Uint64 // names temporary files

	gets *stall.Calls
	puts *stall.Calls

	ops    sync.RWMutex // held for reading by each operation; Close waits for them
	closed bool

	space
	sweeping

	// Tests replace these: os.Root.OpenFile for reading, and os.File.Write.
	open  func(name string, flag int, perm os.FileMode) (*os.File, error)
	write func(f *os.File, b []byte) error
}

// space is what the entries take on disk.
type space struct {
	mu     sync.Mutex       // held while names change: rename, remove, create and remove a directory
	used   int64            // bytes of entries; too small until the first walk has ended
	max    int64            // 0 until known
	placed map[string]int64 // bytes put since the current walk began; nil between walks
}

// sweeping is how the sweeper is reached.
type sweeping struct {
	kick   chan struct{}
	reads  chan string // keys that were read, to be recorded
	cancel context.CancelFunc
	done   chan struct{} // closed when the sweeper has ended
}

var _ cache.Store = (*Store)(nil)

// Open opens the directory; obs may be nil. Existing entries are counted in the background. If the disk hangs, Open
// returns when ctx ends or after openPatience.
func Open(ctx context.Context, cfg Config, obs cache.Observer) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if obs == nil {
		obs = cache.NoObserver{}
	}
	ctx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	d, err := stall.Do(ctx, stall.New(1), func() (directory, error) { return hold(ctx, cfg.Dir) })
	if errors.Is(err, stall.ErrStalled) {
		err = fmt.Errorf("the disk of %s does not answer: %w", cfg.Dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("dirstore: %w", err)
	}
	return start(cfg, obs, d), nil
}

// start makes the Store of a locked directory.
func start(cfg Config, obs cache.Observer, d directory) *Store {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Store{
		cfg: cfg, obs: obs, directory: d, gets: stall.New(maxReads), puts: stall.New(maxWrites), open: d.root.OpenFile,
		space:    space{max: cfg.MaxBytes},
		sweeping: sweeping{kick: make(chan struct{}, 1), reads: make(chan string, 256), cancel: cancel, done: make(chan struct{})},
		write:    func(f *os.File, b []byte) error { _, err := f.Write(b); return err },
	}
	go s.sweeper(ctx)
	return s
}

// directory is an open, locked directory.
type directory struct {
	root *os.Root // keeps every path inside, whatever symbolic links exist
	lock *os.File
}

func (d directory) close() error { return errors.Join(d.root.Close(), d.lock.Close()) }

// hold opens and locks a directory. If its caller has left meanwhile, it unlocks it again.
func hold(ctx context.Context, name string) (d directory, err error) {
	if err := os.MkdirAll(name, 0o700); err != nil {
		return d, err
	}
	if d.root, err = os.OpenRoot(name); err != nil {
		return d, err
	}
	if d.lock, err = take(d.root); err != nil {
		return d, errors.Join(err, d.root.Close())
	}
	if ctx.Err() != nil {
		return d, errors.Join(ctx.Err(), d.close())
	}
	return d, nil
}

// take locks the directory and removes temporary files of an earlier process.
func take(root *os.Root) (*os.File, error) {
	lock, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
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
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// Close waits for running operations and the sweeper, then unlocks the directory. If the disk hangs, it returns an
// error after closePatience, and the directory stays locked until the process ends.
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	_, err := stall.Do(ctx, stall.New(1), func() (struct{}, error) { return struct{}{}, s.close() })
	if errors.Is(err, stall.ErrStalled) {
		return fmt.Errorf("dirstore: the directory does not answer, calls to it are left behind: %w", err)
	}
	return err
}

func (s *Store) close() error {
	s.cancel() // first, since a sweep may take long
	s.ops.Lock()
	defer s.ops.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	<-s.done
	return s.directory.close()
}

// Hung is the number of abandoned calls to the disk that have not returned.
func (s *Store) Hung() int { return s.gets.Left() + s.puts.Left() }

// Usage returns the bytes of all entries and the bound, which is 0 until it is known.
func (s *Store) Usage() (used, bound int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.max
}

// Get implements cache.Store.
func (s *Store) Get(ctx context.Context, key string) (cache.Entry, error) {
	start := time.Now()
	e, err := enter(ctx, s, s.gets, checkKey(key), func() (cache.Entry, error) { return s.read(key, true) })
	s.observe("get", start, err, int64(len(e.Body)))
	return e, err
}

// Stat implements cache.Store. The body is not read, so its checksum is not verified; its length is.
func (s *Store) Stat(ctx context.Context, key string) (cache.Meta, error) {
	start := time.Now()
	e, err := enter(ctx, s, s.gets, checkKey(key), func() (cache.Entry, error) { return s.read(key, false) })
	s.observe("stat", start, err, 0)
	return e.Meta, err
}

// Put implements cache.Store. When it returns, the entry is on disk and survives a power failure. If the context has
// ended, the entry is not renamed into place, unless the rename has already begun; Delete waits for that.
func (s *Store) Put(ctx context.Context, key string, e cache.Entry) error {
	start := time.Now()
	e, err := cache.Check(key, e)
	if err == nil {
		err = checkKey(key)
	}
	_, err = enter(ctx, s, s.puts, err, func() (struct{}, error) { return struct{}{}, s.put(ctx, key, e) })
	s.observe("put", start, err, e.Size)
	return err
}

// Delete implements cache.Store.
func (s *Store) Delete(ctx context.Context, prefix string) (int, error) {
	start := time.Now()
	n, err := enter(ctx, s, s.puts, cache.CheckPrefix(prefix), func() (int, error) { return s.removeAll(ctx, prefix) })
	s.observe("delete", start, err, 0)
	return n, err
}

// removeAll removes every entry whose key begins with prefix, and returns their number.
//
// An abandoned Put must not place its entry after removeAll:
//  1. Put P hangs in the disk, and its caller leaves.
//  2. removeAll begins.
//  3. P continues and places its entry.
//
// P checks its context under mu, and removeAll takes mu once before it walks. So either P has placed its entry by then
// and the walk finds it, or P will not place it.
func (s *Store) removeAll(ctx context.Context, prefix string) (n int, err error) {
	s.awaitPlacing()
	err = s.walk(ctx, prefix, func(name string, _ fs.FileInfo) (bool, error) {
		removed, err := s.remove(name, func(fs.FileInfo) bool { return true })
		if removed {
			n++
		}
		return removed, err
	})
	if n > 0 { // a power failure must not undo a purge
		dir := path.Dir(prefix + "x")
		err = errors.Join(err, s.syncUp(dir, dir))
	}
	return n, err
}

// awaitPlacing waits for a rename that is running now.
func (s *Store) awaitPlacing() {
	s.mu.Lock()
	defer s.mu.Unlock()
}

// checkKey is cache.CheckKey that also refuses the store's own names.
func checkKey(key string) error {
	if first, _, _ := strings.Cut(key, "/"); first == lockName || first == tempName {
		return fmt.Errorf("%w: %q", cache.ErrBadKey, key)
	}
	return cache.CheckKey(key)
}

// enter runs an operation unless err is set, the context has ended or the store is closed.
func enter[T any](ctx context.Context, s *Store, calls *stall.Calls, err error, operation func() (T, error)) (T, error) {
	var none T
	if err != nil {
		return none, err
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	v, err := stall.Do(ctx, calls, func() (T, error) {
		s.ops.RLock()
		defer s.ops.RUnlock()
		if s.closed {
			return none, fs.ErrClosed
		}
		return operation()
	})
	if err == nil || errors.Is(err, cache.ErrMiss) || errors.Is(err, ErrFull) {
		return v, err
	}
	return v, fmt.Errorf("dirstore: %w", err)
}

func (s *Store) observe(op string, start time.Time, err error, bytes int64) {
	outcome := "ok"
	switch {
	case errors.Is(err, cache.ErrMiss):
		outcome = "miss"
	case errors.Is(err, stall.ErrStalled):
		outcome = "hung"
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
