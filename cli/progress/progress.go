// Package progress shows the progress of a run of many jobs, and sums them up.
package progress

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goldcrest/goldcrest/fault"
)

// Bar shows the progress of a run: one line that is redrawn on a terminal, and occasional plain lines otherwise.
type Bar struct {
	mu    sync.Mutex
	w     io.Writer
	width int           // of the terminal; 0 = there is none
	every time.Duration // between two lines
	now   func() time.Time

	began, last time.Time
	known       int // accepted variants
	t           Totals
	drawn       bool // a line is drawn on the terminal
}

// New checks whether w is a terminal.
func New(w io.Writer) *Bar {
	p := &Bar{w: w, every: 5 * time.Second, now: time.Now, began: time.Now()}
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			p.width, p.every = int(size.Col), 100*time.Millisecond
		}
	}
	return p
}

// Posted counts accepted variants.
func (p *Bar) Posted(variants int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known += variants
}

// At shows a state, unless the last one is too recent.
func (p *Bar) At(t Totals) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.t = t
	if now := p.now(); now.Sub(p.last) >= p.every {
		p.last = now
		p.draw()
	}
}

// Line prints a message above the bar.
func (p *Bar) Line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
	fmt.Fprintln(p.w, fault.Plain(fmt.Sprintf(format, args...)))
}

// Notes prints messages above the bar, but only the first ones: a file may have millions of errors.
type Notes struct {
	Bar  *Bar
	What string // what they are about
	mu   sync.Mutex
	told int
}

// maxTold is the number of messages of a kind that are printed.
const maxTold = 20

// Tell prints or counts a message.
func (b *Notes) Tell(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.told++; b.told <= maxTold {
		b.Bar.Line(format, args...)
	}
}

// End prints how many messages were left out.
func (b *Notes) End() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.told - maxTold; n > 0 {
		b.Bar.Line("and %s more %s", thousands(n), b.What)
	}
}

// End shows the last state and leaves it on the terminal.
func (p *Bar) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draw()
	if p.drawn {
		fmt.Fprintln(p.w)
		p.drawn = false
	}
}

// wipe removes the drawn line.
func (p *Bar) wipe() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

// draw shows the current state.
func (p *Bar) draw() {
	text := p.text()
	if p.width == 0 {
		fmt.Fprintln(p.w, text)
		return
	}
	done, all := p.done()
	// One column stays free: a character in the last one starts a new line on some terminals.
	if room := p.width - len(text) - 4; room >= 10 {
		full := 0
		if all > 0 {
			full = room * done / all
		}
		text = "[" + strings.Repeat("#", full) + strings.Repeat(".", room-full) + "] " + text
	}
	fmt.Fprint(p.w, "\r"+text[:min(len(text), p.width-1)]+"\x1b[K")
	p.drawn = true
}

// done is how many of the variants have a verdict.
func (p *Bar) done() (done, all int) {
	c := p.t.Counts
	done = c.Made + c.Present + c.Broken + c.Failed + c.Skipped
	return done, max(p.known, c.Variants, done)
}

// text is the state in words.
func (p *Bar) text() string {
	done, all := p.done()
	percent := 100
	if all > 0 {
		percent = 100 * done / all
	}
	s := fmt.Sprintf("%3d%% %s/%s variants: %s made, %s present, %s broken, %s failed", percent, thousands(done), thousands(all),
		thousands(p.t.Made), thousands(p.t.Present), thousands(p.t.Broken), thousands(p.t.Failed))
	elapsed := p.now().Sub(p.began)
	if rate := float64(done) / max(elapsed.Seconds(), 0.001); done > 0 && done < all {
		left := time.Duration(float64(all-done) / rate * float64(time.Second))
		s += fmt.Sprintf(", %.0f/s, %s left", rate, left.Round(time.Second))
	}
	return s
}

// thousands writes a number in groups of three digits.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// megabytes prints a large size as people read it.
func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
