package transform

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
)

// maxFrame bounds one packet of the control socket, well below the kernel's default send buffer.
const maxFrame = 64 << 10

// maxText bounds every text of a worker that may reach a log or a caller.
const maxText = 300

// frameType is the meaning of a packet of the control socket.
type frameType string

const (
	frameHello   frameType = "hello"   // worker: ready, with build id and codec versions
	frameRequest frameType = "request" // server: make variants of the original in shared memory
	frameImage   frameType = "image"   // worker: one variant lies in shared memory
	frameTaken   frameType = "taken"   // server: it was copied, the memory is free again
	frameFault   frameType = "fault"   // worker: one spec failed
	frameDone    frameType = "done"    // worker: the request is over
	framePing    frameType = "ping"    // server: are you alive
	framePong    frameType = "pong"    // worker: yes
	frameCheck   frameType = "check"   // server: compare the encoders with those of the fitted automatic quality
	frameChecked frameType = "checked" // worker: the result of that
)

// frame is one packet: JSON, at most maxFrame bytes. ID ties every frame to its request, so that a late frame of an
// earlier request is not taken for an answer.
type frame struct {
	Type    frameType      `json:"type"`
	ID      uint64         `json:"id"`
	Hello   *hello         `json:"hello,omitempty"`
	Request *request       `json:"request,omitempty"`
	Index   int            `json:"index,omitempty"`
	Offset  int64          `json:"offset,omitempty"` // of the variant in shared memory
	Length  int64          `json:"length,omitempty"`
	Image   *variant.Image `json:"image,omitempty"` // without Body
	Fault   *failure       `json:"fault,omitempty"`
	Panic   bool           `json:"panic,omitempty"` // done: the codec panicked, its state is not reliable
	Drift   Drift          `json:"drift,omitempty"` // checked
}

// hello is the first frame of a worker.
type hello struct {
	Build    string            `json:"build"`
	Versions map[string]string `json:"versions"`
	Sandbox  Sandbox           `json:"sandbox"`
}

// request describes one transform. The original is at offset 0 of the shared memory, variants go to Area.
type request struct {
	Length  int64           `json:"length"`
	Area    int64           `json:"area"`
	Limits  Limits          `json:"limits"`
	Specs   []variant.Spec  `json:"specs,omitempty"`
	Stage   variant.Stage   `json:"stage,omitempty"`
	Info    sniff.Info      `json:"info,omitzero"`    // of the original or master in shared memory
	Master  *variant.Master `json:"master,omitempty"` // nil: shared memory holds the original itself
	Marks   []markAt        `json:"marks,omitempty"`
	Spilled int64           `json:"spilled,omitempty"` // > 0: Specs are that many bytes of JSON at Area instead
}

// failure is a fault as it is sent through the socket.
type failure struct {
	Kind   fault.Kind `json:"kind"`
	Op     string     `json:"op"`
	Public string     `json:"public"`
	Cause  string     `json:"cause"`
}

// failureOf converts err for the socket; nil stays nil.
func failureOf(err error) *failure {
	f := fault.Of(err)
	if f == nil {
		return nil
	}
	out := &failure{Kind: f.Kind, Op: clean(f.Op), Public: clean(f.Public)}
	if f.Err != nil {
		out.Cause = clean(f.Err.Error())
	}
	return out
}

// err is the fault that a worker reported. Only kinds that a codec can determine pass; others would let a worker speak
// for the server.
func (f *failure) err() error {
	if f == nil {
		return nil
	}
	var cause error
	if f.Cause != "" {
		cause = errors.New(clean(f.Cause))
	}
	switch f.Kind {
	case fault.NotAnImage, fault.UnsupportedFormat, fault.TooManyPixels, fault.TooManyFrames, fault.ResultTooLarge,
		fault.DecodeFailed, fault.TruncatedSource, fault.TooCostly, fault.UnsupportedOption, fault.BadOption:
		return fault.New(f.Kind, clean(f.Op), clean(f.Public), cause)
	}
	return fault.New(fault.Internal, clean(f.Op), "an internal error", cause)
}

// encodeFrame makes the packet of f.
func encodeFrame(f frame) ([]byte, error) {
	b, err := json.Marshal(f)
	if err == nil && len(b) > maxFrame {
		err = fmt.Errorf("a %s frame of %d bytes", f.Type, len(b))
	}
	return b, err
}

// decodeFrame reads a packet, which may come from a worker that a hostile picture has taken over. All values are
// bounded here and checked by the caller.
func decodeFrame(b []byte) (frame, error) {
	var f frame
	if len(b) > maxFrame {
		return f, fmt.Errorf("a frame of more than %d bytes", maxFrame)
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return frame{}, fmt.Errorf("a frame that is not JSON: %w", err)
	}
	whole := false
	switch f.Type {
	case frameHello:
		whole = f.Hello != nil && len(f.Hello.Versions) <= 64
	case frameRequest:
		whole = f.Request != nil
	case frameImage:
		whole = f.Image != nil
	case frameFault:
		whole = f.Fault != nil
	case frameDone, frameTaken, framePing, framePong, frameCheck, frameChecked:
		whole = true
	}
	if !whole {
		return frame{}, fmt.Errorf("an incomplete or unknown frame %q", clean(string(f.Type)))
	}
	return f, nil
}

// send writes one packet.
func send(socket *os.File, f frame) error {
	b, err := encodeFrame(f)
	if err == nil {
		_, err = socket.Write(b)
	}
	return err
}

// receive reads one packet into buf, which has one byte more than the longest packet.
func receive(socket *os.File, buf []byte) (frame, error) {
	n, err := socket.Read(buf)
	if err != nil {
		return frame{}, err
	}
	return decodeFrame(buf[:n])
}

// clean makes a worker's text fit for a log line and a JSON answer.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
