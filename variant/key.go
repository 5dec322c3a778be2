package variant

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/goldcrest/goldcrest/variant/naming"
)

// Recipe is the version of the coefficients and encoder settings. It is stored with an entry and is not part of its
// Key. Raise it when the same Spec gives other bytes.
const Recipe = 12

// Path is the canonical unsigned path of the ref: options in a fixed order, the source in base64, the format as
// extension. A Parser without a default preset reads it back to the same ref. Of a resolved open Spec it is the open
// URL that resolves to it again for the same client, if that sends no client hints.
func (r Ref) Path() string {
	format := r.Spec.Format
	if r.Spec.Accepts != 0 || r.Spec.Raw {
		format = Open
	}
	return Path(strings.Join(r.Spec.options(), "/"), r.Source, format)
}

// Path builds an unsigned path of an option text ("" = none) or, if only presets are allowed, preset names, a source,
// and a format (Open = none).
func Path(options, source string, format Format) string {
	if id, ok := OpaqueID(source); ok {
		return pathTo(options, "/ref/"+id, format)
	}
	return pathTo(options, "/"+encode64(source), format)
}

// EncryptedPath is Path with an encrypted source: the text after "/enc/".
func EncryptedPath(options, encrypted string, format Format) string {
	return pathTo(options, "/enc/"+encrypted, format)
}

func pathTo(options, path string, format Format) string {
	if options = strings.Trim(options, "/"); options != "" {
		path = "/" + options + path
	}
	if format != Open {
		path += "." + string(format)
	}
	return path
}

// Key is where the variant is stored: "v1/<h2>/<source hash>/<readable spec>.<format>". It requires a resolved Spec. It
// contains the whole Spec and nothing of Terms.
func (r Ref) Key() string {
	ext := string(r.Spec.Format)
	if ext == "" {
		ext = "open"
	}
	return r.SourcePrefix() + r.Spec.readable() + "." + ext
}

// SourceHash identifies the original: its canonical source and cachebuster, as 32 hexadecimal digits.
func (r Ref) SourceHash() string {
	if id, ok := OpaqueID(r.Source); ok && r.Spec.CacheBuster == "" {
		return id
	}
	identity := r.identity
	if identity == "" {
		identity = naming.Canonical(r.Source, nil)
	}
	if r.Spec.CacheBuster != "" {
		identity += "\x00" + r.Spec.CacheBuster
	}
	return hash(identity)
}

// SourcePart returns a key ("v1/ab/hash/spec.ext") up to the source hash.
func SourcePart(key string) string {
	n := 0
	for i := range len(key) {
		if key[i] == '/' {
			if n++; n == 3 {
				return key[:i+1]
			}
		}
	}
	return key
}

// SourcePrefix is the common prefix of the keys of all variants of the original: "v1/<h2>/<source hash>/".
func (r Ref) SourcePrefix() string {
	h := r.SourceHash()
	return "v1/" + h[:2] + "/" + h + "/"
}

// hash is half a SHA-256 in hexadecimal digits: enough against accidental collisions and second preimages.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// keyText turns an option text into a file name.
var keyText = strings.NewReplacer(":", "_", "/", ",")

// maxReadable is the maximum length of the readable spec of a key.
const maxReadable = 150

// readable is the Spec as a file name: its options as in a URL with "_" for ":" and "," for "/". Two different Specs
// have different texts, except for the parts that Key adds (format, cachebuster). Texts that are long or contain other
// characters are hashed.
func (s Spec) readable() string {
	accepts := s.Accepts
	s.Format, s.CacheBuster = Open, ""
	if s.Fallback != "" {
		s.Fallback = hash(s.Fallback)
	}
	if s.HashSum != "" {
		s.HashSum = hash(s.HashSum)
	}
	s.Watermark.Source = ""
	words := s.options()
	if s.Watermark.Mark != "" {
		words = append(words, "mark:"+s.Watermark.Mark)
	}
	if accepts != 0 {
		words = append(words, "any:"+accepts.letters())
	}
	if len(words) == 0 {
		return "full"
	}
	text := keyText.Replace(strings.Join(words, "/"))
	if len(text) > maxReadable {
		return "spec-" + hash(text)
	}
	return text
}

// letters names the members: x jxl, a avif, w webp, p png, j jpeg, g gif.
func (s FormatSet) letters() string {
	text := ""
	for i, f := range [...]Format{JXL, AVIF, WebP, PNG, JPEG, GIF} {
		if s.Has(f) {
			text += "xawpjg"[i : i+1]
		}
	}
	return text
}

// options lists the options of the Spec, without its format, in a fixed order and with one spelling for each value.
func (s Spec) options() []string {
	var w writer
	w.geometry(s)
	w.look(s)
	w.keep(s.Keep)
	w.encoding(s)
	return w
}

// writer collects options.
type writer []string

func (w *writer) add(name string, args ...string) {
	*w = append(*w, name+":"+strings.Join(args, ":"))
}

func (w *writer) flag(name string, on bool) {
	if on {
		w.add(name, "1")
	}
}

func (w *writer) number(name string, f float64) {
	if f != 0 {
		w.add(name, number(f))
	}
}

func (w *writer) count(name string, n int64) {
	if n != 0 {
		w.add(name, strconv.FormatInt(n, 10))
	}
}

func digit(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

func (w *writer) geometry(s Spec) {
	s = s.normal()
	if s.Resize != Fit || s.Width != 0 || s.Height != 0 {
		w.add("rs", modeWords[min(s.Resize, ResizeAuto)], strconv.Itoa(s.Width), strconv.Itoa(s.Height))
	}
	w.count("mw", int64(s.MinWidth))
	w.count("mh", int64(s.MinHeight))
	if s.ZoomX != 0 || s.ZoomY != 0 {
		w.add("z", number(orOne(s.ZoomX)), number(orOne(s.ZoomY)))
	}
	w.number("dpr", s.DPR)
	w.flag("dpr", s.OwnDPR)
	w.flag("el", s.Enlarge)
	w.extension("ex", s.Extend, s.ExtendGravity)
	w.extension("exar", s.ExtendRatio, s.ExtendGravity)
	if s.Gravity != (Gravity{}) {
		w.add("g", s.Gravity.arguments()...)
	}
	if c := s.Crop; c != (Crop{}) {
		args := []string{number(c.Width), number(c.Height)}
		if c.GravitySet {
			args = append(args, c.Gravity.arguments()...)
		}
		w.add("c", args...)
	}
	if t := s.Trim; t.On {
		hex := ""
		if t.Color.Set {
			hex = t.Color.hex()
		}
		w.add("t", number(t.Threshold), hex, digit(t.EqualHor), digit(t.EqualVer))
	}
	if p := s.Padding; p != (Padding{}) {
		w.add("pd", strconv.Itoa(p.Top), strconv.Itoa(p.Right), strconv.Itoa(p.Bottom), strconv.Itoa(p.Left))
	}
	if s.KeepOrientation {
		w.add("ar", "0")
	}
	w.count("rot", int64(s.Rotate))
	if s.FlipH || s.FlipV {
		w.add("fl", digit(s.FlipH), digit(s.FlipV))
	}
}

func (w *writer) extension(name string, on bool, g Gravity) {
	if on && g != (Gravity{}) {
		w.add(name, append([]string{"1"}, g.arguments()...)...)
	} else {
		w.flag(name, on)
	}
}

func orOne(f float64) float64 {
	if f == 0 {
		return 1
	}
	return f
}

func (w *writer) look(s Spec) {
	if s.Background.Set {
		w.add("bg", s.Background.hex())
	}
	w.number("bl", s.Blur)
	w.number("sh", s.Sharpen)
	w.count("pix", int64(s.Pixelate))
	w.watermark(s.Watermark)
}

func (w *writer) encoding(s Spec) {
	w.count("q", int64(s.Quality))
	var pairs []string
	for _, f := range written {
		if q := *s.FormatQuality.of(f); q != 0 {
			pairs = append(pairs, string(f), strconv.Itoa(int(q)))
		}
	}
	if pairs != nil {
		w.add("fq", pairs...)
	}
	w.count("mb", int64(s.MaxBytes))
	if a := s.AutoSize; a != (AutoSize{}) {
		w.add("aq", "size", strconv.Itoa(a.Bytes), strconv.Itoa(int(a.Min)), strconv.Itoa(int(a.Max)))
	}
	if net := s.netWord(); net != "" {
		w.add("net", net)
	}
	if s.Legible != LegibleAuto {
		w.add("legible", legibleWords[min(s.Legible, LegibleYes)])
	}
	if s.HashType != "" {
		w.add("hs", s.HashType, s.HashSum)
	}
	if s.Limits.Pixels != 0 {
		w.add("msr", number(float64(s.Limits.Pixels)/1e6))
	}
	w.count("msfs", s.Limits.Bytes)
	w.count("maf", int64(s.Limits.Frames))
	w.number("mafr", float64(s.Limits.FramePixels)/1e6)
	w.count("mrd", int64(s.Limits.Side))
	if s.Fallback != "" {
		w.add("fiu", encode64(s.Fallback))
	}
	if s.CacheBuster != "" {
		w.add("cb", s.CacheBuster)
	}
}

// netWord is the weight class in a URL: the one that the URL named, or a word for the resolved class.
func (s Spec) netWord() string {
	switch {
	case s.Net != NetDefault:
		return netWords[min(s.Net, NetWifi)]
	case s.Class == ClassHigh:
		return netWords[NetWifi]
	case s.Class == ClassSaver || s.DPRMost == 1:
		return netWords[Net2G]
	case s.DPRMost != 0:
		return netWords[Net3G]
	}
	return ""
}
