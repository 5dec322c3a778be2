package sniff

import (
	"bytes"

	"github.com/goldcrest/goldcrest/fault"
)

// pdfSide is the side that a page counts with until its decoder has read the document, and the longest that it has
// then: pages are drawn in vectors.
const pdfSide = 2048

// pdfTail is how far from the end of a document its end marker may stand.
const pdfTail = 1024

// inspectPDF looks for the end of the document. Nothing but a decoder can tell the size of a page.
func inspectPDF(b []byte) (Info, error) {
	if !bytes.Contains(b[max(0, len(b)-pdfTail):], []byte("%%EOF")) {
		return Info{}, fault.New(fault.NotAnImage, "sniff.Inspect", others["pdf"], nil)
	}
	return Info{Width: pdfSide, Height: pdfSide, Channels: 3, Bits: 8, End: len(b), Complete: true}, nil
}
