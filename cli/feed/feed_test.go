package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/client"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake"
)

// taken collects what give receives.
type taken struct {
	mu    sync.Mutex
	texts []string
}

func (g *taken) all() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.texts)
}

func (g *taken) give(_ context.Context, in io.Reader) (int, error) {
	text, err := io.ReadAll(in)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.texts = append(g.texts, string(text))
	return 1, err
}

func TestDirectoryGivesEachFileOnceItIsWhole(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("b", "old b")
	put("a", "old a")
	put(".hidden", "x")
	if err := os.Mkdir(filepath.Join(dir, "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var got taken
		ended := make(chan error, 1)
		go func() { ended <- Directory(ctx, dir, got.give) }()
		expect := func(after time.Duration, want ...string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if texts := got.all(); !slices.Equal(texts, want) {
				t.Errorf("given are %q, want %q", texts, want)
			}
		}
		expect(quiet / 2) // they may still be written
		expect(quiet, "old a", "old b")
		put("c", "half")
		expect(quiet, "old a", "old b")
		put("c", "half and half")
		expect(quiet, "old a", "old b") // its size has changed
		expect(quiet, "old a", "old b", "half and half")
		expect(10*quiet, "old a", "old b", "half and half")
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ends with %v", err)
		}
	})
	if err := Directory(t.Context(), filepath.Join(dir, "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
	refused := errors.New("refused")
	err := Directory(t.Context(), dir, func(context.Context, io.Reader) (int, error) { return 0, refused })
	if !errors.Is(err, refused) || !strings.Contains(err.Error(), filepath.Join(dir, "a")) {
		t.Errorf("a refusal ends with %v", err)
	}
}

// Lines that arrive steadily are passed on every second, and the rest at the end of the pipe.
func TestLinesAreGivenWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		var got taken
		ended := make(chan error, 1)
		go func() { ended <- Lines(t.Context(), in, got.give) }()
		for n := range 4 {
			fmt.Fprintf(out, "{\"n\":%d}\n", n)
			time.Sleep(quiet*3/5 + 1)
		}
		fmt.Fprint(out, "{}")
		out.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want := []string{"{\"n\":0}\n{\"n\":1}\n", "{\"n\":2}\n{\"n\":3}\n", "{}\n"}
		if !slices.Equal(got.texts, want) {
			t.Errorf("given are %q, want %q", got.texts, want)
		}
	})
}

func TestLinesTellWhatFails(t *testing.T) {
	var got taken
	err := Lines(t.Context(), strings.NewReader(strings.Repeat("x", maxLine+1)), got.give)
	if err == nil || len(got.texts) > 0 {
		t.Errorf("a line past the bound: %v, %d given", err, len(got.texts))
	}
	refused := errors.New("refused")
	err = Lines(t.Context(), strings.NewReader("{}\n"), func(context.Context, io.Reader) (int, error) {
		return 0, refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("a refusal ends with %v", err)
	}
}

func TestQueueNeedsAnAddress(t *testing.T) {
	for _, address := range []string{
		"", "http://h/?queue=a", "amqp://user:secret-word@h/", "amqp://user:secret-word@h:x/?queue=a",
	} {
		err := Queue(t.Context(), address, nil, nil)
		if err == nil || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestOutcomeFollowsTheServersAnswer(t *testing.T) {
	full := &client.Error{Status: 507, Code: "queue_full", Retryable: true}
	for name, test := range map[string]struct {
		accepted int
		err      error
		want     intake.Outcome
	}{
		"accepted":    {2, nil, intake.Outcome{}},
		"unreadable":  {0, nil, intake.Outcome{Reason: fault.BadUnit, Detail: "it contains no readable unit"}},
		"no room":     {0, full, intake.Outcome{Again: again}},
		"unreachable": {0, errors.New("connection refused"), intake.Outcome{Again: again}},
		"refused": {0, &client.Error{Status: 403, Code: "source_not_allowed", Detail: "no"},
			intake.Outcome{Reason: fault.SourceNotAllowed, Detail: "no"}},
	} {
		if got := outcome(test.accepted, test.err); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}
