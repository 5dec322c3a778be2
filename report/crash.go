package report

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

const (
	crashPrefix = "goldcrest-crash-" // of the names of files, each that of one run
	crashBytes  = 64 << 10           // what is read of one: the stack that ended the run comes first
	crashFresh  = time.Minute        // an empty file that is younger may belong to a run that is just starting
)

// KeepCrashes has the runtime write the stack of a failure that ends this process into a file of reports.dir, and logs
// the stacks that earlier runs left there. log must report its lines.
func (r *Reporter) KeepCrashes(log *slog.Logger) error {
	if r == nil {
		return nil
	}
	err := r.keepCrashes(cmp.Or(r.dir, os.TempDir()), log)
	if err != nil && r.dir == "" { // Nobody asked for this directory.
		log.Warn("the stack of a crash is not kept: set reports.dir", "error", err)
		return nil
	}
	return err
}

func (r *Reporter) keepCrashes(dir string, log *slog.Logger) error {
	err := logCrashes(dir, log)
	if err == nil {
		r.crash, err = os.CreateTemp(dir, crashPrefix)
	}
	if err == nil {
		err = lock(r.crash)
	}
	if err == nil {
		err = debug.SetCrashOutput(r.crash, debug.CrashOptions{})
	}
	if err != nil {
		return fmt.Errorf("reports.dir: %w", err)
	}
	return nil
}

// lock marks the file as that of a running process. The lock ends with the process.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// dropCrash ends what KeepCrashes began: from here on nothing is kept.
func (r *Reporter) dropCrash() {
	if r.crash == nil {
		return
	}
	_ = debug.SetCrashOutput(nil, debug.CrashOptions{}) // it fails only for a file
	_ = os.Remove(r.crash.Name())                       // what stays is empty, and the next start removes it
	_ = r.crash.Close()
}

// logCrashes logs and removes what runs that have ended left in dir.
func logCrashes(dir string, log *slog.Logger) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), crashPrefix) || !e.Type().IsRegular() {
			continue
		}
		file := filepath.Join(dir, e.Name())
		if text, at := leftIn(file); text != "" {
			log.Error("an earlier run of the server crashed", "panic", text, "at", at)
		}
	}
	return nil
}

// own reports whether the file is this user's, and no other name of a file of this user's.
func own(info os.FileInfo) bool {
	s := info.Sys().(*syscall.Stat_t)
	return info.Mode().IsRegular() && s.Uid == uint32(os.Geteuid()) && s.Nlink == 1
}

// leftIn reads and removes a file of KeepCrashes; "" if its process runs, is another user's, or left nothing.
func leftIn(file string) (text string, at time.Time) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", at
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !own(info) || lock(f) != nil || info.Size() == 0 && time.Since(info.ModTime()) < crashFresh {
		return "", at
	}
	body, err := io.ReadAll(io.LimitReader(f, crashBytes))
	if err != nil || os.Remove(file) != nil { // it would be reported at each start
		return "", at
	}
	return string(body), info.ModTime()
}
