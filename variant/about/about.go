// Package about says what is told of an original: the document that /info answers with, and the URLs that ask for it.
package about

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"github.com/goldcrest/goldcrest/variant"
)

// Side is the longer side, in pixels, at which a picture is looked at.
const Side = 800

// Document is what is told of an original.
type Document struct {
	Format      string `json:"format"`
	Width       int    `json:"width"`       // upright
	Height      int    `json:"height"`      // upright
	Size        int64  `json:"size"`        // in bytes
	Orientation int    `json:"orientation"` // as EXIF numbers it
	Frames      int    `json:"frames"`
	Alpha       bool   `json:"alpha"`          // some pixel is transparent
	Placeholder string `json:"thumbhash"`      // in base64
	Dominant    string `json:"dominant_color"` // "#rrggbb"; "" = no pixel can be seen
	Kind        string `json:"kind"`           // photo, text, graphic or mixed; "" = too small to tell
}

// kinds and formats are the words that a Document may hold.
var (
	kinds   = []string{"", "photo", "text", "graphic", "mixed"}
	formats = []string{"jpeg", "png", "gif", "webp", "avif", "heic", "tiff", "bmp", "svg", "jxl"}
	colour  = regexp.MustCompile(`^(#[0-9a-f]{6})?$`)
)

// Encode writes the document.
func (d Document) Encode() ([]byte, error) { return json.Marshal(d) }

// Check judges a document that a worker wrote: it is what Encode writes, and every value is a possible one.
func Check(text []byte) error {
	var d Document
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&d); err != nil {
		return fmt.Errorf("about.Check: %w", err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return errors.New("about.Check: something follows the document")
	}
	hash, err := base64.StdEncoding.Strict().DecodeString(d.Placeholder)
	if err != nil || len(hash) > 32 {
		return errors.New("about.Check: the ThumbHash is invalid")
	}
	words := slices.Contains(formats, d.Format) && slices.Contains(kinds, d.Kind) && colour.MatchString(d.Dominant)
	least := min(int64(min(d.Width, d.Height, d.Orientation, d.Frames)), d.Size)
	written, err := d.Encode()
	if !words || least < 1 || d.Orientation > 8 || err != nil || !bytes.Equal(written, text) {
		return errors.New("about.Check: the document is not one that is written here")
	}
	return nil
}

// SpecFor is how the document about an original is made. Of a URL's own options it keeps those that say which original
// is meant, and the limits on it.
func SpecFor(s variant.Spec) variant.Spec {
	return variant.Spec{Format: variant.Info, CacheBuster: s.CacheBuster, Hash: s.Hash, Limits: s.Limits}
}
