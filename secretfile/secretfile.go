// Package secretfile reads files that hold keys and tokens, and refuses those that another user could have written.
package secretfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// limit is the maximum size of a file with a secret or certificates, in bytes.
const limit = 256 << 10

// Value is the text of the file at path without surrounding white space; without a path it is inline.
func Value(inline, path string) (string, error) {
	if path == "" {
		return inline, nil
	}
	text, err := Read(path)
	return strings.TrimSpace(string(text)), err
}

// Read reads a file of at most 256 KiB. It checks the opened file, so that it cannot be replaced between check and
// read.
func Read(path string) ([]byte, error) {
	f, info, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err = judge(path, info); err != nil {
		return nil, err
	}
	return readAll(f, path, limit)
}

// ReadIf is Read for a file that may contain secrets: it is checked only if holds says that its text does.
func ReadIf(path string, limit int64, holds func(text []byte) (bool, error)) error {
	f, info, err := open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := readAll(f, path, limit)
	if err != nil {
		return err
	}
	secret, err := holds(text)
	if err != nil || !secret {
		return err
	}
	_, err = judge(path, info)
	return err
}

// Check checks a file without opening it, for reports: a pipe can be read only once. The warning is that every user can
// read the file, as mounted secrets often are on purpose. A missing file is left to its reader.
func Check(path string) (warning string, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return judge(path, info)
}

func open(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

func readAll(f *os.File, path string, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return text, err
}

// judge refuses a file that another user can write or replace.
func judge(path string, info fs.FileInfo) (warning string, err error) {
	if info.Mode().IsRegular() { // The mode of a secret manager's pipe does not matter.
		if err := owned(path, info); err != nil {
			return "", err
		}
		if info.Mode().Perm()&0o004 != 0 {
			warning = fmt.Sprintf("every user of this machine can read %s (%v)", path, info.Mode().Perm())
		}
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	w := walk{seen: map[string]bool{}}
	return warning, w.way(absolute)
}

// owned refuses a file that belongs to a user other than root and us, or that others than its owner can write.
func owned(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, who is neither root nor the user of this process: chown root %[1]s", path, stat.Uid)
	}
	// Everyone can write in a sticky directory, but only owners can rename or remove their files.
	if mode := info.Mode(); mode.Perm()&0o022 != 0 && !(mode.IsDir() && mode&fs.ModeSticky != 0) {
		return fmt.Errorf("%s can be written by others than its owner (%v): chmod go-w %[1]s", path, mode.Perm())
	}
	return nil
}

// walk follows all paths that lead to a file.
type walk struct{ seen map[string]bool }

// way checks every directory and symbolic link on the way to path, which is absolute and clean. It does not check the
// file at its end.
func (w walk) way(path string) error {
	if w.seen[path] {
		return nil
	}
	w.seen[path] = true
	parent := filepath.Dir(path)
	if parent != path {
		if err := w.way(parent); err != nil {
			return err
		}
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // for example the name of a pipe below /proc
	}
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return owned(path, info)
	case info.Mode()&fs.ModeSymlink == 0:
		return nil
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("the link %s belongs to user %d, who is neither root nor the user of this process", path, stat.Uid)
	}
	target, err := targetOf(path)
	if err != nil {
		return err
	}
	return w.way(target)
}

// targetOf is the absolute path that a symbolic link leads to.
func targetOf(link string) (string, error) {
	target, err := os.Readlink(link)
	if err != nil || filepath.IsAbs(target) {
		return filepath.Clean(target), err
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(link))
	return filepath.Join(parent, target), err
}
