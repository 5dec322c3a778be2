package variant

import (
	"maps"
	"strconv"
	"time"

	"github.com/goldcrest/goldcrest/reach"
)

// Facts are what an entry stores about a variant, or a master, besides its bytes.
type Facts struct {
	Image             // without Body, Format, Choice.Probe and Choice.CPU
	SourceBytes int64 // the size of the original
	Provenance
}

// Provenance is what an entry stores about its origin: it decides who may have the entry, and for how long.
type Provenance struct {
	Via      reach.Via     // of the original
	ViaKnown bool          // false: the entry is from a version that did not keep Via
	Life     time.Duration // from the origin's Cache-Control
	HasLife  bool          // false: it had none
	Since    time.Duration // the age of the master that it was made from
}

// Encode writes the facts as attributes of an entry: short visible ASCII. Stores hold entries of earlier versions:
// never change the meaning of a name or the form of a value.
func (f Facts) Encode() map[string]string {
	attrs := map[string]string{
		"w": strconv.Itoa(f.Width), "h": strconv.Itoa(f.Height),
		"q": strconv.Itoa(f.Quality), "fr": strconv.Itoa(f.Frames),
		"sw": strconv.Itoa(f.SourceWidth), "sh": strconv.Itoa(f.SourceHeight),
		"sf": f.SourceFormat, "sfr": strconv.Itoa(f.SourceFrames),
		"sb": strconv.FormatInt(f.SourceBytes, 10),
	}
	set := func(when bool, name, value string) {
		if when {
			attrs[name] = value
		}
	}
	asked, c := f.AskedWidth > 0 && f.AskedHeight > 0, f.Choice
	set(asked, "aw", strconv.Itoa(f.AskedWidth))
	set(asked, "ah", strconv.Itoa(f.AskedHeight))
	set(f.Placeholder != "", "ph", f.Placeholder)
	set(f.Note != "", "note", f.Note)
	set(f.Stage != StageFinal, "stage", strconv.Itoa(int(f.Stage)))
	set(f.Exact, "exact", "1")
	set(c.Kind != "", "kind", c.Kind)
	set(c.Kind != "", "print", strconv.FormatFloat(c.Print, 'f', 2, 64))
	set(c.Target > 0, "target", strconv.FormatFloat(c.Target, 'f', -1, 64))
	set(c.Predicted > 0, "predicted", strconv.Itoa(c.Predicted))
	set(c.Score > 0, "score", strconv.FormatFloat(c.Score, 'f', 1, 64))
	set(c.Tried != "", "tried", c.Tried)
	set(f.ViaKnown, "via", string(f.Via))
	set(f.HasLife, "life", seconds(f.Life))
	set(f.Since > 0, "since", seconds(f.Since))
	return attrs
}

// DecodeFacts parses what Encode wrote, in this version or an earlier one. Missing or invalid values are zero.
func DecodeFacts(attrs map[string]string) Facts {
	real := func(name string) float64 {
		if text := attrs[name]; text != "" {
			if n, err := strconv.ParseFloat(text, 64); err == nil { // on overflow n would be the largest number
				return n
			}
		}
		return 0
	}
	whole := func(name string) int {
		if text := attrs[name]; text != "" {
			if n, err := strconv.Atoi(text); err == nil {
				return n
			}
		}
		return 0
	}
	return Facts{
		Image: Image{
			Width: whole("w"), Height: whole("h"), Quality: whole("q"), Frames: whole("fr"),
			SourceFormat: attrs["sf"], SourceFrames: whole("sfr"),
			SourceWidth: whole("sw"), SourceHeight: whole("sh"),
			AskedWidth: whole("aw"), AskedHeight: whole("ah"),
			Stage: StageOf(attrs), Exact: attrs["exact"] != "",
			Placeholder: attrs["ph"], Note: attrs["note"],
			Choice: Choice{
				Kind: attrs["kind"], Print: real("print"), Target: real("target"),
				Predicted: whole("predicted"), Score: real("score"), Tried: attrs["tried"],
			},
		},
		SourceBytes: int64(whole("sb")), Provenance: DecodeProvenance(attrs),
	}
}

// StageOf decodes only the Stage, for hits.
func StageOf(attrs map[string]string) Stage {
	text := attrs["stage"]
	if text == "" { // avoids an allocated error on the path of hits
		return StageFinal
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return StageFinal
	}
	return Stage(n)
}

// WithStage is a copy of attrs with another stage.
func WithStage(attrs map[string]string, s Stage) map[string]string {
	attrs = maps.Clone(attrs)
	delete(attrs, "stage")
	if s != StageFinal {
		attrs["stage"] = strconv.Itoa(int(s))
	}
	return attrs
}

// DecodeProvenance decodes only the Provenance, for hits.
func DecodeProvenance(attrs map[string]string) (p Provenance) {
	via, known := attrs["via"]
	p.Via, p.ViaKnown = reach.Via(via), known
	p.Life, p.HasLife = duration(attrs["life"])
	p.Since, _ = duration(attrs["since"])
	return p
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

func duration(text string) (d time.Duration, ok bool) {
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, false
	}
	return time.Duration(n) * time.Second, true
}

// Renewed is a copy of attrs for an entry whose original was found unchanged. A lifetime in that response replaces the
// old one.
func Renewed(attrs map[string]string, life time.Duration, said bool) map[string]string {
	attrs = maps.Clone(attrs)
	delete(attrs, "since")
	if said {
		attrs["life"] = seconds(life)
	}
	return attrs
}
