package transform

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

func TestTransformMakesEverySpec(t *testing.T) {
	p, w := open(t, testConfig())
	original := picture(t, 10, 10, 1000)
	specs := []variant.Spec{
		{Format: variant.PNG, Width: 3, Height: 4},
		script("fault:decode_failed"),
		{Format: variant.JPEG, Width: 5, Height: 6},
		{Format: variant.GIF, Width: 7, Height: 8},
	}
	m, err := run(t.Context(), p, original, specs...)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 2, 3} {
		img := m.images[i]
		if img.Format != specs[i].Format || img.Width != specs[i].Width || img.Height != specs[i].Height {
			t.Errorf("spec %d: got %s %dx%d", i, img.Format, img.Width, img.Height)
		}
		if img.Note != fmt.Sprint(len(original)) {
			t.Errorf("spec %d: the worker saw %s bytes, want %d", i, img.Note, len(original))
		}
	}
	wantKind(t, m.errs[1], fault.DecodeFailed)
	if f := fault.Of(m.errs[1]); f.Public != "as the script says" {
		t.Errorf("the public text is %q: not clean", f.Public)
	}
	if w.cpu <= 0 {
		t.Error("no processor time was observed")
	}
	if got, want := p.Stats(), (Stats{Workers: 2, Spawned: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := p.Versions()["fake"]; got != "1.0" {
		t.Errorf("got version %q", got)
	}
}

// A variant reaches its caller while the worker still makes the next one.
func TestTransformEmitsEachVariantAsItIsReady(t *testing.T) {
	p, _ := open(t, testConfig())
	fifo := makeFIFO(t)
	order := []int{}
	err := p.Transform(t.Context(), variant.Original{Body: picture(t, 4, 4, 0)}, []variant.Spec{script(""), script("wait:" + fifo)}, variant.StageFinal, func(i int, _ variant.Image, err error) {
		if err != nil {
			t.Error(err)
		}
		if i == 0 {
			openFIFO(t, fifo)
		}
		order = append(order, i)
	})
	if err != nil || fmt.Sprint(order) != "[0 1]" {
		t.Errorf("got order %v, error %v", order, err)
	}
}

func TestTransformReportsTheCodecsErrorForTheRest(t *testing.T) {
	p, _ := open(t, testConfig())
	for end, want := range map[string]fault.Kind{
		"end:decode_failed": fault.DecodeFailed,
		"end:unauthorized":  fault.Internal, // a codec may not report this
		"skip":              fault.Internal, // a spec without an answer
	} {
		m, err := run(t.Context(), p, picture(t, 4, 4, 0), script(""), script(end), script(end))
		wantKind(t, err, want)
		if len(m.images) != 1 || len(m.errs) != 0 {
			t.Errorf("%s: got %d variants and %d faults, want 1 and 0", end, len(m.images), len(m.errs))
		}
	}
	if got := p.Stats().Spawned; got != 2 {
		t.Errorf("%d workers were started: a fault must not cost one", got)
	}
}

func TestTransformSendsManySpecsThroughMemory(t *testing.T) {
	p, _ := open(t, testConfig())
	specs := make([]variant.Spec, 200)
	for i := range specs {
		specs[i] = script("")
		specs[i].Width = i + 1
	}
	m, err := run(t.Context(), p, picture(t, 4, 4, 0), specs...)
	if err != nil || len(m.images) != len(specs) {
		t.Fatalf("got %d of %d variants, error %v", len(m.images), len(specs), err)
	}
	if got := m.images[199].Width; got != 200 {
		t.Errorf("the last variant is %d wide, want 200", got)
	}
}

func TestHerdOfTransforms(t *testing.T) {
	p, w := open(t, testConfig())
	var wg sync.WaitGroup
	for n := range 100 {
		wg.Go(func() {
			original := picture(t, 4, 4, n)
			m, err := run(context.Background(), p, original, script(""), script(""))
			if err != nil || m.images[1].Note != fmt.Sprint(len(original)) {
				t.Errorf("got %v, error %v", m.images, err)
			}
		})
	}
	wg.Wait()
	if got := p.Stats(); got.Spawned != 2 || got.Crashes != 0 || got.Busy != 0 {
		t.Errorf("got %+v", got)
	}
	if w.kinds[""] != 100 {
		t.Errorf("got %v, want 100 transforms without error", w.kinds)
	}
}

func TestCheck(t *testing.T) {
	p, _ := open(t, testConfig())
	if err := p.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOpenSaysWhyNoWorkerStarts(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"other build":  {func(c *Config) { c.Build = "newer" }, `it is of build "test build", the server of build "newer"`},
		"no program":   {func(c *Config) { c.Command = []string{"/no/such/program"} }, "no such file"},
		"no worker":    {func(c *Config) { c.Command = []string{"/bin/sh", "-c", "echo cannot load libvips >&2; exit 3"} }, "exit status 3: cannot load libvips"},
		"says nothing": {func(c *Config) { c.Command = []string{self, "liar", "no hello"} }, "its first frame is a done"},
		"bad setting":  {func(c *Config) { c.Engine = "other" }, "transform.engine"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig()
			test.change(&cfg)
			p, err := Open(t.Context(), cfg, nil, nil)
			if err == nil {
				_ = p.Close()
				t.Fatal("the pool opened")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want %q in it", err, test.want)
			}
		})
	}
}

func TestWorkersLiveInATightEnvironment(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("VIPSHOME", "/opt/vips")
	cfg := testConfig()
	cfg.Workers, cfg.Inputs = 1, []string{"png"} // A worker's text is cut after 300 bytes.
	p, _ := open(t, cfg)
	m, err := run(t.Context(), p, picture(t, 4, 4, 0), script("env"), script("self"))
	if err != nil {
		t.Fatal(err)
	}
	env, self := m.images[0].Note, m.images[1].Note
	for _, want := range []string{
		"MALLOC_ARENA_MAX=1", "GOGC=100", "VIPS_CONCURRENCY=1", "OMP_NUM_THREADS=1", "GOLDCREST_TRANSFORM_ENGINE=vips",
		"VIPSHOME=/opt/vips",
	} {
		if !strings.Contains(env, want) {
			t.Errorf("%s is not in the environment %q", want, env)
		}
	}
	if strings.Contains(env, "secret") || strings.Contains(env, "HOME=/root") {
		t.Errorf("the environment leaks: %q", env)
	}
	own, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	nice := fmt.Sprintf("nice=%d", max(20-own, niceness))
	for _, want := range []string{"core=0", "files=64", "privs=1", nice, "oom=500"} {
		if !strings.Contains(self, want) {
			t.Errorf("%s is not in %q", want, self)
		}
	}
}

// The launching thread gives up rights and priority only for its children: the server keeps its own.
func TestLauncherLeavesTheServerAlone(t *testing.T) {
	status := func() string {
		nice, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, privs, _ := strings.Cut(string(b), "NoNewPrivs:")
		privs, _, _ = strings.Cut(privs, "\n")
		return fmt.Sprintf("nice %d, no new privileges %s", 20-nice, strings.TrimSpace(privs))
	}
	before := status()
	for range 200 {
		l, err := newLauncher(testConfig(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		l.close()
	}
	if after := status(); after != before {
		t.Errorf("the main thread had %s, now %s", before, after)
	}
}

func TestRecycleAfterRequests(t *testing.T) {
	cfg := testConfig()
	cfg.Workers, cfg.Recycle = 1, 3
	p, w := open(t, cfg)
	pids := map[string]int{}
	for range 7 {
		m, err := run(t.Context(), p, picture(t, 4, 4, 0), script("self"))
		if err != nil {
			t.Fatal(err)
		}
		pid, _, _ := strings.Cut(m.images[0].Note, " ")
		pids[pid]++
	}
	if len(pids) != 3 {
		t.Errorf("7 requests went to %v, want 3 workers", pids)
	}
	w.ready(t, 2)
	if got := p.Stats(); got.Recycled != 2 || got.Crashes != 0 {
		t.Errorf("got %+v, want 2 recycled", got)
	}
}

func TestRecycleAfterGrowth(t *testing.T) {
	cfg := testConfig()
	cfg.Workers = 1
	p, w := open(t, cfg)
	if _, err := run(t.Context(), p, picture(t, 4, 4, 0), script("grow")); err != nil {
		t.Fatal(err)
	}
	if got := receiveWithin(t, w.ended, "the end of the worker"); got != "memory" {
		t.Errorf("got reason %q, want memory", got)
	}
}

// A large original holds no shared memory after its request.
func TestLargeOriginalsGiveMemoryBack(t *testing.T) {
	cfg := testConfig()
	cfg.Workers = 1
	p, _ := open(t, cfg)
	if _, err := run(t.Context(), p, picture(t, 4, 4, 20<<20), script("")); err != nil {
		t.Fatal(err)
	}
	c := receiveWithin(t, p.ready, "the worker")
	var st unix.Stat_t
	if err := unix.Fstat(int(c.mem.file.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	if got := st.Blocks * 512; got > keepBytes+1<<20 {
		t.Errorf("%d bytes of shared memory are held, want about %d", got, keepBytes)
	}
	c.back <- handback{}
}

func makeFIFO(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// openFIFO releases one worker that waits for the FIFO. It returns when that worker is there.
func openFIFO(tb testing.TB, path string) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		tb.Error(err)
		return
	}
	_ = f.Close()
}

// BenchmarkHandOver measures the transfer between server and worker: a 1.8 MB original there, a small variant back.
func BenchmarkHandOver(b *testing.B) {
	cfg := testConfig()
	cfg.Workers, cfg.Recycle = 1, 0
	p, w := open(b, cfg)
	original := picture(b, 4, 4, 1_800_000)
	specs := []variant.Spec{script("")}
	b.SetBytes(int64(len(original)))
	for b.Loop() {
		if err := p.Transform(context.Background(), variant.Original{Body: original}, specs, variant.StageFinal, func(int, variant.Image, error) {}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(w.cpu.Microseconds())/float64(b.N), "worker-µs/op")
}

// The requested stage reaches the codec.
func TestStageReachesTheCodec(t *testing.T) {
	p, _ := open(t, testConfig())
	for _, stage := range []variant.Stage{variant.StageFinal, variant.StageFirst, variant.StageHot} {
		got := ""
		err := p.Transform(t.Context(), variant.Original{Body: picture(t, 4, 4, 0)}, []variant.Spec{script("stage")}, stage, func(_ int, img variant.Image, _ error) { got = img.Note })
		if want := fmt.Sprint("asked for stage ", stage); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}
