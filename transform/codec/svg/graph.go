package svg

import "strings"

// graph records which elements draw which: each element draws its children and the elements that it refers to.
type graph struct {
	elements []element
	ids      map[string]int
	rules    map[string][]reference // of stylesheets, by the label of an element
	path     []int                  // the open elements
}

type element struct {
	children []int
	refers   []reference
	labels   []string // by which stylesheets select it
}

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

// drawn counts the elements that drawing the first one draws, up to about most. An element that refers back to itself
// is not drawn again.
func (g *graph) drawn(most int) int {
	counts := make([]count, len(g.elements))
	known := make([]bool, len(g.elements))
	var of func(n int) count
	of = func(n int) count {
		if known[n] {
			return counts[n]
		}
		known[n] = true // It counts nothing while it is open.
		sum, painted := count{1, 1}, 0
		inside := func(c count) {
			sum.inside, sum.all = min(sum.inside+c.inside, most+1), min(sum.all+c.all, most+1)
		}
		for _, child := range g.elements[n].children {
			inside(of(child))
		}
		for _, r := range g.refers(n) {
			to, ok := g.ids[r.id]
			switch {
			case !ok:
			case r.how == used:
				inside(of(to))
			case r.how == applied:
				sum.all = min(sum.all+of(to).all, most+1)
			default:
				painted = min(painted+of(to).all, most+1)
			}
		}
		sum.all = min(sum.all+sum.inside*painted, most+1)
		counts[n] = sum
		return sum
	}
	return of(0).all
}

// refers lists what an element refers to, by itself and by stylesheets.
func (g *graph) refers(n int) []reference {
	e := g.elements[n]
	refers := e.refers
	for _, label := range e.labels {
		refers = append(refers, g.rules[label]...)
	}
	return refers
}
