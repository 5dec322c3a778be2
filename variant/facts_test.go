package variant

import (
	"maps"
	"math"
	"strings"
	"testing"
	"time"
)

// recorded are the attributes of entries as stores hold them, and what they say.
var recorded = []struct {
	name  string
	attrs map[string]string
	want  Facts
}{
	{"a photo's first stage", map[string]string{
		"w": "480", "h": "320", "q": "52", "fr": "1", "sw": "4032", "sh": "3024", "sf": "heic",
		"sfr": "1", "sb": "2113411",
		"via": "cdn.example.com", "stage": "1", "ph": "AAgC+/8=", "kind": "photo",
		"print": "0.03", "target": "72.5", "predicted": "52",
	}, Facts{
		Image: Image{
			Width: 480, Height: 320, Quality: 52, Frames: 1, SourceWidth: 4032, SourceHeight: 3024,
			SourceFormat: "heic", SourceFrames: 1,
			Stage: StageFirst, Placeholder: "AAgC+/8=", Choice: Choice{Kind: "photo", Print: 0.03,
				Target: 72.5, Predicted: 52},
		},
		SourceBytes: 2113411, Provenance: Provenance{Via: "cdn.example.com", ViaKnown: true},
	}},
	{"a hot variant, measured", map[string]string{
		"w": "640", "h": "480", "q": "48", "fr": "1", "sw": "1600", "sh": "1200", "sf": "jpeg",
		"sfr": "1", "sb": "500000", "via": "",
		"stage": "2", "kind": "text", "print": "0.98", "target": "80", "predicted": "50",
		"score": "80.3", "tried": "50:82.1 48:80.3",
	}, Facts{
		Image: Image{
			Width: 640, Height: 480, Quality: 48, Frames: 1, SourceWidth: 1600, SourceHeight: 1200,
			SourceFormat: "jpeg", SourceFrames: 1,
			Stage:  StageHot,
			Choice: Choice{Kind: "text", Print: 0.98, Target: 80, Predicted: 50, Score: 80.3, Tried: "50:82.1 48:80.3"},
		},
		SourceBytes: 500000, Provenance: Provenance{ViaKnown: true},
	}},
	{"a reduced still of an animation, made from a master", map[string]string{
		"w": "655", "h": "16383", "q": "0", "fr": "1", "sw": "800", "sh": "20000", "sf": "gif",
		"sfr": "24", "sb": "90000", "aw": "800",
		"ah": "20000", "note": "still of animation", "life": "3900", "since": "3600", "via": "a.example b.example",
	}, Facts{
		Image: Image{
			Width: 655, Height: 16383, Frames: 1, SourceWidth: 800, SourceHeight: 20000,
			SourceFormat: "gif", SourceFrames: 24,
			AskedWidth: 800, AskedHeight: 20000, Note: "still of animation",
		},
		SourceBytes: 90000,
		Provenance: Provenance{
			Via: "a.example b.example", ViaKnown: true, Life: 3900 * time.Second, HasLife: true, Since: time.Hour,
		},
	}},
	{"an exact master, whose origin asks for no life", map[string]string{
		"w": "900", "h": "600", "q": "0", "fr": "1", "sw": "900", "sh": "600", "sf": "jpeg",
		"sfr": "1", "sb": "80000", "via": "",
		"exact": "1", "life": "0",
	}, Facts{
		Image: Image{
			Width: 900, Height: 600, Frames: 1,
			SourceWidth: 900, SourceHeight: 600, SourceFormat: "jpeg", SourceFrames: 1, Exact: true,
		},
		SourceBytes: 80000, Provenance: Provenance{ViaKnown: true, HasLife: true},
	}},
	{"of a version that kept no hosts", map[string]string{
		"w": "10", "h": "20", "q": "70", "fr": "1", "sw": "100", "sh": "200", "sf": "png", "sfr": "1", "sb": "1000",
	}, Facts{
		Image: Image{
			Width: 10, Height: 20, Quality: 70, Frames: 1,
			SourceWidth: 100, SourceHeight: 200, SourceFormat: "png", SourceFrames: 1,
		},
		SourceBytes: 1000,
	}},
}

// Stores hold entries of every version: what they say is read, and written, the same for ever.
func TestFactsReadAndWriteWhatStoresHold(t *testing.T) {
	for _, test := range recorded {
		if got := DecodeFacts(test.attrs); !equalFacts(got, test.want) {
			t.Errorf("%s: decoded\n%+v, want\n%+v", test.name, got, test.want)
		}
		if got := test.want.Encode(); !maps.Equal(got, test.attrs) {
			t.Errorf("%s: encoded\n%v, want\n%v", test.name, got, test.attrs)
		}
	}
}

// equalFacts compares all but the bytes, which attributes do not hold.
func equalFacts(a, b Facts) bool {
	body := a.Body == nil && b.Body == nil
	a.Body, b.Body = nil, nil
	return body && maps.Equal(a.Encode(), b.Encode()) && a.Choice == b.Choice && a.Provenance == b.Provenance
}

func TestFactsTakeWhatTheyCannotRead(t *testing.T) {
	for _, attrs := range []map[string]string{
		nil, {}, {"w": "x", "stage": "x", "life": "-5", "since": "1e3", "score": "", "sb": "-"},
		{"life": "99999999999999999999", "new": "1"},
	} {
		got := DecodeFacts(attrs)
		if got.Width != 0 || got.Stage != StageFinal || got.HasLife || got.Since != 0 || got.ViaKnown {
			t.Errorf("%v: %+v", attrs, got)
		}
	}
}

// A change of stage keeps what this version does not know.
func TestWithStageKeepsTheRest(t *testing.T) {
	attrs := map[string]string{"w": "480", "gen": "k3.1", "new": "x", "stage": "1"}
	for stage, want := range map[Stage]string{StageFinal: "", StageFirst: "1", StageHot: "2"} {
		got := WithStage(attrs, stage)
		if got["stage"] != want || got["gen"] != "k3.1" || got["new"] != "x" || StageOf(got) != stage {
			t.Errorf("stage %d: %v", stage, got)
		}
	}
	if attrs["stage"] != "1" {
		t.Error("the attributes of the shared entry were changed")
	}
}

func FuzzFacts(f *testing.F) {
	f.Add("480 1 3900 82.5 cdn.example.com")
	f.Add("99999999999999999999 999 10000000000 1e999") // beyond what each can hold
	f.Fuzz(func(t *testing.T, text string) {
		words := strings.SplitN(text, " ", 5)
		attrs := map[string]string{}
		for i, name := range []string{"w", "stage", "life", "score", "via"} {
			if i < len(words) {
				attrs[name] = words[i]
			}
		}
		once := DecodeFacts(attrs)
		again := DecodeFacts(once.Encode())
		if again.Width != once.Width || math.IsInf(once.Choice.Score, 0) || again.Stage != once.Stage || again.Provenance != once.Provenance {
			t.Fatalf("%v: %+v, then %+v", attrs, once, again)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	attrs := recorded[0].attrs
	b.Run("facts", func(b *testing.B) {
		for b.Loop() {
			DecodeFacts(attrs)
		}
	})
	b.Run("provenance", func(b *testing.B) {
		for b.Loop() {
			DecodeProvenance(attrs)
		}
	})
}
