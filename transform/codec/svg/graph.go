package svg

// graph records which elements draw which: each element draws its children and the elements that it refers to.
type graph struct {
	children [][]int    // by element
	refers   [][]string // by element
	ids      map[string]int
	path     []int // the open elements
}

// add adds an element inside the open one, opens it, and returns the number of elements.
func (g *graph) add() int {
	n := len(g.children)
	g.children, g.refers = append(g.children, nil), append(g.refers, nil)
	if len(g.path) > 0 {
		parent := g.path[len(g.path)-1]
		g.children[parent] = append(g.children[parent], n)
	}
	g.path = append(g.path, n)
	return n + 1
}

// up closes the open element.
func (g *graph) up() { g.path = g.path[:len(g.path)-1] }

// name sets the id of the open element; the first element with an id keeps it.
func (g *graph) name(id string) {
	if _, taken := g.ids[id]; !taken {
		g.ids[id] = g.path[len(g.path)-1]
	}
}

// refer records that the open element draws the one with that id.
func (g *graph) refer(id string) {
	at := g.path[len(g.path)-1]
	g.refers[at] = append(g.refers[at], id)
}

// drawn counts the elements that drawing the first one draws, up to about most. An element that refers back to itself
// is not drawn again.
func (g *graph) drawn(most int) int {
	const open = -1
	costs := make([]int, len(g.children)) // 0 = unknown
	var cost func(n int) int
	cost = func(n int) int {
		if costs[n] != 0 {
			return max(costs[n], 0)
		}
		costs[n] = open
		sum := 1
		for _, child := range g.children[n] {
			sum = min(sum+cost(child), most+1)
		}
		for _, id := range g.refers[n] {
			if to, ok := g.ids[id]; ok {
				sum = min(sum+cost(to), most+1)
			}
		}
		costs[n] = sum
		return sum
	}
	return cost(0)
}
