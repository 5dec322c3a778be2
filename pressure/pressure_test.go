package pressure

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The steps are taken at once, one by one or several together, and left only when memory has been clearly lower for a
// while.
func TestFault34Steps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		used, broken := int64(0), false
		var seen []Step
		w := New([]Gauge{func() (int64, int64, error) {
			if broken {
				return 0, 0, errors.New("unreadable")
			}
			return used, 100, nil
		}}, func(_ Step, to Level) { seen = append(seen, to.Step) }, nil)
		for i, c := range []struct {
			used  int64
			after time.Duration
			want  Step
		}{
			{50, 0, Normal}, {79, 0, Normal}, {80, 0, NoPrewarm}, {92, 0, CacheOnly}, {95, 0, Refuse}, {200, 0, Refuse},
			{91, 0, Refuse}, {91, time.Minute, Refuse}, // not clearly below 95 %
			{89, 0, Refuse}, {89, calm - 1, Refuse}, {89, 1, CacheOnly},
			{60, 0, CacheOnly}, {60, calm - 1, CacheOnly}, {88, 0, CacheOnly}, // it was low, but not for long
			{60, 0, CacheOnly}, {60, calm, Normal},
			{99, 0, Refuse},
		} {
			time.Sleep(c.after)
			used = c.used
			if w.Sample(); w.Step() != c.want {
				t.Errorf("sample %d, at %d: %v, want %v", i, c.used, w.Step(), c.want)
			}
		}
		broken = true
		if w.Sample(); w.Step() != Refuse {
			t.Errorf("unreadable: %v, want the step to stay", w.Step())
		}
		if want := []Step{NoPrewarm, CacheOnly, Refuse, CacheOnly, Normal, Refuse}; !slices.Equal(seen, want) {
			t.Errorf("told %v, want %v", seen, want)
		}
	})
}

// The gauge that is closest to its limit decides; one without a limit never does, and one that fails is left out.
func TestFault34TheWorstGaugeDecides(t *testing.T) {
	fixed := func(used, limit int64, err error) Gauge {
		return func() (int64, int64, error) { return used, limit, err }
	}
	for name, c := range map[string]struct {
		gauges []Gauge
		want   Level
	}{
		"none":                {nil, Level{}},
		"without a limit":     {[]Gauge{fixed(1<<40, 0, nil)}, Level{Normal, 1 << 40, 0}},
		"two without a limit": {[]Gauge{fixed(0, 0, nil), fixed(70, 0, nil)}, Level{Normal, 70, 0}},
		"two":                 {[]Gauge{fixed(50, 100, nil), fixed(93, 100, nil), fixed(85, 100, nil)}, Level{CacheOnly, 93, 100}},
		"one cannot be read":  {[]Gauge{fixed(99, 100, errors.New("gone")), fixed(85, 100, nil)}, Level{NoPrewarm, 85, 100}},
	} {
		w := New(c.gauges, nil, nil)
		if w.Sample(); w.Level() != c.want {
			t.Errorf("%s: got %+v, want %+v", name, w.Level(), c.want)
		}
	}
}

// A clock that is set back neither ends a step early nor keeps it for ever.
func TestFault22PressureClock(t *testing.T) {
	now, used := time.Unix(1e9, 0), int64(99)
	w := New([]Gauge{func() (int64, int64, error) { return used, 100, nil }}, nil, func() time.Time { return now })
	w.Sample()
	used = 10
	w.Sample()
	now = now.Add(-time.Hour)
	if w.Sample(); w.Step() != Refuse {
		t.Errorf("set back: %v, want it to stay", w.Step())
	}
	now = now.Add(calm)
	if w.Sample(); w.Step() != Normal {
		t.Errorf("after a while: %v, want normal", w.Step())
	}
}

// The lowest limit of the group and of those around it counts, and file pages do not.
func TestFault34Group(t *testing.T) {
	write := func(t *testing.T, root, path, text string) {
		t.Helper()
		file := filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	const stat = "anon 60\nfile 45\ninactive_file 30\nactive_file 10\nshmem 5\n"
	for name, c := range map[string]struct {
		files       map[string]string
		used, limit int64
		fails       bool
	}{
		"no groups":          {nil, 0, 0, false},
		"another controller": {map[string]string{"proc/self/cgroup": "3:cpu:/a\n", "sys/fs/cgroup/a/memory.max": "1000\n"}, 0, 0, false},
		"version 1": {map[string]string{"proc/self/cgroup": "4:memory:/a\n0::/\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "900\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "150\n",
			"sys/fs/cgroup/memory/memory.stat": "inactive_file 5\ntotal_inactive_file 20\ntotal_active_file 30\n"}, 100, 900, false},
		"without limits": {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 0, 0, false},
		"its own": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000\n",
			"sys/fs/cgroup/memory.current": "110\n", "sys/fs/cgroup/memory.stat": stat}, 70, 1000, false},
		"one around it": {map[string]string{"proc/self/cgroup": "0::/pod/box\n", "sys/fs/cgroup/pod/box/memory.max": "2000\n",
			"sys/fs/cgroup/pod/memory.max": "500\n", "sys/fs/cgroup/pod/memory.current": "140\n", "sys/fs/cgroup/pod/memory.stat": stat}, 100, 500, false},
		"unreadable": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000\n"}, 0, 1000, true},
	} {
		root := t.TempDir()
		for path, text := range c.files {
			write(t, root, path, text)
		}
		used, limit, err := Group(root)()
		if used != c.used || limit != c.limit || (err != nil) != c.fails {
			t.Errorf("%s: got %d of %d, %v; want %d of %d", name, used, limit, err, c.used, c.limit)
		}
	}
	if n, err := Resident(); err != nil || n < 1<<20 {
		t.Errorf("this process takes %d bytes, %v", n, err)
	}
}

// From half of the limit on samples are taken ten times as often.
func TestFault34NearTheLimitItLooksMoreOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var used, looks atomic.Int64
		used.Store(10)
		w := New([]Gauge{func() (int64, int64, error) { looks.Add(1); return used.Load(), 100, nil }}, nil, nil)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			w.Run(ctx)
			close(done)
		}()
		count := func(d time.Duration) int64 {
			looks.Store(0)
			time.Sleep(d)
			synctest.Wait()
			return looks.Load()
		}
		count(time.Millisecond)
		if n := count(5 * time.Second); n != 10 {
			t.Errorf("got %d samples in five seconds, want 10", n)
		}
		used.Store(50)
		count(interval)
		if n := count(time.Second); n != 20 {
			t.Errorf("got %d samples in a second at half of the limit, want 20", n)
		}
		stop()
		<-done
	})
}
