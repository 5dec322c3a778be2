package dirstore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/cache"
)

// The sweeper keeps no list of entries, so its memory does not grow with their number. One walk adds up their bytes by
// age in slots of ten minutes; this gives the age from which entries are removed by a second walk.
const (
	ageSlot = 10 * time.Minute
	maxAge  = 365 * 24 * time.Hour // older ones share the last slot

	lastingFor = 30 * 24 * time.Hour // how much longer entries under cache.LastingPrefix stay than variants
)

// excess is the number of bytes to remove: none below 15/16 of the bound and with 1/16 more free than required;
// otherwise enough to get to 7/8 of the bound, and 1/8 more free.
func excess(used, bound, free, minFree int64) int64 {
	var n int64
	if bound > 0 && used > bound/16*15 {
		n = used - bound/8*7
	}
	if minFree > 0 && free < minFree+minFree/16 {
		n = max(n, minFree+minFree/8-free)
	}
	return n
}

// sweeper counts the stored entries, sweeps when a Put asks for it, and records reads.
func (s *Store) sweeper(ctx context.Context) {
	defer close(s.done)
	s.sweep(ctx, true)
	for {
		select {
		case <-ctx.Done():
			for len(s.reads) > 0 {
				s.record(<-s.reads)
			}
			return
		case <-s.kick:
			s.sweep(ctx, false)
		case key := <-s.reads:
			s.record(key)
		}
	}
}

// record stores the time of a read as the file's modification time, since many systems mount with noatime. If it fails,
// the entry only looks older than it is.
func (s *Store) record(key string) { _ = s.root.Chtimes(key, time.Time{}, time.Now()) }

func (s *Store) sweep(ctx context.Context, first bool) {
	start := time.Now()
	if n, err := s.excess(); err == nil && n <= 0 && !first {
		return
	}
	ages, err := s.measure(ctx, start)
	var n, freed int64
	if err == nil {
		n, err = s.excess()
	}
	if err == nil && n > 0 {
		freed, err = s.evict(ctx, start, ages, n)
	}
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	s.obs.Observe(tier, "sweep", outcome, time.Since(start), freed)
}

// excess is the number of bytes to remove now.
func (s *Store) excess() (int64, error) {
	free, err := s.free()
	used, bound := s.Usage()
	return excess(used, bound, free, s.cfg.MinFree), err
}

// measure corrects used, sets the bound the first time, and returns the bytes by age. A change during the walk may be
// counted twice but is never missed; the next walk corrects it.
func (s *Store) measure(ctx context.Context, start time.Time) (map[int64]int64, error) {
	s.mu.Lock()
	s.placed = map[string]int64{}
	s.mu.Unlock()
	ages, total := map[int64]int64{}, int64(0)
	err := s.walk(ctx, "", func(name string, info fs.FileInfo) (bool, error) {
		size := onDisk(info.Size())
		s.mu.Lock()
		_, counted := s.placed[name]
		s.mu.Unlock()
		if !counted {
			total += size
		}
		ages[slot(start, name, info)] += size
		return false, nil
	})
	free, freeErr := s.free()
	s.mu.Lock()
	defer s.mu.Unlock()
	placed := s.placed
	s.placed = nil
	if err = errors.Join(err, freeErr); err != nil {
		return nil, err
	}
	s.used = total
	for _, size := range placed {
		s.used += size
	}
	if s.max == 0 {
		s.max = (s.used + free) / 5 * 4
	}
	return ages, nil
}

// evict removes n bytes of the least recently read entries.
func (s *Store) evict(ctx context.Context, now time.Time, ages map[int64]int64, n int64) (freed int64, err error) {
	var last int64 // all entries before this slot are removed, and quota bytes of it
	quota := n
	for _, age := range slices.Sorted(maps.Keys(ages)) {
		last = age
		if ages[age] >= quota {
			break
		}
		quota -= ages[age]
		last = age + 1
	}
	err = s.walk(ctx, "", func(name string, _ fs.FileInfo) (bool, error) {
		var size int64
		removed, err := s.remove(name, func(info fs.FileInfo) bool { // under the lock: a Put may just have replaced it
			size = onDisk(info.Size())
			age := slot(now, name, info)
			if age == last && quota > 0 {
				quota -= size
				return true
			}
			return age < last
		})
		if removed {
			freed += size
		}
		return removed, err
	})
	return freed, err
}

// slot is the ten minutes in which a file was last written or read. Lasting entries count as younger.
func slot(now time.Time, name string, info fs.FileInfo) int64 {
	at := info.ModTime()
	if strings.HasPrefix(name, cache.LastingPrefix) {
		at = at.Add(lastingFor)
	}
	return max(at.Unix(), now.Add(-maxAge).Unix()) / int64(ageSlot/time.Second)
}

// walk visits every entry whose key begins with prefix. visit reports whether it removed the entry; a directory that
// became empty by that is removed too.
func (s *Store) walk(ctx context.Context, prefix string, visit func(name string, info fs.FileInfo) (bool, error)) error {
	dir := path.Dir(prefix + "x") // the deepest directory that holds them all
	_, err := s.walkDir(ctx, dir, prefix, visit)
	return err
}

func (s *Store) walkDir(ctx context.Context, dir, prefix string, visit func(string, fs.FileInfo) (bool, error)) (changed bool, err error) {
	d, err := s.root.Open(dir)
	if err != nil {
		if absent(err) || errors.Is(err, fs.ErrPermission) { // not ours, for example a disk's lost+found
			err = nil
		}
		return false, err
	}
	defer d.Close()
	for err == nil {
		var names []fs.DirEntry
		names, err = d.ReadDir(256)
		for _, entry := range names {
			did, err := s.step(ctx, path.Join(dir, entry.Name()), entry, prefix, visit)
			if changed = changed || did; err != nil {
				return changed, err
			}
		}
	}
	if !errors.Is(err, io.EOF) && !absent(err) {
		return changed, err
	}
	if !changed || dir == "." {
		return changed, nil
	}
	s.mu.Lock() // Put creates its directory and renames into it under the same lock
	defer s.mu.Unlock()
	return s.root.Remove(dir) == nil, nil
}

func (s *Store) step(ctx context.Context, name string, entry fs.DirEntry, prefix string, visit func(string, fs.FileInfo) (bool, error)) (bool, error) {
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case name == lockName || name == tempName:
		return false, nil
	case entry.IsDir() && strings.HasPrefix(name+"/", prefix):
		return s.walkDir(ctx, name, prefix, visit)
	case entry.IsDir() || !strings.HasPrefix(name, prefix):
		return false, nil
	}
	info, err := entry.Info()
	if err != nil {
		if absent(err) {
			err = nil
		}
		return false, err
	}
	return visit(name, info)
}
