package report

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"github.com/getsentry/sentry-go"

	"github.com/goldcrest/goldcrest/fault"
)

// The kinds of failures that are reported.
const (
	panicked = "panic"
	internal = "internal fault"
	crashed  = "worker crash"
)

// workerLine is the log line of a worker that ended; crashes are the reasons in it that are unexpected.
const workerLine = "worker ended"

var crashes = []string{"crash", "lie", "panic"}

// named are the attributes of log lines that become tags of a report: their values are words, ids and numbers of ours.
// Attributes with sources, hosts, options, and names of tokens are not among them.
var named = []string{"code", "kind", "reason", "state", "door", "method", "status", "route", "outcome", "tier",
	"format",
	"id", "pid", "job", "task", "ticket", "intake"}

// handler reports the log lines of unexpected failures.
type handler struct {
	reporter *Reporter
	attrs    []slog.Attr
}

// Enabled implements slog.Handler: unexpected failures are logged as warnings and errors, and reported even if the log
// omits warnings.
func (h handler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.reporter, append(slices.Clip(h.attrs), attrs...)}
}

// WithGroup implements slog.Handler. A group does not change what an attribute means here.
func (h handler) WithGroup(string) slog.Handler { return h }

// Handle implements slog.Handler.
func (h handler) Handle(_ context.Context, r slog.Record) error {
	if e := eventOf(r, h.attrs); e != nil {
		h.reporter.send(e)
	}
	return nil
}

// line is what a report takes from a log line.
type line struct {
	message string
	words   map[string]string // the attributes
	fault   *fault.Error      // in an attribute; nil = none
}

// eventOf is the report of a log line; nil if the line is not about an unexpected failure.
func eventOf(r slog.Record, more []slog.Attr) *sentry.Event {
	l := line{message: r.Message, words: map[string]string{}}
	take := func(a slog.Attr) bool {
		v := a.Value.Resolve()
		if f, ok := v.Any().(*fault.Error); ok {
			l.fault = f
		}
		l.words[a.Key] = v.String()
		return true
	}
	for _, a := range more {
		take(a)
	}
	r.Attrs(take)
	kind := l.kind()
	if kind == "" {
		return nil
	}
	e := sentry.NewEvent()
	e.Level, e.Message, e.Timestamp, e.Logger = sentry.LevelError, scrub(l.message), r.Time, "goldcrest"
	for _, name := range named {
		if v := l.words[name]; v != "" {
			e.Tags[name] = shorten(fault.Redact(v), 200) // Sentry's limit for a tag
		}
	}
	text, frames := l.details()
	x := sentry.Exception{Type: kind, Value: shorten(scrub(text), 2000)}
	if len(frames) > 0 {
		x.Stacktrace = &sentry.Stacktrace{Frames: frames}
	} else { // without a stack, what is grouped together is told here
		e.Fingerprint = []string{kind, l.message, l.words["reason"], l.words["state"], l.op()}
	}
	e.Exception = []sentry.Exception{x}
	return e
}

// kind is the kind of the failure that a line is about; "" = it is expected.
func (l line) kind() string {
	text := l.words["error"]
	switch {
	case l.message == workerLine && slices.Contains(crashes, l.words["reason"]):
		return crashed
	case l.message == workerLine:
		return ""
	case l.words["panic"] != "", strings.Contains(text, "panic: ") && strings.Contains(text, "\ngoroutine "):
		return panicked
	case l.words["code"] == string(fault.Internal), l.words["kind"] == string(fault.Internal),
		l.fault != nil && l.fault.Kind == fault.Internal:
		return internal
	}
	return ""
}

// op is the operation that a fault's text begins with; "" if there is none.
func (l line) op() string {
	op, _, _ := strings.Cut(l.words["error"], ": ")
	if strings.ContainsAny(op, " /") {
		return ""
	}
	return op
}

// details are the text and the stack of a failure.
func (l line) details() (text string, frames []sentry.Frame) {
	stack := l.words["stack"]
	for _, part := range []string{l.words["panic"], l.words["error"], l.words["detail"], l.words["said"]} {
		part, trace, found := strings.Cut(part, "\ngoroutine ")
		if found && stack == "" {
			stack = trace
		}
		if part = strings.TrimSpace(part); part != "" && part != "<nil>" {
			text += "\n" + part
		}
	}
	if text == "" {
		text = fmt.Sprintf("%s (%s)", l.message, l.words["code"])
	}
	return strings.TrimSpace(text), framesOf(stack)
}

// place is the second line of a frame in a stack as package runtime/debug writes it.
var place = regexp.MustCompile(`^\t(\S+):(\d+)`)

// called is the function that the first line of a frame names; "" if it is no such line.
func called(text string) string {
	if rest, ok := strings.CutPrefix(text, "created by "); ok {
		name, _, _ := strings.Cut(rest, " ")
		return name
	}
	i := strings.LastIndexByte(text, '(')
	if i < 0 || !strings.HasSuffix(text, ")") || strings.ContainsAny(text[:i], " \t") {
		return ""
	}
	return text[:i]
}

// framesOf reads a stack of one goroutine; the oldest call is first, as Sentry has it. Arguments are left out. Frames
// above the panic belong to its handling, and are left out too.
func framesOf(stack string) (frames []sentry.Frame) {
	name := ""
	for text := range strings.Lines(stack) {
		text = strings.TrimRight(text, "\n")
		at := place.FindStringSubmatch(text)
		switch {
		case text == "" && len(frames) > 0:
			slices.Reverse(frames)
			return frames // another goroutine follows
		case at != nil && name == "panic":
			frames = nil
		case at != nil && name != "":
			frames = append(frames, frameOf(name, at[1], at[2]))
		}
		name = called(text)
	}
	slices.Reverse(frames)
	return frames
}
