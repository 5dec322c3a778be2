// Package variant defines what a variant is: Ref, Spec, URL grammar, canonical form, Key. It is pure: no I/O, no HTTP.
package variant

import (
	"strings"
	"time"
)

// Format is a concrete image format by its usual extension ("" = open: chosen by negotiation).
type Format string

// The output formats. Every other format is only read.
const (
	Open Format = ""
	JPEG Format = "jpg"
	PNG  Format = "png"
	WebP Format = "webp"
	AVIF Format = "avif"
	GIF  Format = "gif"
	JXL  Format = "jxl"
	Info Format = "json" // no picture: what is told of an original
	Raw  Format = "raw"  // the original itself, in its own format
)

// MediaType is the format's Content-Type.
func (f Format) MediaType() string {
	switch f {
	case JPEG:
		return "image/jpeg"
	case Info:
		return "application/json"
	}
	return "image/" + string(f)
}

// ParseFormat returns the output format of an extension or a configuration word: "jpg" and "jpeg" are equal, case does
// not matter. ok is false for every other word.
func ParseFormat(name string) (f Format, ok bool) {
	switch f = Format(strings.ToLower(name)); f {
	case "jpeg":
		return JPEG, true
	case JPEG, PNG, WebP, AVIF, GIF, JXL:
		return f, true
	}
	return Open, false
}

// ResizeMode is how a picture is fitted into its box (imgproxy's resizing_type).
type ResizeMode uint8

// The resizing types. ResizeAuto is fill when source and box have the same orientation, else fit.
const (
	Fit ResizeMode = iota
	Fill
	FillDown
	Force
	ResizeAuto
)

// GravityKind is the part of a picture that a crop or an extension keeps.
type GravityKind uint8

// The gravities: centre, the eight directions, smart (content-aware) and focus point.
const (
	Centre GravityKind = iota
	North
	South
	East
	West
	NorthWest
	NorthEast
	SouthWest
	SouthEast
	Smart
	FocusPoint
)

// Gravity is a GravityKind with its offsets: pixels when |X| >= 1, a fraction of the picture when below 1; for
// FocusPoint the relative position 0..1 of the point.
type Gravity struct {
	Kind GravityKind
	X, Y float64
}

// Crop cuts an area out of the upright source before it is resized. Width and Height are pixels when >= 1, a fraction
// of the source below 1, and 0 means the whole side.
type Crop struct {
	Width, Height float64
	Gravity       Gravity
	GravitySet    bool // false: the Spec's own Gravity applies
}

// Color is an opaque sRGB colour; Set distinguishes black from none.
type Color struct {
	Set     bool
	R, G, B uint8
}

// Trim removes a border of one colour.
type Trim struct {
	On        bool
	Threshold float64
	Color     Color // not Set: the top-left pixel's colour ("smart")
	EqualHor  bool
	EqualVer  bool
}

// Padding is added around the result, in CSS pixels (multiplied by DPR).
type Padding struct{ Top, Right, Bottom, Left int }

// Net is the weight class that the URL asks for.
type Net uint8

// The weight classes of the URL. NetDefault (none given) behaves as Net4G.
const (
	NetDefault Net = iota
	NetAuto
	Net2G
	Net3G
	Net4G
	NetWifi
)

// Class is the resolved weight class: the quality target.
type Class uint8

// The quality targets, the highest quality first.
const (
	ClassNormal Class = iota
	ClassHigh
	ClassSaver
)

// String is the class in a word.
func (c Class) String() string {
	switch c {
	case ClassHigh:
		return "high"
	case ClassSaver:
		return "saver"
	}
	return "normal"
}

// Legibility says whether the picture is treated as text.
type Legibility uint8

// The values of the legible option.
const (
	LegibleAuto Legibility = iota
	LegibleNo
	LegibleYes
)

// Qualities holds one quality per format (1..100; 0 = none given).
type Qualities struct{ JPEG, PNG, WebP, AVIF, GIF, JXL uint8 }

// AutoSize is autoquality:size: the quality, between Min and Max, whose result is nearest below Bytes.
type AutoSize struct {
	Bytes    int
	Min, Max uint8
}

// FormatSet is a set of formats that a client accepts.
type FormatSet uint8

// The members of a FormatSet.
const (
	AcceptJPEG FormatSet = 1 << iota
	AcceptPNG
	AcceptWebP
	AcceptAVIF
	AcceptGIF
	AcceptJXL
)

// written are the formats in the order of their bits. What lists a set goes over it, so that a new format is not forgotten.
var written = [...]Format{JPEG, PNG, WebP, AVIF, GIF, JXL}

// Has reports whether the set holds f.
func (s FormatSet) Has(f Format) bool { return s&f.bit() != 0 }

// bit is the format's member of a FormatSet; 0 for Open.
func (f Format) bit() FormatSet {
	switch f {
	case JPEG:
		return AcceptJPEG
	case PNG:
		return AcceptPNG
	case WebP:
		return AcceptWebP
	case AVIF:
		return AcceptAVIF
	case GIF:
		return AcceptGIF
	case JXL:
		return AcceptJXL
	}
	return 0
}

// described are the formats into which copyright and profiles can be written.
const described = AcceptJPEG | AcceptPNG | AcceptWebP

// Flip mirrors a picture after rotation.
type Flip struct {
	FlipH, FlipV bool
}

// Hash is the expected hash of an original: md5, sha1, sha256 or sha512, and lower-case hex; "" = none.
type Hash struct {
	HashType, HashSum string
}

// Keep says what a variant keeps of its original.
type Keep struct {
	KeepOrientation bool      // auto_rotate:0: the EXIF orientation is ignored (and its tag still removed)
	KeepMetadata    bool      // strip_metadata:0: means KeepCopyright
	KeepCopyright   bool      // EXIF's copyright and artist are kept
	KeepProfile     bool      // the ICC profile is kept, and colours are not converted
	Raw             bool      // everything: the original itself
	Unprocessed     FormatSet // an original in one of these formats is sent as it is, if it may be sent in that format
}

// NeedsOriginal reports whether the variant takes more from its original than pixels.
func (s Spec) NeedsOriginal() bool {
	return s.Format == Info || s.Raw || s.Unprocessed != 0 || s.keeps() || s.HashSum != ""
}

// Watermark lays a mark over the result. Opacity multiplies the mark's own; 0 = no mark.
type Watermark struct {
	Opacity float64
	Place   Gravity // for Tiled the offsets are the space between two marks
	Tiled   bool
	Width   float64 // share of the result's width that the mark fits into; 0 = not limited by it
	Height  float64 // the same of the height; if both are 0, the mark keeps its own size
	Source  string  // URL of the mark; "" = the configured one
	// Mark identifies the mark: a hash of its canonical URL, or of the configured file's bytes. Set by a Parser.
	Mark string
}

// Client says how the size depends on the client.
type Client struct {
	HintWidth, HintDPR bool    // a client hint says it, as the URL does not: set by a Parser, done by Resolve
	OwnDPR             bool    // the URL says dpr:1, and client hints would count: the same
	DPRMost            float64 // the weight class's limit of DPR, unless the picture contains print; 0 = no limit
}

// Limits are the limits that a URL lowers; 0 = the configured one.
type Limits struct {
	Pixels      int64 // width x height of the original
	Bytes       int64 // size of the original
	Frames      int
	FramePixels int64 // width x height of an original with more than one frame
	Side        int   // the longest side of the result: a longer one is scaled down
}

// Spec says how a variant is made from its original. It is comparable and contains everything that determines the
// bytes; two equal Specs of one source are one variant. The zero Spec, resolved, is the upright picture at full size in
// the negotiated format.
type Spec struct {
	Resize              ResizeMode
	Width, Height       int // 0 = free
	MinWidth, MinHeight int
	ZoomX, ZoomY        float64 // 0 = 1
	DPR                 float64 // 0 = 1
	Enlarge             bool
	Extend              bool
	ExtendRatio         bool // extend to the aspect ratio of the box, not to its size
	ExtendGravity       Gravity
	Gravity             Gravity
	Crop                Crop
	Trim                Trim
	Padding             Padding
	Keep
	Rotate int // clockwise degrees: 0, 90, 180, 270
	Flip
	Background    Color
	Blur, Sharpen float64 // sigma in pixels; 0 = off
	Pixelate      int     // block side in pixels; 0 = off
	Format        Format
	Quality       uint8 // 1..100; 0 = automatic quality
	FormatQuality Qualities
	MaxBytes      int
	AutoSize      AutoSize
	Net           Net
	Legible       Legibility
	Limits        Limits
	CacheBuster   string
	Fallback      string // URL of the picture sent instead of an error; "" = none
	Hash
	Watermark Watermark

	Client

	// Set by Resolve, never by a URL:
	Class   Class     // the weight class
	Accepts FormatSet // the formats that this open URL may be sent in; 0 if the URL names the format

	// Set only by the pipeline: make the original's master, which fits into Width x Height, not a variant.
	Master bool
}

// Staged reports whether variants of the format have stages other than the final one.
func (f Format) Staged() bool { return f == AVIF || f == JXL }

// Stage is how much work went into a variant, see Staged. Only AVIF has StageHot.
type Stage uint8

// The stages.
const (
	StageFinal Stage = 0 // the best for most variants
	StageFirst Stage = 1 // by the fastest encoder: for a viewer who waits, to be replaced by a final one
	StageHot   Stage = 2 // by a slower encoder than the final one, in fewer bytes: for frequently viewed variants
)

// Image is a made variant as it leaves the transform.
type Image struct {
	Body          []byte // owned by the receiver
	Format        Format // may differ from Spec.Format for open URLs (alpha, never larger)
	Width, Height int
	AskedWidth    int // the requested size if it was too large and was reduced; 0 = as requested
	AskedHeight   int
	Quality       int    // the encoder's q; 0 = lossless
	Frames        int    // frames in Body
	SourceFormat  string // jpeg, png, webp, gif, avif, heic, tiff, bmp
	SourceWidth   int    // upright
	SourceHeight  int
	SourceFrames  int
	Stage         Stage
	Exact         bool   // a master that is the original itself without its metadata
	Placeholder   string // a ThumbHash of the pixels, a blurred preview of about 25 bytes in base64; "" = not known
	Note          string // why this format and q, for explain: "passed through", "still of animation", ...
	Choice        Choice
}

// Choice records how the quality of an Image was chosen.
type Choice struct {
	Kind      string        // class of the picture: photo, text, graphic, mixed; "" = not classified
	Print     float64       // the probability that it is a text
	Target    float64       // the score aimed at; 0 = none
	Predicted int           // the q that was predicted to reach it; 0 = none
	Score     float64       // measured SSIMULACRA2, for print that of its worst part; 0 = not measured
	Tried     string        // every encode, in order
	Probe     time.Duration // the time of the classification
	CPU       time.Duration // processor time of the worker until the variant was made; 0 = not known
}
