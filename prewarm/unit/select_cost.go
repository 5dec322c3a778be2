package unit

import (
	"encoding/json"
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"
)

// maxRepeats bounds the counted repetitions in the regular expressions of a query: each may multiply the size of the
// compiled program.
const maxRepeats = 4

// maxChoices bounds the selectors in a query: each visits every value that the previous ones selected.
const maxChoices = 32

// costOf bounds the cost of a query, given in the parser's normal form, and reports whether it has filters and regular
// expressions. Outside filters this package evaluates it, in time linear in the unit. Inside a filter the library does,
// for each candidate, so a query must not fan out again there.
func costOf(query string) (filters, regexps, wide bool, err error) {
	bones, repeats := skeleton(query)
	regexps = regexpCalls(query) > 0
	if roots := strings.Count(bones, "$") - 1; roots > 0 {
		wide = roots > 1 || strings.Contains(bones, "length(") || strings.Contains(bones, "count(") || strings.Contains(bones, "value(")
	}
	switch {
	case strings.Count(bones, "[")+strings.Count(bones, ",") > maxChoices:
		err = errors.New("the selector has too many steps")
	case regexps && repeats > maxRepeats:
		err = errors.New("the selector has too many counted repetitions in its regular expressions")
	default:
		err = checkFilters(bones)
	}
	return strings.Contains(bones, "?"), regexps, wide, err
}

// checkFilters refuses queries that fan out in a filter.
func checkFilters(bones string) error {
	depth, filter := 0, -1 // bracket depth; that of the current filter
	for i := range len(bones) {
		switch bones[i] {
		case '[':
			depth++
		case ']':
			if depth--; depth < filter {
				filter = -1
			}
		}
		if filter >= 0 {
			if err := fansOut(bones[i:], depth > filter); err != nil {
				return err
			}
		}
		if bones[i] == '?' {
			filter = depth
		}
	}
	return nil
}

// fansOut is the error if text in a filter begins with what may select several values. inner: in the filter's brackets.
func fansOut(text string, inner bool) error {
	word, _, _ := strings.Cut(text, " ")
	switch {
	case inner && text[0] == '?':
		return errors.New("a filter in a filter is not supported")
	case strings.HasPrefix(text, ".."):
		return errors.New(`".." in a filter is not supported`)
	case inner && text[0] == ',':
		return errors.New("a list of names in a filter is not supported")
	case text[0] == '$' && strings.ContainsAny(word, "*:"):
		return errors.New(`a wildcard after "$" in a filter is not supported`)
	}
	return nil
}

// regexpCall is a call of match() or search() with a query on the candidate and a literal.
var regexpCall = regexp.MustCompile(`^(match|search)\(\s*(@(?:[^'"(),]|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")*),\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*\)`)

// maxProgram bounds the instructions of a query's regular expressions.
const maxProgram = 2000

// programOf counts the instructions of the regular expressions in a query. It refuses nested counted repetitions, whose
// instructions multiply, and programs with too many instructions.
func programOf(query string) (sum int, err error) {
	for i := range len(query) {
		call := regexpCall.FindStringSubmatch(query[i:])
		if call == nil {
			continue
		}
		tree, err := syntax.Parse(literal(call[3]), syntax.Perl|syntax.DotNL)
		if err != nil {
			continue // it matches nothing
		}
		if nestedRepeats(tree, false) {
			return 0, errors.New("the selector has a counted repetition in another in a regular expression")
		}
		program, err := syntax.Compile(tree.Simplify())
		if err != nil {
			continue
		}
		if sum += len(program.Inst); sum > maxProgram {
			return 0, errors.New("the selector has too large regular expressions")
		}
	}
	return sum, nil
}

// literal decodes a string of a query, in either kind of quotes.
func literal(quoted string) (text string) {
	if quoted[0] == '\'' {
		inner := strings.ReplaceAll(quoted[1:len(quoted)-1], `"`, `\"`)
		quoted = `"` + strings.ReplaceAll(inner, `\'`, `'`) + `"`
	}
	_ = json.Unmarshal([]byte(quoted), &text) // the query is valid
	return text
}

func nestedRepeats(re *syntax.Regexp, within bool) bool {
	counted := re.Op == syntax.OpRepeat
	if counted && within {
		return true
	}
	for _, sub := range re.Sub {
		if nestedRepeats(sub, within || counted) {
			return true
		}
	}
	return false
}

// guardRegexps replaces each match(q, r) by (q && match(q, r)), and search() likewise. The meaning is the same, since
// both are false if q finds nothing; but the library panics in that case. r must be a literal, so that its cost does
// not depend on the unit. A call of another form is left as it is and not counted in guards.
func guardRegexps(query string) (guarded string, guards int) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(query); i++ {
		c := query[i]
		switch {
		case quote != 0 && c == '\\':
			b.WriteByte(c)
			i++ // a valid query does not end here
			c = query[i]
		case c == quote:
			quote = 0
		case quote != 0:
		case c == '"' || c == '\'':
			quote = c
		default:
			if call := regexpCall.FindStringSubmatch(query[i:]); call != nil {
				b.WriteString("(" + call[2] + " && " + call[0] + ")")
				i += len(call[0]) - 1
				guards++
				continue
			}
		}
		b.WriteByte(c)
	}
	return b.String(), guards
}

// regexpCalls counts the calls of match() and search() in a query, given in the parser's normal form.
func regexpCalls(query string) int {
	bones, _ := skeleton(query)
	return strings.Count(bones, "match(") + strings.Count(bones, "search(")
}

// skeleton returns the query without quoted text, and the number of "{" in that text.
func skeleton(query string) (bones string, repeats int) {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(query); i++ {
		c := query[i]
		if quoted && c == '\\' {
			i++
			continue
		}
		if c == '"' {
			quoted = !quoted
		}
		if quoted && c == '{' {
			repeats++
		}
		if !quoted || c == '"' {
			b.WriteByte(c)
		}
	}
	return b.String(), repeats
}

// value builds the values that filters read, and stores one at every node of the tree.
func value(src []byte, n *node) any {
	switch n.kind {
	case '{':
		m := make(map[string]any, len(n.kids))
		for i := range n.kids {
			m[n.kids[i].key] = value(src, &n.kids[i])
		}
		n.value = m
	case '[':
		l := make([]any, len(n.kids))
		for i := range n.kids {
			l[i] = value(src, &n.kids[i])
		}
		n.value = l
	case '"':
		n.value = decodeString(n.text(src))
	case '0':
		_ = json.Unmarshal(n.text(src), &n.value) // a number beyond float64 stays nil
	}
	return n.value
}
