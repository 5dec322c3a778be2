package dirstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"

	"github.com/goldcrest/goldcrest/cache"
)

// put writes the entry to a temporary file, syncs it, and renames it.
func (s *Store) put(ctx context.Context, key string, e cache.Entry) error {
	head := encodeHead(s.cfg.Seal.MarshalMeta(key, e))
	size := onDisk(int64(len(head) + len(e.Body)))
	if err := s.room(size); err != nil {
		s.nudge()
		return err
	}
	defer s.nudge()
	temp := path.Join(tempName, strconv.FormatUint(s.temp.Add(1), 10))
	err := s.writeFile(temp, head, e.Body)
	var there string
	if err == nil {
		there, err = s.place(ctx, temp, key, size)
	}
	if err != nil {
		_ = s.root.Remove(temp) // it may not exist; the next start removes it otherwise
		return err
	}
	// Without a sync of the directory, a power failure could undo the rename after prewarming has reported the variant
	// as made and acknowledged its unit. A new directory needs a sync of its parent for the same reason.
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

// place renames a finished file to its key and returns the lowest directory above it that existed before.
func (s *Store) place(ctx context.Context, temp, key string, size int64) (there string, err error) {
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
	if err := ctx.Err(); err != nil { // after this point the caller's leaving changes nothing
		return "", err
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

// syncUp makes the names in dir durable, and those in its parents up to top. If a directory was removed meanwhile, its
// nearest parent is synced.
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

// room refuses an entry that would exceed a bound.
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
