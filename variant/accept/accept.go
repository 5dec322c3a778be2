// Package accept reads Accept headers: which media types they name, and with which weights.
package accept

import (
	"iter"
	"strings"
)

// The bounds of what is read of a header, in bytes and in elements. The rest is ignored.
const (
	MaxHeader   = 4096
	MaxElements = 64
)

// Elements yields the media type of each element with its weight in thousandths. Malformed elements are left out.
func Elements(header string) iter.Seq2[string, int] {
	return func(yield func(media string, weight int) bool) {
		header = header[:min(len(header), MaxHeader)]
		for range MaxElements {
			element, rest, more := strings.Cut(header, ",")
			media, parameters, _ := strings.Cut(element, ";")
			if q, ok := readWeight(parameters); ok && !yield(strings.TrimSpace(media), q) || !more {
				return
			}
			header = rest
		}
	}
}

// readWeight parses the q parameter of an element, in thousandths; 1000 if there is none.
func readWeight(parameters string) (int, bool) {
	for parameters != "" {
		var p string
		p, parameters, _ = strings.Cut(parameters, ";")
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			return thousandths(strings.TrimSpace(value))
		}
	}
	return 1000, true
}

// thousandths parses a number from 0 to 1 with at most three decimals; also ".5", which some clients send.
func thousandths(s string) (int, bool) {
	first, decimals, _ := strings.Cut(s, ".")
	if first != "0" && first != "1" && (first != "" || decimals == "") || len(decimals) > 3 || strings.Trim(decimals, "0123456789") != "" {
		return 0, false
	}
	n := 0
	for i := range 3 {
		n *= 10
		if i < len(decimals) {
			n += int(decimals[i] - '0')
		}
	}
	if first == "1" {
		n += 1000
	}
	return n, n <= 1000
}

// unsaid is a weight lower than every weight.
const unsaid = -1

// Weights are the weights of image types in one header.
type Weights struct {
	Named      [8]int // by the index of a type; negative = it is not named
	image, any int    // of the wildcards
}

// Images reads the weights of the image types that index knows by their subtypes. The last element of a type counts.
func Images(header string, index func(subtype string) (i int, ok bool)) Weights {
	w := Weights{image: unsaid, any: unsaid}
	for i := range w.Named {
		w.Named[i] = unsaid
	}
	for media, q := range Elements(header) {
		kind, name, _ := strings.Cut(media, "/")
		image := strings.EqualFold(kind, "image")
		i, ok := index(name)
		switch {
		case media == "*/*" || media == "*": // Java's own client sends "*"
			w.any = q
		case image && name == "*":
			w.image = q
		case image && ok:
			w.Named[i] = q
		}
	}
	return w
}

// NamesNone reports whether no type is named.
func (w Weights) NamesNone() bool {
	for _, q := range w.Named {
		if q != unsaid {
			return false
		}
	}
	return true
}

// Of is the weight of a type by the most specific element that matches it; negative = none does.
func (w Weights) Of(i int) int {
	if q := w.Named[i]; q != unsaid {
		return q
	}
	if w.image != unsaid {
		return w.image
	}
	return w.any
}
