package svg

import (
	"iter"
	"strings"
)

// graph records which elements draw which: each element draws its children and the elements that it refers to.
type graph struct {
	elements []element
	ids      map[string]int
	rules    map[string][]reference // of stylesheets, by the label of an element
	ruled    int                    // number of all references in rules
	path     []int                  // the open elements
}

type element struct {
	children []int
	refers   []reference
	labels   []string // by which stylesheets select it
}

// The bounds of what stylesheets refer to: counted for each selector, and followed in all.
const (
	maxRuled    = 10_000
	maxFollowed = 2_000_000
)

// reference is a link from an element to another one.
type reference struct {
	id  string
	how int
}

const (
	used      = iota // by a link: it is drawn as a child is
	applied          // once for the element, such as a filter
	inherited        // by each element inside that draws, such as a pattern to fill with
)

// add adds an element inside the open one, opens it, and returns the number of elements.
func (g *graph) add(name string) int {
	n := len(g.elements)
	g.elements = append(g.elements, element{labels: []string{everything, name}})
	if len(g.path) > 0 {
		parent := &g.elements[g.path[len(g.path)-1]]
		parent.children = append(parent.children, n)
	}
	g.path = append(g.path, n)
	return n + 1
}

// up closes the open element.
func (g *graph) up() { g.path = g.path[:len(g.path)-1] }

func (g *graph) open() *element { return &g.elements[g.path[len(g.path)-1]] }

// name sets the id of the open element; the first element with an id keeps it.
func (g *graph) name(id string) {
	if _, taken := g.ids[id]; !taken {
		g.ids[id] = g.path[len(g.path)-1]
	}
	g.open().labels = append(g.open().labels, "#"+id)
}

// class sets the classes of the open element.
func (g *graph) class(names string) {
	for name := range strings.FieldsSeq(names) {
		g.open().labels = append(g.open().labels, "."+name)
	}
}

// refer records what the open element refers to.
func (g *graph) refer(to ...reference) { g.open().refers = append(g.open().refers, to...) }

// count is what an element draws.
type count struct {
	inside int // elements that inherit from it: itself, its children, and what they use
	all    int // with what these are painted with
}

// rule records what the elements of a label refer to.
func (g *graph) rule(label string, refers ...reference) error {
	if g.ruled += len(refers); g.ruled > maxRuled {
		return costly("its stylesheets refer to elements too often")
	}
	g.rules[label] = append(g.rules[label], refers...)
	return nil
}

// drawn counts the elements that drawing the first one draws, up to about most. An element that refers back to itself
// is not drawn again.
func (g *graph) drawn(most int) int {
	w := walk{graph: g, most: most, counts: make([]count, len(g.elements)), open: make([]int, len(g.elements))}
	sum, _ := w.of(0, 1)
	if w.steps > maxFollowed {
		return most + 1
	}
	return sum.all
}

// walk visits the elements that draw.
type walk struct {
	*graph
	most   int
	counts []count // of elements whose count does not depend on the path to them
	open   []int   // by element: its place on the path, from 1; 0 = it is not on it
	steps  int     // taken: what is counted on several paths is visited again
}

// none is beyond every place on a path.
const none = 1 << 30

// of counts what an element draws. back is the first place on the path to which something in it refers back, and which
// is not counted therefore: the count is valid on this path only, if that place is before the element.
func (w *walk) of(n, place int) (sum count, back int) {
	if w.open[n] > 0 {
		return count{}, w.open[n]
	}
	if w.steps++; w.counts[n].all > 0 || w.steps > maxFollowed {
		return w.counts[n], none
	}
	w.open[n], back = place, none
	defer func() { w.open[n] = 0 }()
	sum = count{1, 1}
	add := func(to, how int) (painted int) {
		c, met := w.of(to, place+1)
		back = min(back, met)
		switch how {
		case used:
			sum.inside, sum.all = min(sum.inside+c.inside, w.most+1), min(sum.all+c.all, w.most+1)
		case applied:
			sum.all = min(sum.all+c.all, w.most+1)
		default:
			painted = c.all
		}
		return painted
	}
	for _, child := range w.elements[n].children {
		add(child, used)
	}
	painted := 0
	for r := range w.refers(n) {
		if w.steps++; w.steps > maxFollowed {
			break
		}
		if to, ok := w.ids[r.id]; ok {
			painted = min(painted+add(to, r.how), w.most+1)
		}
	}
	sum.all = min(sum.all+sum.inside*painted, w.most+1)
	if back >= place {
		w.counts[n], back = sum, none
	}
	return sum, back
}

// refers lists what an element refers to, by itself and by stylesheets.
func (g *graph) refers(n int) iter.Seq[reference] {
	e := g.elements[n]
	return func(yield func(reference) bool) {
		for _, r := range e.refers {
			if !yield(r) {
				return
			}
		}
		for _, label := range e.labels {
			for _, r := range g.rules[label] {
				if !yield(r) {
					return
				}
			}
		}
	}
}
