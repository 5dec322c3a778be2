package transform

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

const testBuild = "test build"

// TestMain makes this binary its own worker, as the real one is.
func TestMain(m *testing.M) {
	role := ""
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	switch role {
	case "worker":
		if err := Serve(scripted{oldThread()}, testBuild); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "liar":
		lie(os.Args[2])
	case "parent":
		parent()
	case "oldkernel":
		oldKernel(os.Args[2])
	case "bomb":
		bomb()
	case "layers":
		layers()
	default:
		goleak.VerifyTestMain(m) // it leaves with the exit code of the tests
	}
}

// scripted is a codec that does what the cache buster of each spec says.
type scripted struct{ old chan func() }

func (scripted) Warm() error                 { return nil }
func (scripted) Versions() map[string]string { return map[string]string{"fake": "1.0"} }

// SelfCheck reports the priority that it runs with.
func (scripted) SelfCheck() (Drift, error) {
	priority, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // 20 - niceness
	return Drift{{Coder: "jpeg", Miss: float64(20 - priority), From: []float64{10, 90}, To: []float64{20, 95}}}, err
}

func (s scripted) Transform(original variant.Original, specs []variant.Spec, stage variant.Stage, lim Limits, emit func(int, variant.Image, error)) error {
	for i, spec := range specs {
		op, arg, _ := strings.Cut(spec.CacheBuster, ":")
		note, err := s.perform(op, arg)
		if op == "end" {
			return err
		}
		if err != nil {
			emit(i, variant.Image{}, err)
			continue
		}
		switch op {
		case "drift":
			note = lim.Drift.String()
		case "marks":
			note = fmt.Sprintf("%q %d %x", spec.Watermark.Source, len(original.Marks),
				sha256.Sum256(original.Marks[spec.Watermark.Mark]))
		case "skip":
			continue
		case "stage":
			note = fmt.Sprint("asked for stage ", stage)
		}
		img := draw(spec, len(original.Body))
		if note != "" {
			img.Note = note
		}
		emit(i, img, nil)
	}
	return nil
}

// kept is the memory that the grow script never releases.
var kept [][]byte

func (s scripted) perform(op, arg string) (note string, err error) {
	self := os.Getpid()
	switch op {
	case "signal":
		var n int
		_, _ = fmt.Sscan(arg, &n)
		_ = unix.Kill(self, syscall.Signal(n))
		select {} // the signal may be delivered to another thread a moment later
	case "exit":
		os.Exit(3)
	case "spin":
		for begin := time.Now(); time.Since(begin) >= 0; {
		}
	case "panic":
		panic("as the script says")
	case "end", "fault":
		return "", fault.New(fault.Kind(arg), "fake.Transform", "as the script\nsays", errors.New("cause"))
	case "once": // the first worker that runs it dies
		if os.Mkdir(arg, 0o700) == nil {
			_ = unix.Kill(self, unix.SIGKILL)
			select {}
		}
	case "count":
		_, err = os.MkdirTemp(arg, "")
	case "wait": // until the FIFO is opened for writing
		var f *os.File
		if f, err = os.OpenFile(arg, os.O_RDONLY, 0); err == nil {
			_ = f.Close()
		}
	case "grow", "exhaust":
		note, err = "grown", grow(op == "exhaust")
	case "self":
		note, err = describe(), nil
	case "attack":
		note = attack(arg, nil)
	case "elsewhere":
		note = attack(arg, s.old)
	case "threads":
		note = manyThreads(32)
	case "env":
		note = strings.Join(os.Environ(), " ")
	case "noise":
		fmt.Fprint(os.Stderr, strings.Repeat("noise\n", 100_000))
	}
	return note, err
}

func grow(endless bool) error {
	for n := 0; endless || n < 3; n++ {
		b := make([]byte, 64<<20)
		for i := 0; !endless && i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
	return nil
}

func describe() string {
	nice, _ := unix.Getpriority(unix.PRIO_PROCESS, 0)
	var core, files unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_CORE, &core)
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &files)
	privs, _ := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	oom, _ := os.ReadFile("/proc/self/oom_score_adj")
	return fmt.Sprintf("pid=%d nice=%d core=%d files=%d privs=%d oom=%s", os.Getpid(), 20-nice, core.Max, files.Max, privs, strings.TrimSpace(string(oom)))
}

// draw is a picture of the spec's size and format whose quality is the length of the original.
func draw(spec variant.Spec, length int) variant.Image {
	var b bytes.Buffer
	w, h := max(spec.Width, 1), max(spec.Height, 1)
	pixels := image.NewGray(image.Rect(0, 0, w, h))
	format := spec.Format
	switch format {
	case variant.JPEG:
		_ = jpeg.Encode(&b, pixels, nil)
	case variant.GIF:
		_ = gif.Encode(&b, pixels, nil)
	default:
		format = variant.PNG
		_ = png.Encode(&b, pixels)
	}
	return variant.Image{Body: b.Bytes(), Format: format, Width: w, Height: h, Frames: 1, SourceFormat: "png", SourceWidth: 1, SourceHeight: 1,
		SourceFrames: 1, Note: fmt.Sprint(length)}
}

// picture is a PNG original of w x h, followed by tail bytes that do not belong to it.
func picture(tb testing.TB, w, h, tail int) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
		tb.Fatal(err)
	}
	return append(b.Bytes(), make([]byte, tail)...)
}

func script(op string) variant.Spec {
	return variant.Spec{Format: variant.PNG, Width: 2, Height: 2, CacheBuster: op}
}

// watcher records the calls of the pool's observer and lets tests wait for them.
type watcher struct {
	started chan struct{}
	ended   chan string

	mu    sync.Mutex
	kinds map[fault.Kind]int
	cpu   time.Duration
}

func newWatcher() *watcher {
	return &watcher{started: make(chan struct{}, 1000), ended: make(chan string, 1000), kinds: map[fault.Kind]int{}}
}

func (w *watcher) WorkerStarted(time.Duration) { w.started <- struct{}{} }
func (w *watcher) WorkerEnded(reason string)   { w.ended <- reason }
func (w *watcher) Admitted(time.Duration)      {}

func (w *watcher) Transformed(k fault.Kind, _, cpu time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kinds[k]++
	w.cpu += cpu
}

// ready waits until n workers have started since the last call.
func (w *watcher) ready(tb testing.TB, n int) {
	tb.Helper()
	for range n {
		receiveWithin(tb, w.started, "a worker to start")
	}
}

func receiveWithin[T any](tb testing.TB, c <-chan T, what string) T {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		tb.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

func testConfig() Config {
	cfg := Default()
	cfg.Workers, cfg.Build, cfg.Timeout, cfg.CPU = 2, testBuild, 10*time.Second, 5*time.Second
	cfg.Sandbox = SandboxOff // the scripts touch files
	return cfg
}

// open starts a pool, waits for all its workers and closes it with the test.
func open(tb testing.TB, cfg Config) (*Pool, *watcher) {
	tb.Helper()
	w := newWatcher()
	p, err := Open(context.Background(), cfg, w, slog.New(slog.NewTextHandler(tb.Output(), nil)))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.Close() })
	w.ready(tb, cfg.Workers)
	return p, w
}

// made collects the results of a Transform.
type made struct {
	images map[int]variant.Image
	errs   map[int]error
}

func run(ctx context.Context, p *Pool, original []byte, specs ...variant.Spec) (made, error) {
	m := made{map[int]variant.Image{}, map[int]error{}}
	err := p.Transform(ctx, variant.Original{Body: original}, specs, variant.StageFinal, func(i int, img variant.Image, err error) {
		if err != nil {
			m.errs[i] = err
		} else {
			m.images[i] = img
		}
	})
	return m, err
}

func wantKind(tb testing.TB, err error, want fault.Kind) {
	tb.Helper()
	if got := fault.KindOf(err); got != want {
		tb.Errorf("got %q (%v), want %q", got, err, want)
	}
}
