package unit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// node is a JSON value and its position in the text. Unlike Go's maps, the tree keeps the order and the positions.
type node struct {
	kind       byte   // '{', '[', '"', 'n' for null, '0' for all others
	start, end int32  // the value is text[start:end]; texts are far below 2 GiB
	key        string // its name in an object
	kids       []node // of an object or array; of duplicate keys only the last

	seen, added int32 // the last steps of a selection that visited it and that selected it
	chosen      bool  // a selector selected it
	taken       bool  // an image was added for it, or it was skipped
	value       any   // what filters read; built on demand
}

func (n *node) is(kind byte) bool { return n.kind == kind }

func (n *node) text(src []byte) []byte { return src[n.start:n.end] }

// kid returns the member of an object with that key; nil if there is none.
func (n *node) kid(key string) *node {
	if !n.is('{') {
		return nil
	}
	for i := range n.kids {
		if n.kids[i].key == key {
			return &n.kids[i]
		}
	}
	return nil
}

// errTooManyValues is the error of grow for a text with more values than allowed.
var errTooManyValues = errors.New("too many values")

// grower builds a tree from a text that check found valid.
type grower struct {
	src  []byte
	at   int
	left int // number of values still allowed
}

// grow builds the tree of a valid JSON text of at most *values values, and subtracts their number.
func grow(src []byte, values *int) (*node, error) {
	g := grower{src: src, left: *values}
	var root node
	err := g.grow(&root)
	*values = g.left
	return &root, err
}

func (g *grower) grow(n *node) error {
	if g.left--; g.left < 0 {
		return errTooManyValues
	}
	g.at = skipBlank(g.src, g.at)
	n.start = int32(g.at)
	n.kind = g.src[g.at]
	var err error
	switch n.kind {
	case '{', '[':
		err = g.members(n)
	case '"':
		g.at = endOfString(g.src, g.at)
	default:
		if n.kind != 'n' {
			n.kind = '0'
		}
		g.at = endOfScalar(g.src, g.at)
	}
	n.end = int32(g.at)
	return err
}

func (g *grower) members(n *node) error {
	for g.at++; ; g.at++ {
		g.at = skipBlank(g.src, g.at)
		if c := g.src[g.at]; c == '}' || c == ']' {
			break // the object or array is empty: after a comma there is always a value
		}
		n.kids = append(n.kids, node{})
		kid := &n.kids[len(n.kids)-1]
		if n.is('{') {
			end := endOfString(g.src, g.at)
			kid.key = decodeString(g.src[g.at:end])
			g.at = skipBlank(g.src, end) + 1 // the colon
		}
		if err := g.grow(kid); err != nil {
			return err
		}
		if g.at = skipBlank(g.src, g.at); g.src[g.at] != ',' {
			break
		}
	}
	g.at++
	if n.is('{') {
		n.kids = lastOfEachKey(n.kids)
	}
	return nil
}

// lastOfEachKey removes members whose key occurs again later: the last one counts, as in most JSON parsers.
func lastOfEachKey(kids []node) []node {
	const few = 8
	last := map[string]int{}
	twice := false
	if len(kids) <= few {
		for i := range kids {
			for j := range i {
				twice = twice || kids[i].key == kids[j].key
			}
		}
		if !twice {
			return kids
		}
	}
	for i := range kids {
		last[kids[i].key] = i
	}
	if len(last) == len(kids) {
		return kids
	}
	kept := make([]node, 0, len(last))
	for i := range kids {
		if last[kids[i].key] == i {
			kept = append(kept, kids[i])
		}
	}
	return kept
}

// decodeString decodes a valid JSON string with its quotes. A lone surrogate becomes U+FFFD.
func decodeString(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // the text is valid
	return s
}

// check says why text is not a JSON value that can be processed; "" = it is one.
func check(text []byte, depth, maxDepth int) string {
	switch {
	case bytes.HasPrefix(text, bom):
		return "it begins with a byte order mark"
	case depth > maxDepth:
		return fmt.Sprintf("it is nested deeper than %d levels", maxDepth)
	case !utf8.Valid(text):
		return "it is not valid UTF-8"
	case json.Valid(text):
		return ""
	}
	var raw json.RawMessage
	err := json.Unmarshal(text, &raw)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("it is not valid JSON: %s at byte %d", syntax.Error(), syntax.Offset)
	}
	return "it is not valid JSON"
}

var bom = []byte("\xef\xbb\xbf")

// pointerKey appends one token to a JSON Pointer.
func pointerKey(pointer []byte, key string) []byte {
	pointer = append(pointer, '/')
	if !strings.ContainsAny(key, "~/") {
		return append(pointer, key...)
	}
	return append(pointer, strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")...)
}

// shortPointer is a pointer for an error. A pointer that is too long is left out: an error must not repeat the unit's
// text.
func shortPointer(pointer []byte) string {
	if len(pointer) > maxPointer {
		return ""
	}
	return string(pointer)
}
