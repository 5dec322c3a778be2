package unit

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/theory/jsonpath"
	"github.com/theory/jsonpath/spec"
)

// Bounds on the selectors of one call: a query of a few bytes can cause work that multiplies with each of its steps.
const (
	maxSelectors    = 16 // in one list
	maxSelectorSize = 512
	maxSteps        = 20_000_000 // values visited in one call
	filterSteps     = 4          // the cost of running a filter
	regexpSteps     = 200        // the cost of one with match() or search(), besides that of their texts and programs
	textPerStep     = 4          // bytes compared or counted in a step; for match() and search(): instructions * bytes
	widePerByte     = 4          // steps per byte of the unit, if a filter may compare large nodes for every candidate
	ctxSteps        = 100_000    // after which the context is checked
	maxRegexpText   = 256 << 10  // maximum bytes of a unit for match() and search()
)

// Selector is a compiled JSONPath query (RFC 9535) or JSON Pointer (RFC 6901).
type Selector struct {
	segments []segment
	filters  bool // some segment has a filter
	regexps  bool // some filter calls match() or search()
	wide     bool // some filter compares or counts something outside its candidate
	program  int  // number of instructions of all match() and search()
}

// segment selects members and elements of each value it gets, or also of all its descendants.
type segment struct {
	choose     []spec.Selector
	token      string // of a JSON Pointer; choose is nil then
	descendant bool
}

// ParseSelector compiles a selector: a JSON Pointer if it begins with "/", else JSONPath. The error is a sentence for
// callers.
func ParseSelector(text string) (Selector, error) {
	switch {
	case len(text) > maxSelectorSize:
		return Selector{}, errors.New("a selector is longer than " + strconv.Itoa(maxSelectorSize) + " bytes")
	case strings.HasPrefix(text, "/"):
		return parsePointer(text)
	case !strings.HasPrefix(text, "$"):
		return Selector{}, errors.New(`a selector begins with "$" (JSONPath) or "/" (JSON Pointer)`)
	}
	if _, err := jsonpath.Parse(text); err != nil {
		return Selector{}, errors.New("no valid JSONPath: " + strings.TrimPrefix(err.Error(), "jsonpath: "))
	}
	program, err := programOf(text)
	if err != nil {
		return Selector{}, err
	}
	text, guards := guardRegexps(text)
	// The parser accepts more than the standard, such as "!search @.a, 'x')": every call that it found must have its guard.
	path, err := jsonpath.Parse(text)
	if err != nil || guards != regexpCalls(path.String()) {
		return Selector{}, errors.New("match() and search() take a query and a regular expression in quotes")
	}
	s := Selector{program: program}
	if s.filters, s.regexps, s.wide, err = costOf(path.String()); err != nil {
		return Selector{}, err
	}
	for _, seg := range path.Query().Segments() {
		s.segments = append(s.segments, segment{choose: seg.Selectors(), descendant: seg.IsDescendant()})
	}
	return s, nil
}

// parsePointer compiles a JSON Pointer. "-" names the element after the last one, which never has a value.
func parsePointer(text string) (Selector, error) {
	var s Selector
	for token := range strings.SplitSeq(text[1:], "/") {
		if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(token), "~") {
			return Selector{}, errors.New(`no valid JSON Pointer: "~" stands only before 0 or 1`)
		}
		s.segments = append(s.segments, segment{token: strings.NewReplacer("~1", "/", "~0", "~").Replace(token)})
	}
	return s, nil
}

// errTooManySteps is the error of a selection that visits too many values.
var errTooManySteps = errors.New("the selectors look at too many values")

// errTextTooLong is the error of a selection with regular expressions in a unit that is too long for them.
var errTextTooLong = errors.New("the unit is too long for match() and search()")

// selection runs selectors on one tree. It marks the selected nodes instead of listing them. So each is met once, in
// the order of the text, and a segment visits each value at most once, however often a query contains "..".
type selection struct {
	src   []byte
	root  *node
	step  int32
	steps *int // steps left for the call
	ctx   context.Context
	look  int // steps until ctx is checked
}

// spend charges steps before they are taken. It returns ctx's error if the caller has left.
func (x *selection) spend(steps int) error {
	if *x.steps -= steps; *x.steps < 0 {
		return errTooManySteps
	}
	if x.look -= steps; x.look < 0 {
		x.look = ctxSteps
		return x.ctx.Err()
	}
	return nil
}

// run marks what the selectors select.
func (x *selection) run(selectors []Selector) error {
	for _, s := range selectors {
		if s.regexps && len(x.src) > maxRegexpText {
			return errTextTooLong
		}
		if s.filters && x.root.value == nil {
			x.root.value = value(x.src, x.root)
		}
		nodes := []*node{x.root}
		for _, seg := range s.segments {
			x.step++
			var chosen []*node
			for _, n := range nodes {
				if err := x.walk(n, seg, s, &chosen); err != nil {
					return err
				}
			}
			nodes = chosen
		}
		for _, n := range nodes {
			n.chosen = true
		}
	}
	return nil
}

// walk adds what the segment selects from n, and from all descendants of n if it is a descendant segment.
func (x *selection) walk(n *node, seg segment, s Selector, chosen *[]*node) error {
	if seg.descendant {
		if n.seen == x.step {
			return nil
		}
		n.seen = x.step
	}
	if err := x.spend(1); err != nil {
		return err
	}
	if len(n.kids) == 0 {
		return nil
	}
	if seg.choose == nil {
		x.add(n.at(seg.token), chosen)
	}
	for _, c := range seg.choose {
		if err := x.choose(n, c, s, chosen); err != nil {
			return err
		}
	}
	if seg.descendant {
		for i := range n.kids {
			if err := x.walk(&n.kids[i], seg, s, chosen); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *selection) add(n *node, chosen *[]*node) {
	if n != nil && n.added != x.step {
		n.added = x.step
		*chosen = append(*chosen, n)
	}
}

// choose adds the children of n that one selector of RFC 9535 selects.
func (x *selection) choose(n *node, by spec.Selector, s Selector, chosen *[]*node) error {
	if err := x.spend(len(n.kids)); err != nil {
		return err
	}
	switch by := by.(type) {
	case spec.Name:
		x.add(n.kid(string(by)), chosen)
	case spec.Index:
		x.add(n.element(int(by)), chosen)
	case spec.WildcardSelector:
		for i := range n.kids {
			x.add(&n.kids[i], chosen)
		}
	case spec.SliceSelector:
		for _, i := range n.slice(by) {
			x.add(&n.kids[i], chosen)
		}
	case *spec.FilterSelector:
		for i := range n.kids {
			if err := x.spend(x.filterCost(&n.kids[i], s)); err != nil {
				return err
			}
			if by.Eval(n.kids[i].value, x.root.value) {
				x.add(&n.kids[i], chosen)
			}
		}
	}
	return nil
}

// filterCost is the cost of one candidate for a filter: what it may compare or count of the candidate, and of the unit
// if it accesses that; for regular expressions also each byte times each of their instructions.
func (x *selection) filterCost(candidate *node, s Selector) int {
	text := int(candidate.end - candidate.start)
	cost := filterSteps + text/textPerStep
	if s.wide {
		cost += len(x.src) * widePerByte
	}
	if s.regexps {
		cost += regexpSteps + text*s.program/textPerStep
	}
	return cost
}

// slice lists the indexes that a slice selector selects: those of an array.
func (n *node) slice(s spec.SliceSelector) (at []int) {
	length := len(n.kids)
	lower, upper := s.Bounds(length)
	switch step := s.Step(); {
	case !n.is('['):
	case step > 0:
		for i := lower; i < upper; i += min(step, length) {
			at = append(at, i)
		}
	case step < 0:
		for i := upper; i > lower; i += max(step, -length) {
			at = append(at, i)
		}
	}
	return at
}

// element returns an element of an array; a negative index counts from its end.
func (n *node) element(i int) *node {
	if i < 0 {
		i += len(n.kids)
	}
	if !n.is('[') || i < 0 || i >= len(n.kids) {
		return nil
	}
	return &n.kids[i]
}

// at returns the value for one token of a JSON Pointer.
func (n *node) at(token string) *node {
	if n.is('{') {
		return n.kid(token)
	}
	i, err := strconv.Atoi(token)
	if err != nil || strconv.Itoa(i) != token || i < 0 { // "01", "+1" and "-" name nothing
		return nil
	}
	return n.element(i)
}
