package report

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// crashHere is set for the process of TestCrashIsReportedByTheNextRun that crashes.
const crashHere = "GOLDCREST_TEST_CRASH_IN"

// crashing panics in a goroutine that nothing recovers.
func crashing(t *testing.T, dir string) {
	var lost atomic.Int64
	cfg := Default()
	cfg.Dir = dir
	r, log := opened(t, startSentry(t), cfg, &lost)
	if err := r.KeepCrashes(log); err != nil {
		t.Fatal(err)
	}
	go func() { panic("token=" + hush) }()
	select {}
}

// A panic that ends the process is reported by the next run, once, with its stack and without secrets. What belongs to
// a running process stays.
func TestCrashIsReportedByTheNextRun(t *testing.T) {
	if dir := os.Getenv(crashHere); dir != "" {
		crashing(t, dir)
	}
	cfg := Default()
	cfg.Dir = t.TempDir()
	crash := exec.Command(os.Args[0], "-test.run=^TestCrashIsReportedByTheNextRun$")
	crash.Env = append(os.Environ(), crashHere+"="+cfg.Dir)
	if out, err := crash.CombinedOutput(); err == nil || !strings.Contains(string(out), "panic: token=") {
		t.Fatalf("%v\n%s", err, out)
	}
	empty := filepath.Join(cfg.Dir, crashPrefix+"empty") // of a run that was killed
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(empty, old, old); err != nil {
		t.Fatal(err)
	}
	s := startSentry(t)
	var lost atomic.Int64
	first, log := opened(t, s, cfg, &lost)
	if err := first.KeepCrashes(log); err != nil {
		t.Fatal(err)
	}
	second, log := opened(t, s, cfg, &lost) // beside the first
	if err := second.KeepCrashes(log); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(cfg.Dir); err != nil || len(files) != 2 {
		t.Errorf("two runs have the files %v, %v", files, err)
	}
	second.Close(t.Context())
	first.Close(t.Context())
	if files, err := os.ReadDir(cfg.Dir); err != nil || len(files) != 0 {
		t.Errorf("left are %v, %v", files, err)
	}
	if len(s.events) != 1 {
		t.Fatalf("%d reports: %v", len(s.events), s.events)
	}
	e := s.events[0]
	x := e.Exception[0]
	if x.Type != panicked || x.Value != "panic: token=..." || strings.Contains(e.raw, hush) || x.Stacktrace == nil {
		t.Fatalf("got %s", e.raw)
	}
	newest := x.Stacktrace.Frames[len(x.Stacktrace.Frames)-1]
	if newest.Function != "crashing.func1" || !newest.InApp {
		t.Errorf("the newest frame is %+v", newest)
	}
}

// A directory that cannot be used is an error of the start, not of the crash.
func TestCrashDirectoryMustExist(t *testing.T) {
	var lost atomic.Int64
	cfg := Default()
	cfg.Dir = filepath.Join(t.TempDir(), "none")
	r, log := opened(t, startSentry(t), cfg, &lost)
	defer r.Close(t.Context())
	if err := r.KeepCrashes(log); err == nil || !strings.Contains(err.Error(), "reports.dir: ") {
		t.Errorf("got %v", err)
	}
	t.Setenv("TMPDIR", cfg.Dir)
	cfg.Dir = ""
	r, log = opened(t, startSentry(t), cfg, &lost)
	defer r.Close(t.Context())
	if err := r.KeepCrashes(log); err != nil {
		t.Errorf("without a usable default: %v", err)
	}
	var none *Reporter
	if err := none.KeepCrashes(log); err != nil {
		t.Errorf("without reports: %v", err)
	}
}
