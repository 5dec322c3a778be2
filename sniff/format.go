package sniff

import (
	"bytes"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
)

// textWindow is how much of a text is read to detect its kind.
const textWindow = 1024

// Format detects what b is by its first bytes: one of the formats of Info, or another word ("svg", "html", "pdf",
// "gzip", "text", ...) that is used in messages only, or "" if unknown. File names and Content-Types are not used.
func Format(b []byte) string {
	for _, m := range magics {
		if len(b) >= m.at+len(m.text) && string(b[m.at:m.at+len(m.text)]) == m.text {
			if m.text == "RIFF" {
				return formatRIFF(b)
			}
			if m.text == "ftyp" {
				return formatBrand(b)
			}
			return m.format
		}
	}
	return formatText(b)
}

var magics = []struct {
	at           int
	text, format string
}{
	{0, "\xff\xd8\xff", "jpeg"},
	{0, "\x89PNG\r\n\x1a\n", "png"},
	{0, "GIF87a", "gif"},
	{0, "GIF89a", "gif"},
	{0, "RIFF", ""},
	{4, "ftyp", ""},
	{0, "II*\x00", "tiff"},
	{0, "MM\x00*", "tiff"},
	{0, "II+\x00", "bigtiff"},
	{0, "MM\x00+", "bigtiff"},
	{0, "%PDF", "pdf"},
	{0, "\x1f\x8b", "gzip"},
	{0, "PK\x03\x04", "zip"},
	{0, "%!PS", "postscript"},
	{0, "\x00\x00\x01\x00", "ico"},
	{0, "8BPS", "psd"},
	{0, "\xff\x0a", "jxl"},
	{0, "\x00\x00\x00\x0cJXL ", "jxl"},
	{0, "\x00\x00\x00\x0cjP  ", "jp2"},
	{0, "\xff\x4f\xff\x51", "jp2"},
	{0, "v/1\x01", "exr"},
	{0, "\x1aE\xdf\xa3", "video"},
}

func formatRIFF(b []byte) string {
	if len(b) < 12 {
		return ""
	}
	switch string(b[8:12]) {
	case "WEBP":
		return "webp"
	case "AVI ":
		return "video"
	}
	return ""
}

// formatBrand distinguishes ISO base media files by the brands of their first box. An AVIF brand anywhere wins, since
// AVIF files may begin with the general "mif1".
func formatBrand(b []byte) string {
	size, _ := u32(b, 0)
	brands := b[8:min(max(size, 8), len(b), 8+4*64)]
	format := "video"
	for at := 0; at+4 <= len(brands); at += 4 {
		if at == 4 {
			continue // The minor version is between the major brand and the compatible ones.
		}
		switch string(brands[at : at+4]) {
		case "avif", "avis":
			return "avif"
		case "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1":
			format = "heic"
		}
	}
	return format
}

func formatText(b []byte) string {
	if isBMP(b) {
		return "bmp"
	}
	head := bytes.TrimPrefix(b[:min(len(b), textWindow)], []byte("\xef\xbb\xbf"))
	head = bytes.TrimLeft(head, " \t\r\n\x00")
	if len(head) == 0 || bytes.IndexByte(head, 0) >= 0 {
		return ""
	}
	text := strings.ToLower(string(head))
	switch {
	case strings.HasPrefix(text, "<!doctype html"), strings.HasPrefix(text, "<html"), strings.HasPrefix(text, "<head"),
		strings.HasPrefix(text, "<body"), strings.HasPrefix(text, "<script"):
		return "html"
	case text[0] == '<' && strings.Contains(text, "<svg"), strings.HasPrefix(text, "<!doctype svg"):
		return "svg"
	case text[0] == '<' && strings.Contains(text, "<html"):
		return "html"
	case text[0] == '<':
		return "xml"
	case text[0] == '{', text[0] == '[':
		return "json"
	}
	for _, c := range head {
		if c < ' ' && c != '\t' && c != '\r' && c != '\n' && c != '\f' && c != 0x1b {
			return ""
		}
	}
	return "text"
}

// refuse is the fault of a file that has none of our formats.
func refuse(format string, size int) error {
	if what, ok := pictures[format]; ok {
		return unsupported(what)
	}
	what, ok := others[format]
	switch {
	case size == 0:
		what = "the source is empty"
	case !ok:
		what = "the source is not an image of a known format"
	}
	return fault.New(fault.NotAnImage, "sniff.Inspect", what, nil)
}

// pictures are picture formats that are refused; all others are not pictures.
var pictures = map[string]string{
	"svg": "SVG", "bigtiff": "BigTIFF", "psd": "the Photoshop format", "jxl": "JPEG XL", "jp2": "JPEG 2000",
	"exr": "OpenEXR", "postscript": "PostScript",
}

var others = map[string]string{
	"html": "the source is an HTML page, not an image",
	"xml":  "the source is an XML document, not an image",
	"json": "the source is a JSON document, not an image",
	"text": "the source is text, not an image",
	"pdf":  "the source is a PDF document, not an image",
	"gzip": "the source is gzip data, not an image",
	"zip":  "the source is a zip archive, not an image",

	"video": "the source is a video, not an image",
}
