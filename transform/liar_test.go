package transform

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
	"github.com/goldcrest/goldcrest/variant/about"
)

// lies are responses that a worker could send after it was taken over.
var lies = map[string]func(w *worker, f frame) any{
	"too long":       func(w *worker, f frame) any { f.Length = areaBytes + 1; return f },
	"negative":       func(w *worker, f frame) any { f.Length = -1; return f },
	"empty":          func(w *worker, f frame) any { f.Length = 0; return f },
	"offset":         func(w *worker, f frame) any { f.Offset = 0; return f },
	"overflow":       func(w *worker, f frame) any { f.Offset = 1<<63 - 1; return f },
	"index":          func(w *worker, f frame) any { f.Index = 7; return f },
	"negative index": func(w *worker, f frame) any { f.Index = -1; return f },
	"request":        func(w *worker, f frame) any { f.ID++; return f },
	"no json":        func(w *worker, f frame) any { return []byte("{") },
	"long packet":    func(w *worker, f frame) any { return make([]byte, maxFrame+2) },
	"type":           func(w *worker, f frame) any { f.Type = "order"; return f },
	"hello again":    func(w *worker, f frame) any { f.Type, f.Hello = frameHello, &hello{}; return f },
	"pong":           func(w *worker, f frame) any { f.Type = framePong; return f },
	"no picture":     func(w *worker, f frame) any { copy(w.mem[f.Offset:], "<html><script>"); return f },
	"other picture":  func(w *worker, f frame) any { f.Image.Format = variant.JPEG; return f },
	"document": func(w *worker, f frame) any {
		text, _ := about.Document{Format: "png", Width: 1, Height: 1, Size: 1, Orientation: 1, Frames: 1}.Encode()
		f.Image.Format, f.Length = variant.Info, int64(copy(w.mem[f.Offset:], text))
		return f
	},
	"svg":       func(w *worker, f frame) any { f.Image.Format = "svg+xml"; return f },
	"size":      func(w *worker, f frame) any { f.Image.Width, f.Image.Height = 1<<40, 1<<40; return f },
	"no size":   func(w *worker, f frame) any { f.Image.Width = 0; return f },
	"quality":   func(w *worker, f frame) any { f.Image.Quality = 101; return f },
	"stage":     func(w *worker, f frame) any { f.Image.Stage = variant.StageFirst; return f },
	"thumbhash": func(w *worker, f frame) any { f.Image.Placeholder = "AAAA\nx=y"; return f },
	"frames":    func(w *worker, f frame) any { f.Image.Frames = 1 << 40; return f },
}

// lie is a worker that answers every request with one lie.
func lie(name string) {
	w := &worker{frames: make(chan frame)}
	if w.attach() != nil {
		os.Exit(1)
	}
	if name == "no hello" {
		_ = send(w.socket, frame{Type: frameDone})
		select {}
	}
	_ = send(w.socket, frame{Type: frameHello, Hello: &hello{Build: testBuild}})
	go w.listen()
	for f := range w.frames {
		if f.Type == frameCheck {
			if d, ok := falseDrifts[name]; ok {
				_ = send(w.socket, frame{Type: frameChecked, ID: f.ID, Drift: d})
			}
			continue
		}
		img := draw(f.Request.Specs[0], 0)
		answer := frame{Type: frameImage, ID: f.ID, Offset: f.Request.Area, Length: int64(copy(w.mem[f.Request.Area:], img.Body)), Image: &img}
		img.Body = nil
		switch name {
		case "twice":
			_ = send(w.socket, answer)
			_ = send(w.socket, answer)
		default:
			switch said := lies[name](w, answer).(type) {
			case frame:
				_ = send(w.socket, said)
			case []byte:
				_, _ = w.socket.Write(said)
			}
		}
	}
}

func liar(tb testing.TB, name string) Config {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cfg := testConfig()
	cfg.Workers = 1
	cfg.Command = []string{self, "liar", name}
	return cfg
}

// No lie of a worker becomes a variant, and the worker that told it is ended.
func TestFalseAnswersOfWorkersAreRefused(t *testing.T) {
	for name := range lies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, w := open(t, liar(t, name))
			m, err := run(t.Context(), p, picture(t, 4, 4, 0), script(""))
			wantKind(t, err, fault.Poison)
			if len(m.images)+len(m.errs) != 0 {
				t.Errorf("the lie was believed: %v %v", m.images, m.errs)
			}
			for range 2 {
				if got := receiveWithin(t, w.ended, "the liar's end"); got != "lie" {
					t.Errorf("got reason %q, want lie", got)
				}
			}
		})
	}
}

func TestVariantGivenTwiceIsEmittedOnce(t *testing.T) {
	p, w := open(t, liar(t, "twice"))
	count := 0
	err := p.Transform(t.Context(), variant.Original{Body: picture(t, 4, 4, 0)}, []variant.Spec{script("")}, variant.StageFinal, func(int, variant.Image, error) { count++ })
	if err != nil || count != 1 {
		t.Errorf("emitted %d times, error %v; want once", count, err)
	}
	if got := receiveWithin(t, w.ended, "the liar's end"); got != "lie" {
		t.Errorf("got reason %q, want lie", got)
	}
}

// A worker that has stopped for good is found while it is idle, not by the next viewer's deadline.
func TestSilentIdleWorkerIsReplaced(t *testing.T) {
	cfg := testConfig()
	cfg.Workers = 1
	w := newWatcher()
	p := newPool(cfg, w, nil)
	p.pingEvery, p.pingTimeout = time.Millisecond, time.Second
	if err := p.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c := receiveWithin(t, p.ready, "the worker")
	if !c.ping(10 * time.Second) {
		t.Error("a healthy worker did not answer")
	}
	if err := unix.Kill(c.pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c.back <- handback{}
	if got := receiveWithin(t, w.ended, "its end"); got != "idle" {
		t.Errorf("got reason %q, want idle", got)
	}
	w.ready(t, 2)
}
