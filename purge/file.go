package purge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/stall"
)

// File stores the purges of an instance that does not share its store, so that the next process knows them too: a write
// to a bucket may arrive after the process that sent it has ended. Safe for concurrent use.
type File struct {
	path   string
	writes *stall.Calls // one at a time; it also guards the fields below
	bytes  int64        // of the file
	full   int64        // the size at which it is rewritten; 0 = before the first write
}

// ErrNotKept says that a purge could not be written to disk, so a restart forgets it. The purge can be repeated.
var ErrNotKept = errors.New("purge: it could not be recorded")

// grown is how much is appended to a file before it is rewritten without purges older than a day.
const grown = 1 << 20

// keepWithin bounds a write: the disk may hang.
const keepWithin = 5 * time.Second

// line is a purge in the file.
type line struct {
	At       time.Time        `json:"at"`
	By       cache.Generation `json:"by"`
	Prefixes []string         `json:"prefixes"`
}

// OpenFile applies the purges in the file at path, which may be absent, to purges. It writes nothing: another process
// may own the directory, which the caller finds out later. After an error the File accepts purges as soon as the disk
// does, but those of earlier processes are unknown.
func OpenFile(ctx context.Context, path string, purges *cache.Purges) (*File, error) {
	f := &File{path: path, writes: stall.New(1)}
	ctx, cancel := context.WithTimeout(ctx, keepWithin)
	defer cancel()
	lines, err := stall.Do(ctx, f.writes, func() ([]line, error) { return f.read(time.Now()) })
	for _, l := range lines {
		purges.Begin(l.By, l.Prefixes, 0)
	}
	return f, err
}

// Keep writes a purge and returns when it is on disk. It waits for the disk or for keepWithin, and does not end with
// ctx.
func (f *File) Keep(ctx context.Context, g cache.Generation, prefixes []string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepWithin)
	defer cancel()
	_, err := stall.Do(ctx, f.writes, func() (struct{}, error) {
		return struct{}{}, f.add(line{time.Now(), g, prefixes})
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	return nil
}

func (f *File) add(l line) error {
	if f.bytes >= f.full {
		if err := f.renew(l.At); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	n, err := file.Write(append([]byte{'\n'}, encode(l)...)) // The new line separates it from what a failed write left.
	f.bytes += int64(n)
	return errors.Join(err, file.Sync(), file.Close())
}

// read returns the purges of the last day. Truncated lines are of purges that were never confirmed.
func (f *File) read(now time.Time) (lines []line, err error) {
	text, err := os.ReadFile(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for part := range bytes.Lines(text) {
		var l line
		if json.Unmarshal(part, &l) == nil && now.Sub(l.At) < dayKept {
			lines = append(lines, l)
		}
	}
	return lines, err
}

// renew rewrites the file with the purges of the last day only.
func (f *File) renew(now time.Time) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	lines, err := f.read(now)
	if err != nil {
		return err
	}
	var fresh []byte
	for _, l := range lines {
		fresh = append(fresh, encode(l)...)
	}
	if err := replace(f.path, fresh); err != nil {
		return err
	}
	f.bytes, f.full = int64(len(fresh)), int64(len(fresh))+grown
	return nil
}

// dayKept is how long a purge is kept: longer than an earlier write can take to arrive.
const dayKept = 24 * time.Hour

func encode(l line) []byte {
	text, _ := json.Marshal(l) // Ages, numbers and text can always be marshalled.
	return append(text, '\n')
}

// replace writes new content to a file, on disk when it returns; a reader sees the old or the new one.
func replace(path string, text []byte) error {
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
