// Package svg draws SVG documents. It first reads them in Go, and passes librsvg a rewritten document: the elements
// that draw, without scripts, entities and other documents, and within limits. It runs in workers.
package svg

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
)

// The limits of a document. The time that a worker has for a picture is a further limit.
const (
	maxBytes    = 10 << 20
	maxElements = 50_000
	maxDepth    = 64
	maxFilters  = 100     // filter primitives
	maxDrawn    = 200_000 // elements as drawn: each use draws what it refers to
)

// drawMemory bounds the buffers of a drawing. In the worst case there is one raster for each filter primitive and each
// level of nesting.
const (
	drawMemory = 128 << 20
	drawPixels = 8_000_000
)

// Drawing is a document that may be drawn.
type Drawing struct {
	Width, Height float64 // its own size in CSS pixels
	text          []byte  // the input of librsvg
	rasters       int     // the most that drawing it may hold at a time
	lettered      bool    // it contains text
}

// MaxPixels is the largest raster in which the document may be drawn.
func (d *Drawing) MaxPixels() int64 { return min(drawPixels, drawMemory/4/int64(d.rasters)) }

// Read checks a document. Faults: unsupported_format (it needs unsupported features), too_costly, truncated_source,
// decode_failed (it is not XML).
func Read(b []byte) (*Drawing, error) {
	if len(b) > maxBytes {
		return nil, costly("it has more than 10 MiB")
	}
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimRight(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), "\x00")))
	r := &reader{drawing: &Drawing{}, graph: &graph{ids: map[string]int{}, rules: map[string][]reference{}}}
	for {
		token, err := d.RawToken()
		switch {
		case errors.Is(err, io.EOF):
			return r.end()
		case err != nil:
			return nil, unreadable(err)
		}
		if err := r.take(token); err != nil {
			return nil, err
		}
	}
}

// unreadable is the fault of a document that is not XML.
func unreadable(err error) error {
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) && syntax.Msg == "unexpected EOF" {
		return fault.New(fault.TruncatedSource, "svg.Read", "the picture is cut off", err)
	}
	return fault.New(fault.DecodeFailed, "svg.Read", "the SVG is not XML in UTF-8", err)
}

func costly(why string) error {
	return fault.New(fault.TooCostly, "svg.Read", "the SVG is too complex: "+why, nil)
}

func refused(why string) error {
	return fault.New(fault.UnsupportedFormat, "svg.Read", "the SVG "+why, nil)
}

// reader rewrites the document token by token.
type reader struct {
	drawing *Drawing
	out     bytes.Buffer
	open    []string        // the open elements, as named in the document
	dropped int             // number of open elements inside a left-out element, including that one
	styled  int             // likewise for a style element
	sheet   strings.Builder // the text of the open style element
	deepest int
	filters int
	prefix  string // of the root
	ended   bool   // the root was closed
	graph   *graph
}

func (r *reader) take(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return r.start(t)
	case xml.EndElement:
		return r.close(qualified(t.Name))
	case xml.CharData:
		return r.chars(t)
	case xml.Directive:
		if bytes.Contains(bytes.ToUpper(t), []byte("<!ENTITY")) {
			return refused("declares entities, which are not supported")
		}
	}
	return nil // Comments and instructions draw nothing.
}

func qualified(n xml.Name) string { return n.Space + ":" + n.Local }

// leftOut lists elements that draw nothing here; they are removed with their content.
var leftOut = map[string]bool{
	"script": true, "foreignObject": true, "metadata": true, "title": true, "desc": true, "handler": true,
	"listener": true, "set": true,
	"animate": true, "animateColor": true, "animateMotion": true, "animateTransform": true, "font": true,
	"font-face": true, "include": true,
	"iframe": true, "video": true, "audio": true, "canvas": true, "embed": true, "object": true, "link": true,
	"cursor": true,
}

func (r *reader) start(e xml.StartElement) error {
	if len(r.open) == 0 {
		if r.ended {
			return fault.New(fault.DecodeFailed, "svg.Read", "the SVG has two roots", nil)
		}
		r.prefix = e.Name.Space
		var ok bool
		if r.drawing.Width, r.drawing.Height, ok = sniff.SVGSize(e.Attr); !ok || e.Name.Local != "svg" {
			return fault.New(fault.DecodeFailed, "svg.Read", "the SVG's root is broken", nil)
		}
	}
	r.open = append(r.open, qualified(e.Name))
	r.deepest = max(r.deepest, len(r.open))
	if len(r.open) > maxDepth {
		return costly(fmt.Sprintf("its elements are nested more than %d deep", maxDepth))
	}
	if r.dropped > 0 || leftOut[e.Name.Local] || e.Name.Space != r.prefix || isForeign(e.Attr) {
		r.dropped++
		return nil
	}
	if r.styled > 0 || e.Name.Local == "style" {
		r.styled++
	}
	return r.write(e)
}

// isForeign reports whether an element declares another namespace.
func isForeign(attrs []xml.Attr) bool {
	return slices.ContainsFunc(attrs, func(a xml.Attr) bool {
		return a.Name.Space == "" && a.Name.Local == "xmlns" && a.Value != "http://www.w3.org/2000/svg"
	})
}

// write writes a start tag.
func (r *reader) write(e xml.StartElement) error {
	root, name := len(r.open) == 1, e.Name.Local
	if err := r.count(name); err != nil {
		return err
	}
	fmt.Fprintf(&r.out, "<%s", name)
	if root {
		r.out.WriteString(` xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"`)
		fmt.Fprintf(&r.out, ` width="%g" height="%g"`, r.drawing.Width, r.drawing.Height)
	}
	written := map[string]bool{}
	for _, a := range e.Attr {
		key, err := r.attribute(name, a)
		if err != nil {
			return err
		}
		if sized := root && (key == "width" || key == "height"); key == "" || sized || written[key] {
			continue
		}
		written[key] = true
		fmt.Fprintf(&r.out, ` %s="`, key)
		_ = xml.EscapeText(&r.out, []byte(a.Value))
		r.out.WriteByte('"')
	}
	r.out.WriteByte('>')
	return nil
}

// count checks an element against the limits, and adds it to the graph.
func (r *reader) count(name string) error {
	if r.graph.add(name) > maxElements {
		return costly(fmt.Sprintf("it has more than %d elements", maxElements))
	}
	if strings.HasPrefix(name, "fe") {
		r.filters++
	}
	if r.filters > maxFilters {
		return costly(fmt.Sprintf("its filters have more than %d steps", maxFilters))
	}
	r.drawing.lettered = r.drawing.lettered || name == "text"
	return nil
}

// attribute is the name under which an attribute is written; "" leaves it out.
func (r *reader) attribute(element string, a xml.Attr) (key string, err error) {
	key = a.Name.Local
	switch {
	case key == "href":
		return r.reference(element, strings.TrimSpace(a.Value))
	case a.Name.Space == "xml" && (key == "space" || key == "lang"):
		return "xml:" + key, nil
	case a.Name.Space != "" || key == "xmlns" || strings.HasPrefix(key, "on"):
		return "", nil
	case key == "id":
		r.graph.name(a.Value)
	case key == "class":
		r.graph.class(a.Value)
	case key == "style":
		err = r.refer(a.Value)
	case strings.Contains(a.Value, "("):
		err = r.refer(key + ":" + a.Value)
	}
	return key, err
}

// reference checks a link. Only elements of the same document may be referred to.
func (r *reader) reference(element, to string) (key string, err error) {
	switch {
	case strings.HasPrefix(to, "#"):
		r.graph.refer(reference{to[1:], used})
		return "xlink:href", nil
	case to == "" || element == "a":
		return "", nil
	case element == "image" || element == "feImage":
		return "", refused("contains another picture, which is not supported")
	}
	return "", refused("refers to another document, which is not supported")
}

// refer records what the declarations of the open element refer to.
func (r *reader) refer(css string) error {
	refers, err := declarations(css)
	r.graph.refer(refers...)
	return err
}

func (r *reader) chars(text []byte) error {
	if len(r.open) == 0 || r.dropped > 0 {
		return nil
	}
	if r.styled > 0 {
		r.sheet.Write(text)
	}
	return xml.EscapeText(&r.out, text)
}

func (r *reader) close(name string) error {
	if len(r.open) == 0 || r.open[len(r.open)-1] != name {
		return fault.New(fault.DecodeFailed, "svg.Read", "the SVG closes an element that is not open", nil)
	}
	r.open = r.open[:len(r.open)-1]
	r.ended = len(r.open) == 0
	if r.dropped > 0 {
		r.dropped--
		return nil
	}
	if r.styled--; r.styled == 0 {
		if err := r.graph.sheet(r.sheet.String()); err != nil {
			return err
		}
		r.sheet.Reset()
	}
	r.styled = max(0, r.styled)
	r.graph.up()
	_, local, _ := strings.Cut(name, ":")
	fmt.Fprintf(&r.out, "</%s>", local)
	return nil
}

func (r *reader) end() (*Drawing, error) {
	if !r.ended {
		return nil, fault.New(fault.TruncatedSource, "svg.Read", "the picture is cut off", nil)
	}
	if r.out.Len() == 0 {
		return nil, refused("contains nothing to draw")
	}
	if r.graph.drawn(maxDrawn) > maxDrawn {
		return nil, costly(fmt.Sprintf("it draws more than %d elements", maxDrawn))
	}
	r.drawing.text, r.drawing.rasters = r.out.Bytes(), 1+r.filters+r.deepest
	return r.drawing, nil
}
