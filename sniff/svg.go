package sniff

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
)

// svgWindow is how much of an SVG is read to find its root element.
const svgWindow = 64 << 10

// svgSide is the longest side that an SVG counts with: vectors have no pixels of their own.
const svgSide = 4096

// svgMemory is the memory for drawing an SVG of any size: transform/codec/svg limits the drawing's buffers to that.
const svgMemory = 64 << 20

// svgNamespace is the namespace of SVG elements.
const svgNamespace = "http://www.w3.org/2000/svg"

// SVGSize is the size of a drawing in CSS pixels by its root's attributes: width and height, else those of the viewBox,
// else CSS's 300 x 150. ok is false for impossible sizes.
func SVGSize(root []xml.Attr) (width, height float64, ok bool) {
	said := map[string]string{}
	for _, a := range root {
		if a.Name.Space == "" {
			said[a.Name.Local] = a.Value
		}
	}
	width, height = svgLength(said["width"]), svgLength(said["height"])
	boxWidth, boxHeight := svgBox(said["viewBox"])
	switch {
	case width > 0 && height > 0:
	case boxWidth == 0:
		width, height = orElse(width, 300), orElse(height, 150)
	case width > 0:
		height = width * boxHeight / boxWidth
	case height > 0:
		width = height * boxWidth / boxHeight
	default:
		width, height = boxWidth, boxHeight
	}
	return width, height, possible(width) && possible(height)
}

func orElse(v, otherwise float64) float64 {
	if v > 0 {
		return v
	}
	return otherwise
}

// possible reports whether a side is a size that renderers support.
func possible(side float64) bool { return side >= 1e-3 && side <= 1e7 }

// cssUnits are CSS units in pixels. Percentages, and units that depend on a style, leave the size to the viewBox.
var cssUnits = map[string]float64{
	"": 1, "px": 1, "pt": 4.0 / 3, "pc": 16, "in": 96, "cm": 96 / 2.54, "mm": 96 / 25.4, "q": 96 / 101.6, "em": 16,
	"ex": 8,
}

// svgLength is a length in CSS pixels; 0 for a percentage or none.
func svgLength(s string) float64 {
	s = strings.TrimSpace(s)
	number := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ%")
	unit, ok := cssUnits[strings.ToLower(s[len(number):])]
	v, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || math.IsNaN(v) || v < 0 {
		return 0
	}
	return v * unit
}

// svgBox is the size in a viewBox; 0 if there is none.
func svgBox(s string) (width, height float64) {
	words := strings.FieldsFunc(s, func(c rune) bool { return strings.ContainsRune(", \t\n\r", c) })
	if len(words) != 4 {
		return 0, 0
	}
	width, err := strconv.ParseFloat(words[2], 64)
	height, err2 := strconv.ParseFloat(words[3], 64)
	if err != nil || err2 != nil || !possible(width) || !possible(height) {
		return 0, 0
	}
	return width, height
}

// inspectSVG reads the document up to its root. Content that must be refused comes after that; transform/codec/svg
// finds it.
func inspectSVG(b []byte) (Info, error) {
	root, err := svgRoot(b)
	if err != nil {
		return Info{}, err
	}
	width, height, ok := SVGSize(root.Attr)
	if !ok {
		return Info{}, broken("its size is impossible")
	}
	if long := max(width, height); long > svgSide {
		width, height = width*svgSide/long, height*svgSide/long
	}
	side := func(v float64) int { return max(1, int(math.Round(v))) }
	end := bytes.TrimRight(b, " \t\r\n\x00")
	return Info{Width: side(width), Height: side(height), Channels: 4, Bits: 8, Alpha: true, End: len(b),
		Complete: bytes.HasSuffix(end, []byte(">"))}, nil
}

// svgRoot finds the root element.
func svgRoot(b []byte) (root xml.StartElement, err error) {
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(b[:min(len(b), svgWindow)], []byte("\xef\xbb\xbf"))))
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) || err != nil && d.InputOffset() >= svgWindow {
			return root, fault.New(fault.NotAnImage, "sniff.Inspect",
				"the source is an XML document without a root, not an image", nil)
		}
		if err != nil {
			return root, broken("it is not XML in UTF-8")
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if element.Name.Local != "svg" || !isSVG(element) {
			return root, fault.New(fault.NotAnImage, "sniff.Inspect", others["xml"], nil)
		}
		return element, nil
	}
}

// isSVG reports whether the root's namespace is SVG's, or missing.
func isSVG(root xml.StartElement) bool {
	for _, a := range root.Attr {
		plain := root.Name.Space == "" && a.Name.Space == "" && a.Name.Local == "xmlns"
		prefixed := root.Name.Space != "" && a.Name.Space == "xmlns" && a.Name.Local == root.Name.Space
		if plain || prefixed {
			return a.Value == svgNamespace
		}
	}
	return true
}
