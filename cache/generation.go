package cache

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
)

// Generation identifies a purge, and the state of an instance by the last purge that it has applied. The zero
// Generation is older than any purge; entries written by versions without generations have it.
type Generation struct {
	Epoch int64  // start of the order that Seq counts in, in Unix milliseconds
	Seq   uint64 // position in that order
}

// GenerationAttr is the entry attribute that holds the Generation in which work on the entry began.
const GenerationAttr = "gen"

// ErrPurged says that an entry was not kept because its key was purged after work on it began. Test with errors.Is.
var ErrPurged = errors.New("cache: purged while it was being made")

// Before reports whether g is older than h.
func (g Generation) Before(h Generation) bool {
	return cmp.Or(cmp.Compare(g.Epoch, h.Epoch), cmp.Compare(g.Seq, h.Seq)) < 0
}

// String is the text that an entry keeps; "" for the zero Generation.
func (g Generation) String() string {
	if g == (Generation{}) {
		return ""
	}
	return strconv.FormatInt(g.Epoch, 36) + "." + strconv.FormatUint(g.Seq, 36)
}

// ParseGeneration parses what String wrote. Anything else gives the zero Generation: at worst the entry is made again
// after a purge.
func ParseGeneration(s string) Generation {
	epoch, seq, _ := strings.Cut(s, ".")
	e, err1 := strconv.ParseInt(epoch, 36, 64)
	n, err2 := strconv.ParseUint(seq, 36, 64)
	if err1 != nil || err2 != nil {
		return Generation{}
	}
	return Generation{e, n}
}

// Generation is the one in which work on the entry began.
func (m Meta) Generation() Generation { return ParseGeneration(m.Attrs[GenerationAttr]) }
