package unit

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant/naming"
)

const (
	maxPointer = 2048 // length of an image's JSON Pointer in bytes
	maxOpened  = 3    // levels of JSON in a string in JSON in a string ...
)

// collector collects the images of a unit in the order of its text.
type collector struct {
	unit    *Unit
	src     []byte
	pointer []byte          // of the current node
	known   map[string]int  // source -> index of its image
	hints   map[string]hint // by key, for all units of the call
	places  []place
	fixed   bool // inside a string that contains JSON: pointer is that of the string
	opened  int  // number of such strings around the current node
	depth   int  // maximum depth of JSON in a string
	left    *int // images left for the call
	values  *int // values left for the unit

	names *naming.Names
}

// fail is the reason why collecting a unit ends. A limit of the call is a fault of the whole call.
type fail struct {
	unit *Error
	call error
}

func (c *collector) step(key string, index int, n *node) (before int) {
	before = len(c.pointer)
	if c.fixed {
		return before
	}
	if n.is('{') {
		c.pointer = pointerKey(c.pointer, key)
	} else {
		c.pointer = strconv.AppendInt(append(c.pointer, '/'), int64(index), 10)
	}
	return before
}

// each visits the children of n, with the pointer set to each.
func (c *collector) each(n *node, visit func(kid *node) *fail) *fail {
	for i := range n.kids {
		kid := &n.kids[i]
		before := c.step(kid.key, i, n)
		f := visit(kid)
		c.pointer = c.pointer[:before]
		if f != nil {
			return f
		}
	}
	return nil
}

// detect adds every string that looks like the URL of an image. at is the hint of the keys around it.
func (c *collector) detect(n *node, at hint) *fail {
	if !n.is('"') {
		return c.each(n, func(kid *node) *fail {
			if n.is('{') {
				return c.detect(kid, c.hint(kid.key).under(at))
			}
			return c.detect(kid, at)
		})
	}
	text := n.text(c.src)
	if bytes.IndexByte(text, '\\') < 0 { // most strings are neither a URL nor JSON, and need not be decoded
		raw := bytes.TrimSpace(text[1 : len(text)-1])
		if len(raw) == 0 || raw[0] != '{' && raw[0] != '[' && !c.names.MayBegin(raw[0]) {
			return nil
		}
	}
	s := decodeString(text)
	found, sure := detect(s, at, c.names)
	switch {
	case found:
		return c.note(n, s, Image{Auto: true, Sure: sure})
	case c.opened < maxOpened && holdsJSON(s):
		return c.open(n, s, at)
	}
	return nil
}

// hint caches hintOf: the units of a call have the same keys.
func (c *collector) hint(key string) hint {
	const entries, size = 1024, 64
	h, known := c.hints[key]
	if !known {
		h = hintOf(key)
		if len(c.hints) < entries && len(key) <= size {
			c.hints[key] = h
		}
	}
	return h
}

// open looks for images in a string that contains JSON.
func (c *collector) open(n *node, s string, at hint) *fail {
	inner := []byte(s)
	whole, ok := skim(inner, skipBlank(inner, 0))
	if !ok || skipBlank(inner, whole.end) != len(inner) || check(inner, whole.depth, c.depth) != "" {
		return nil
	}
	root, err := grow(inner, c.values)
	if err != nil {
		return &fail{unit: badUnit(err.Error(), shortPointer(c.pointer))}
	}
	within := *c
	within.src, within.places, within.fixed, within.opened = inner, nil, true, c.opened+1
	f := within.detect(root, at)
	if len(within.places) > 0 {
		c.places = append(c.places, place{start: int(n.start), end: int(n.end), inner: within.places})
	}
	return f
}

// selected adds what selectors selected: a string, a list, or an object with url, src or href.
func (c *collector) selected(n *node) *fail {
	if n.chosen {
		if f := c.take(n, true); f != nil {
			return f
		}
	}
	return c.each(n, c.selected)
}

func (c *collector) take(n *node, list bool) *fail {
	switch {
	case n.taken:
		return nil
	case n.is('n'):
		n.taken = true
		c.unit.Skips++
		return nil
	case n.is('"'):
		return c.note(n, decodeString(n.text(c.src)), Image{})
	case n.is('{'):
		return c.object(n)
	case n.is('[') && list:
		n.taken = true
		return c.each(n, func(kid *node) *fail { return c.take(kid, false) })
	}
	return c.noteBad(n, "", Image{})
}

// object takes the URL of an object: the first of url, src and href that is neither null nor empty.
func (c *collector) object(n *node) *fail {
	var empty bool
	for _, key := range []string{"url", "src", "href"} {
		kid := n.kid(key)
		switch {
		case kid == nil:
		case kid.is('n') || kid.is('"') && strings.TrimSpace(decodeString(kid.text(c.src))) == "":
			kid.taken, empty = true, true
		default:
			n.taken = true
			before := c.step(key, 0, n)
			f := c.take(kid, false)
			c.pointer = c.pointer[:before]
			return f
		}
	}
	if !empty {
		return c.noteBad(n, "", Image{})
	}
	n.taken = true
	c.unit.Skips++
	return nil
}

// note adds the string s at n as an image, with what img says of how it was found. An empty string is skipped.
func (c *collector) note(n *node, s string, img Image) *fail {
	if s = strings.TrimSpace(s); s == "" {
		n.taken = true
		c.unit.Skips++
		return nil
	}
	source, bad := sourceOf(s, c.names)
	if bad != "" {
		return c.noteBad(n, source, img)
	}
	n.taken = true
	img.Source = source
	if f := c.add(img); f != nil {
		return f
	}
	c.places = append(c.places, place{start: int(n.start), end: int(n.end), image: c.known[source]})
	return nil
}

// noteBad adds a value that is not a URL. It is never replaced.
func (c *collector) noteBad(n *node, shown string, img Image) *fail {
	n.taken = true
	img.Source, img.Bad = shown, fault.BadSource
	return c.add(img)
}

// add adds an image, unless the unit already has one of that source.
func (c *collector) add(img Image) *fail {
	if i, twice := c.known[img.Source]; twice && img.Source != "" {
		first := &c.unit.Images[i]
		first.Auto, first.Sure = first.Auto && img.Auto, first.Sure || img.Sure // the surest place decides
		return nil
	}
	if *c.left--; *c.left < 0 {
		return &fail{call: tooMuch("the call has too many images; send it in several")}
	}
	if len(c.pointer) > maxPointer {
		return &fail{unit: badUnit(fmt.Sprintf("the pointer to an image is longer than %d bytes", maxPointer), "")}
	}
	img.Pointer = string(c.pointer)
	c.known[img.Source] = len(c.unit.Images)
	c.unit.Images = append(c.unit.Images, img)
	return nil
}
