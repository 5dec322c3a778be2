package variant

import (
	"maps"
	"strconv"
	"time"

	"github.com/goldcrest/goldcrest/reach"
)

// The attributes under which an entry keeps its facts. Stores hold entries of earlier versions: a name, or the form of
// a value, never changes its meaning.
const (
	attrWidth        = "w"
	attrHeight       = "h"
	attrQuality      = "q"
	attrFrames       = "fr"
	attrSourceWidth  = "sw"
	attrSourceHeight = "sh"
	attrSourceFormat = "sf"
	attrSourceFrames = "sfr"
	attrSourceBytes  = "sb"
	attrAskedWidth   = "aw"
	attrAskedHeight  = "ah"
	attrPlaceholder  = "ph"
	attrNote         = "note"
	attrStage        = "stage"
	attrExact        = "exact"
	attrKind         = "kind"
	attrPrint        = "print"
	attrTarget       = "target"
	attrPredicted    = "predicted"
	attrScore        = "score"
	attrTried        = "tried"
	attrVia          = "via"
	attrLife         = "life"
	attrSince        = "since"
)

// Facts are what an entry keeps of a variant, or of a master, beside its bytes.
type Facts struct {
	Image             // without Body, Format, Choice.Probe and Choice.CPU
	SourceBytes int64 // the size of the original
	Provenance
}

// Provenance is what an entry keeps of where it came from: it decides who may have the entry, and for how long.
type Provenance struct {
	Via      reach.Via     // of the original
	ViaKnown bool          // false: the entry is from a version that did not keep Via
	Life     time.Duration // that the origin's Cache-Control gave
	HasLife  bool          // false: it gave none
	Since    time.Duration // the age of the master that it was made from
}

// Encode writes the facts as an entry keeps them: short visible ASCII.
func (f Facts) Encode() map[string]string {
	attrs := map[string]string{
		attrWidth: strconv.Itoa(f.Width), attrHeight: strconv.Itoa(f.Height),
		attrQuality: strconv.Itoa(f.Quality), attrFrames: strconv.Itoa(f.Frames),
		attrSourceWidth: strconv.Itoa(f.SourceWidth), attrSourceHeight: strconv.Itoa(f.SourceHeight),
		attrSourceFormat: f.SourceFormat, attrSourceFrames: strconv.Itoa(f.SourceFrames),
		attrSourceBytes: strconv.FormatInt(f.SourceBytes, 10),
	}
	set := func(when bool, name, value string) {
		if when {
			attrs[name] = value
		}
	}
	asked, c := f.AskedWidth > 0 && f.AskedHeight > 0, f.Choice
	set(asked, attrAskedWidth, strconv.Itoa(f.AskedWidth))
	set(asked, attrAskedHeight, strconv.Itoa(f.AskedHeight))
	set(f.Placeholder != "", attrPlaceholder, f.Placeholder)
	set(f.Note != "", attrNote, f.Note)
	set(f.Stage != StageFinal, attrStage, strconv.Itoa(int(f.Stage)))
	set(f.Exact, attrExact, "1")
	set(c.Kind != "", attrKind, c.Kind)
	set(c.Kind != "", attrPrint, strconv.FormatFloat(c.Print, 'f', 2, 64))
	set(c.Target > 0, attrTarget, strconv.FormatFloat(c.Target, 'f', -1, 64))
	set(c.Predicted > 0, attrPredicted, strconv.Itoa(c.Predicted))
	set(c.Score > 0, attrScore, strconv.FormatFloat(c.Score, 'f', 1, 64))
	set(c.Tried != "", attrTried, c.Tried)
	set(f.ViaKnown, attrVia, string(f.Via))
	set(f.HasLife, attrLife, seconds(f.Life))
	set(f.Since > 0, attrSince, seconds(f.Since))
	return attrs
}

// DecodeFacts reads what Encode wrote, in this version or an earlier one. What is not there, or cannot be read, is
// zero.
func DecodeFacts(attrs map[string]string) Facts {
	real := func(name string) (n float64) {
		if text := attrs[name]; text != "" {
			n, _ = strconv.ParseFloat(text, 64)
		}
		return n
	}
	whole := func(name string) (n int) {
		if text := attrs[name]; text != "" {
			n, _ = strconv.Atoi(text)
		}
		return n
	}
	return Facts{
		Image: Image{
			Width: whole(attrWidth), Height: whole(attrHeight), Quality: whole(attrQuality), Frames: whole(attrFrames),
			SourceFormat: attrs[attrSourceFormat], SourceFrames: whole(attrSourceFrames),
			SourceWidth: whole(attrSourceWidth), SourceHeight: whole(attrSourceHeight),
			AskedWidth: whole(attrAskedWidth), AskedHeight: whole(attrAskedHeight),
			Stage: StageOf(attrs), Exact: attrs[attrExact] != "",
			Placeholder: attrs[attrPlaceholder], Note: attrs[attrNote],
			Choice: Choice{
				Kind: attrs[attrKind], Print: real(attrPrint), Target: real(attrTarget),
				Predicted: whole(attrPredicted), Score: real(attrScore), Tried: attrs[attrTried],
			},
		},
		SourceBytes: int64(whole(attrSourceBytes)), Provenance: DecodeProvenance(attrs),
	}
}

// StageOf is the Stage alone, for hits.
func StageOf(attrs map[string]string) Stage {
	text := attrs[attrStage]
	if text == "" { // No error to make, on the path of hits.
		return StageFinal
	}
	n, _ := strconv.ParseUint(text, 10, 8)
	return Stage(n)
}

// WithStage is a copy of attrs at another stage, with all else that they hold.
func WithStage(attrs map[string]string, s Stage) map[string]string {
	attrs = maps.Clone(attrs)
	delete(attrs, attrStage)
	if s != StageFinal {
		attrs[attrStage] = strconv.Itoa(int(s))
	}
	return attrs
}

// DecodeProvenance is the Provenance alone, for hits.
func DecodeProvenance(attrs map[string]string) (p Provenance) {
	via, known := attrs[attrVia]
	p.Via, p.ViaKnown = reach.Via(via), known
	p.Life, p.HasLife = duration(attrs[attrLife])
	p.Since, _ = duration(attrs[attrSince])
	return p
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

func duration(text string) (d time.Duration, ok bool) {
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 32)
	return time.Duration(n) * time.Second, err == nil
}
