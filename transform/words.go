package transform

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	wordsLines  = 20               // lines logged in each window
	wordsWindow = 10 * time.Second // a broken PNG prints hundreds of lines
	wordsKnown  = 64               // different lines that are remembered
	wordsLast   = 4                // lines kept for the error of a worker that does not start
)

// words reads the stderr of a worker completely, so that the worker never waits for the pipe, but logs little of it. A
// library prints the same for every picture; the log has that once for each worker. An example is dav1d, which asks
// about its threads by id: the sandbox refuses that, and dav1d decodes in one thread.
type words struct {
	log *slog.Logger

	mu   sync.Mutex
	last []string
}

func (w *words) drain(r io.Reader) {
	in := bufio.NewReaderSize(r, maxText)
	var begun time.Time
	logged, dropped := 0, 0
	known := map[string]bool{}
	for {
		line, err := in.ReadSlice('\n')
		if text := strings.TrimSpace(clean(string(line))); text != "" {
			w.keep(text)
			if now := time.Now(); now.Sub(begun) >= wordsWindow {
				begun, logged = now, 0
			}
			if known[text] || logged == wordsLines {
				dropped++
			} else {
				w.log.Warn("worker wrote", "text", text, "dropped", dropped)
				logged, dropped = logged+1, 0
				if len(known) == wordsKnown {
					clear(known)
				}
				known[text] = true
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (w *words) keep(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.last) == wordsLast {
		w.last = w.last[1:]
	}
	w.last = append(w.last, text)
}

// String returns the last lines, for an error.
func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.last, " | ")
}
