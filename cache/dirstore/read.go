package dirstore

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/goldcrest/goldcrest/cache"
)

// A file begins with magic, which includes the version of the layout, and the length of the meta text as a big-endian
// uint32.
const (
	magic      = "GCE1"
	headLen    = len(magic) + 4
	touchAfter = time.Hour
)

func encodeHead(meta []byte) []byte {
	b := append(make([]byte, 0, headLen+len(meta)), magic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(meta)))
	return append(b, meta...)
}

// splitHead finds the meta text at the beginning of a file; b may end anywhere after it.
func splitHead(b []byte) (meta, rest []byte, err error) {
	if len(b) < headLen || string(b[:len(magic)]) != magic {
		return nil, nil, cache.ErrChecksum
	}
	n := binary.BigEndian.Uint32(b[len(magic):])
	if n > cache.MaxMeta || int(n) > len(b)-headLen {
		return nil, nil, cache.ErrChecksum
	}
	end := headLen + int(n)
	return b[headLen:end], b[end:len(b):len(b)], nil
}

// read reads an entry, or only its meta if whole is false. A damaged entry is removed and counts as absent.
func (s *Store) read(key string, whole bool) (cache.Entry, error) {
	start := time.Now()
	// Only regular files are entries. A pipe must not block the open, and a link must not be followed.
	f, err := s.open(key, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		if absent(err) {
			err = cache.ErrMiss
		}
		return cache.Entry{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return cache.Entry{}, err
	}
	if info.IsDir() {
		return cache.Entry{}, cache.ErrMiss
	}
	e, err := s.decode(f, info, key, whole)
	if errors.Is(err, cache.ErrChecksum) {
		s.obs.Observe(tier, "checksum", "error", time.Since(start), info.Size())
		// Remove it, unless a Put has replaced it. The result does not matter: the entry is a miss in any case.
		_, _ = s.remove(key, func(now fs.FileInfo) bool { return os.SameFile(now, info) })
		return cache.Entry{}, cache.ErrMiss
	}
	if err != nil {
		return cache.Entry{}, err
	}
	s.touch(key, info.ModTime())
	return e, nil
}

func (s *Store) decode(f *os.File, info fs.FileInfo, key string, whole bool) (cache.Entry, error) {
	size := info.Size()
	if !info.Mode().IsRegular() || size > int64(headLen+cache.MaxMeta+cache.MaxBody) {
		return cache.Entry{}, cache.ErrChecksum
	}
	n := size
	if !whole {
		n = min(n, int64(headLen+cache.MaxMeta))
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(f, b); err != nil {
		return cache.Entry{}, err
	}
	meta, body, err := splitHead(b)
	if err != nil {
		return cache.Entry{}, err
	}
	if whole {
		return s.cfg.Seal.Unmarshal(key, meta, body)
	}
	m, err := s.cfg.Seal.UnmarshalMeta(key, meta)
	if err == nil && size != int64(headLen+len(meta))+m.Size {
		err = cache.ErrChecksum
	}
	return cache.Entry{Meta: m}, err
}

// touch asks the sweeper to record a read, at most once an hour for an entry. It never waits: changing a file's time
// can block on a busy disk long after the read has returned. A read that is dropped while the sweeper is busy is
// recorded the next time.
func (s *Store) touch(key string, last time.Time) {
	if time.Since(last).Abs() <= touchAfter {
		return
	}
	select {
	case s.reads <- key:
	default:
	}
}
