package transform

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

func TestFramesSurviveTheSocket(t *testing.T) {
	for _, want := range []frame{
		{Type: frameHello, Hello: &hello{Build: "b", Versions: map[string]string{"libvips": "8.14.1"}}},
		{Type: frameRequest, ID: 7, Request: &request{Length: 5, Area: 4096, Limits: Limits{Pixels: 1, ResultPixels: 2, AVIFPixels: 3, Frames: 4, Memory: 5}, Stage: variant.StageFirst,
			Specs: []variant.Spec{{Width: 3, DPR: 1.5, Gravity: variant.Gravity{Kind: variant.FocusPoint, X: 0.25}, Accepts: variant.AcceptAVIF}}}},
		{Type: frameImage, ID: 7, Index: 2, Offset: 4096, Length: 9, Image: &variant.Image{Format: variant.AVIF, Width: 3, Note: "n"}},
		{Type: frameFault, ID: 7, Index: 1, Fault: &failure{Kind: fault.DecodeFailed, Op: "a.B", Public: "p", Cause: "c"}},
		{Type: frameDone, ID: 7, Panic: true},
		{Type: frameTaken, ID: 7},
		{Type: framePing, ID: 7},
		{Type: framePong, ID: 7},
	} {
		b, err := encodeFrame(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeFrame(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", want.Type, got, err)
		}
	}
	if _, err := encodeFrame(frame{Type: frameHello, Hello: &hello{Build: strings.Repeat("b", maxFrame)}}); err == nil {
		t.Error("a frame larger than a packet was made")
	}
}

func TestFailureKeepsItsKindAndLosesItsControlCharacters(t *testing.T) {
	for kind, want := range map[fault.Kind]fault.Kind{
		fault.DecodeFailed: fault.DecodeFailed, fault.TooCostly: fault.TooCostly, fault.Poison: fault.Internal, fault.Canceled: fault.Internal,
		"made_up": fault.Internal,
	} {
		f := fault.Of(failureOf(fault.New(kind, "codec.X", "a\r\nb\u2028c\x1b[31m", errors.New("x\ny"))).err())
		if f.Kind != want {
			t.Errorf("%s: got %s, want %s", kind, f.Kind, want)
		}
		if text := f.Error(); strings.ContainsAny(text, "\r\n\u2028\x1b") {
			t.Errorf("not clean: %q", text)
		}
	}
	if failureOf(nil).err() != nil {
		t.Error("no fault became one")
	}
	if got := clean(strings.Repeat("é", maxText)); len(got) > maxText || !utf8.ValidString(got) {
		t.Errorf("got %d bytes, valid %v", len(got), utf8.ValidString(got))
	}
}

// Whatever bytes a worker sends, the server does not panic or read outside the variant's area.
func FuzzFrame(f *testing.F) {
	mem, err := newMemory(4096)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(mem.close)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		f.Fatal(err)
	}
	drawn := draw(variant.Spec{Format: variant.PNG, Width: 2, Height: 2}, 0)
	size := copy(mem.bytes[mem.area:], drawn.Body)
	drawn.Body = nil
	for _, seed := range []frame{
		{Type: frameImage, ID: 1, Offset: mem.area, Length: int64(size), Image: &drawn},
		{Type: frameFault, ID: 1, Fault: &failure{Kind: fault.DecodeFailed}},
		{Type: frameDone, ID: 1},
		{Type: frameHello, Hello: &hello{Build: "b"}},
	} {
		b, err := encodeFrame(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"type":"image","offset":9223372036854775807,"length":9223372036854775807,"image":{}}`))
	f.Add([]byte(`{"type":"image","index":-1,"image":{"Body":"AAAA"}}`))
	o := order{specs: []variant.Spec{{}, script("")}, todo: []int{1}, limits: testConfig().limits()}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decodeFrame(b)
		if err != nil {
			return
		}
		c := &child{mem: mem, socket: null}
		e, err := c.accept(got, o, make([]bool, 1))
		if err != nil {
			return
		}
		if e.i != 1 || (e.err == nil) != (got.Type == frameImage) {
			t.Errorf("frame %s became spec %d, error %v", got.Type, e.i, e.err)
		}
		if e.err == nil && (e.img.Format != variant.PNG || len(e.img.Body) == 0) {
			t.Errorf("accepted %+v", e.img)
		}
	})
}
