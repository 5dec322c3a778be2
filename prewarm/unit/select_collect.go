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
	maxPointer = 2048 // bytes of the JSON Pointer of an image
	maxOpened  = 3    // levels of JSON in a string in JSON in a string ...
)

// collector notes the images of a unit in the order of its text.
type collector struct {
	unit    *Unit
	src     []byte
	pointer []byte          // of the node at hand
	known   map[string]int  // source -> index of its image
	hints   map[string]hint // by key, for all units of the call
	places  []place
	fixed   bool // inside a string that holds JSON: pointer is that of the string
	opened  int  // levels of such strings around
	depth   int  // that a string which holds JSON may have
	left    *int // images that the call may still have
	values  *int // values that the unit may still have

	names *naming.Names
}

// fail is the reason why the collection of a unit ends. A limit of the call is a fault of the whole call.
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

// each visits the kids of n with the pointer set to theirs.
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

// detect notes every string that looks like the URL of an image; at is what the keys around it say.
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
	if bytes.IndexByte(text, '\\') < 0 { // Most strings are neither: they need not be decoded.
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

// hint is hintOf with a memory: the units of a call have the same keys.
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

// open looks for images in a string that holds JSON.
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

// selected notes what selectors chose: a string, a list, or an object with a url, src or href.
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

// object takes the address in an object: the first of url, src and href that is neither null nor empty.
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

// note notes the string s that stands at n as an image, found as img says; an empty one is skipped.
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

// noteBad notes that a value was found which is no address. It is never replaced.
func (c *collector) noteBad(n *node, shown string, img Image) *fail {
	n.taken = true
	img.Source, img.Bad = shown, fault.BadSource
	return c.add(img)
}

// add adds an image, unless the unit has one of that source.
func (c *collector) add(img Image) *fail {
	if i, twice := c.known[img.Source]; twice && img.Source != "" {
		first := &c.unit.Images[i]
		first.Auto, first.Sure = first.Auto && img.Auto, first.Sure || img.Sure // The surest place decides.
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
