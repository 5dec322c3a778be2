package unit

import "bytes"

// Skimming finds where the elements of an array or the members of an object begin and end, by quotes and brackets
// alone. So an element of invalid JSON affects neither its neighbours nor the call, and the depth is known before
// anything recurses.

// span is text[start:end] of the current text; depth is its deepest nesting.
type span struct{ start, end, depth int }

func (s span) of(text []byte) []byte { return text[s.start:s.end] }

// member is a name and a value of an object; the name is as written in the text.
type member struct{ key, value span }

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func skipBlank(text []byte, at int) int {
	for at < len(text) && blank(text[at]) {
		at++
	}
	return at
}

// endOfString returns the end of the string that begins at at, or the text's length + 1 if it is not terminated.
func endOfString(text []byte, at int) int {
	for at++; ; at++ {
		i := bytes.IndexByte(text[at:], '"')
		if i < 0 {
			return len(text) + 1
		}
		at += i
		slashes := 0
		for text[at-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return at + 1
		}
	}
}

// endOfScalar returns the end of a number or word. It is validated later.
func endOfScalar(text []byte, at int) int {
	for at < len(text) && !blank(text[at]) && text[at] != ',' && text[at] != ']' && text[at] != '}' {
		at++
	}
	return at
}

// skim finds the end of the value at at. It fails if the text ends first.
func skim(text []byte, at int) (span, bool) {
	s := span{start: at}
	depth := 0
	for at < len(text) {
		switch text[at] {
		case '"':
			if at = endOfString(text, at); at > len(text) {
				return s, false
			}
		case '{', '[':
			depth++
			s.depth = max(s.depth, depth)
			at++
		case '}', ']':
			depth--
			at++
		default:
			if depth == 0 {
				at = max(endOfScalar(text, at), at+1)
			} else {
				at++
			}
		}
		if depth <= 0 {
			s.end = at
			return s, true
		}
	}
	return s, false
}

// elements skims the array at the start of text and calls yield for each element until that returns false. It returns
// where the array ends, or -1 if its commas and brackets do not match; the elements before the error were yielded.
func elements(text []byte, yield func(span) bool) int {
	at := skipBlank(text, 1)
	if at < len(text) && text[at] == ']' {
		return at + 1
	}
	for {
		if at >= len(text) {
			return -1
		}
		s, ok := skim(text, at)
		if !ok {
			return -1
		}
		if !yield(s) {
			return s.end
		}
		at = skipBlank(text, s.end)
		if at >= len(text) || text[at] != ',' && text[at] != ']' {
			return -1
		}
		if text[at] == ']' {
			return at + 1
		}
		at = skipBlank(text, at+1)
	}
}

// members skims the object at the start of text, and returns where it ends, or -1 if it is malformed.
func members(text []byte) ([]member, int) {
	var found []member
	at := skipBlank(text, 1)
	if at < len(text) && text[at] == '}' {
		return nil, at + 1
	}
	for at < len(text) && text[at] == '"' {
		m := member{key: span{start: at, end: endOfString(text, at)}}
		if at = skipBlank(text, m.key.end); at >= len(text) || text[at] != ':' {
			return nil, -1
		}
		ok := false
		if m.value, ok = skim(text, skipBlank(text, at+1)); !ok {
			return nil, -1
		}
		found = append(found, m)
		if at = skipBlank(text, m.value.end); at >= len(text) {
			return nil, -1
		}
		switch text[at] {
		case '}':
			return found, at + 1
		case ',':
			at = skipBlank(text, at+1)
		default:
			return nil, -1
		}
	}
	return nil, -1
}
