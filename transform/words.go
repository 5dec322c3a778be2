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
	wordsLast   = 4                // lines kept for the error of a worker that does not start
)

// words reads what a worker writes to stderr: always all of it, so that the worker never waits for the pipe, but little
// of it reaches the log.
type words struct {
	log *slog.Logger

	mu   sync.Mutex
	last []string
}

func (w *words) drain(r io.Reader) {
	in := bufio.NewReaderSize(r, maxText)
	var begun time.Time
	logged, dropped := 0, 0
	for {
		line, err := in.ReadSlice('\n')
		if text := strings.TrimSpace(clean(string(line))); text != "" {
			w.keep(text)
			if now := time.Now(); now.Sub(begun) >= wordsWindow {
				begun, logged = now, 0
			}
			if logged++; logged <= wordsLines {
				w.log.Warn("worker wrote", "text", text, "dropped", dropped)
				dropped = 0
			} else {
				dropped++
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

// String is the last lines, for an error.
func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.last, " | ")
}
