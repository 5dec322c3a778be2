package fault

import (
	"fmt"
	"strings"
)

// Unknown is the public sentence about an unknown name; what is for example "a field of the query".
func Unknown(what, name string, known []string) string {
	if len(name) > 64 {
		name = name[:64]
	}
	if meant := Meant(name, known); meant != "" {
		return fmt.Sprintf("%q is no %s; did you mean %q?", name, what, meant)
	}
	if len(known) == 0 {
		return fmt.Sprintf("%q is no %s; there is none here", name, what)
	}
	return fmt.Sprintf("%q is no %s; those are %s", name, what, strings.Join(known, ", "))
}

// Nearest is the known name that a wrong one most likely means: the fewest edits of the part after the last dot, then
// of the whole, so that it finds both a typing error and a right key in the wrong section. A name that only lacks its
// last words (secret for secret_file) counts as one edit. "" = no name is known.
func Nearest(wrong string, known []string) string {
	best, bestCost := "", 0
	for _, k := range known {
		edits := distance(lastPart(wrong), lastPart(k))
		if strings.HasPrefix(lastPart(k), lastPart(wrong)+"_") {
			edits = 1
		}
		cost := 4*edits + distance(wrong, k)
		if best == "" || cost < bestCost {
			best, bestCost = k, cost
		}
	}
	return best
}

// Meant is Nearest if the names differ in few letters; else "".
func Meant(wrong string, known []string) string {
	if best := Nearest(wrong, known); best != "" && distance(wrong, best) <= min(max(2, len(best)/3), len(best)-1) {
		return best
	}
	return ""
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// distance is the number of single-letter edits between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			edits := diagonal
			if a[i] != b[j] {
				edits = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], edits
		}
	}
	return row[len(b)]
}
