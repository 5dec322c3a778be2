package svg

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// comment and quoted are parts of a stylesheet; escape is a character written as its number or behind a backslash.
var (
	comment = regexp.MustCompile(`(?s)/\*.*?(\*/|$)`)
	opaque  = regexp.MustCompile(`(?s)"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|` + comment.String())
	quoted  = regexp.MustCompile(`(?s)"[^"]*"|'[^']*'`)
	escape  = regexp.MustCompile(`(?s)\\([0-9A-Fa-f]{1,6})[ \t\r\n\f]?|\\(.)`)
)

// unescaped resolves the escapes of CSS: "u\72l(" is "url(".
func unescaped(css string) string {
	return escape.ReplaceAllStringFunc(css, func(e string) string {
		code, err := strconv.ParseInt(strings.TrimSpace(e[1:]), 16, 32)
		if err != nil {
			return e[1:]
		}
		return string(utf8.AppendRune(nil, rune(code)))
	})
}

// urls lists the ids that CSS refers to. CSS that refers outside the document is refused.
func urls(css string) (ids []string, err error) {
	css = unescaped(css)
	lower := strings.Map(func(c rune) rune { // ToLower would change the length of some letters.
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}, css)
	if strings.Contains(lower, "@import") {
		return nil, refused("refers to another document, which is not supported")
	}
	for {
		_, rest, found := strings.Cut(lower, "url(")
		if !found {
			return ids, nil
		}
		css = css[len(css)-len(rest):]
		to, _, _ := strings.Cut(strings.TrimLeft(css, " \t\r\n\"'"), ")")
		to, ok := strings.CutPrefix(to, "#")
		if !ok {
			return nil, refused("refers to another document, which is not supported")
		}
		ids = append(ids, strings.TrimRight(to, " \t\r\n\"'"))
		lower = rest
	}
}

// declarations lists what "property: value; ..." refers to. The children of an element inherit its paints and markers.
func declarations(css string) (refers []reference, err error) {
	for declaration := range strings.SplitSeq(css, ";") {
		property, _, _ := strings.Cut(declaration, ":")
		ids, err := urls(declaration)
		if err != nil {
			return nil, err
		}
		how := applied
		if inherits(property) || strings.Contains(property, `\`) {
			how = inherited
		}
		for _, id := range ids {
			refers = append(refers, reference{id, how})
		}
	}
	return refers, nil
}

// inherits reports whether the children of an element inherit the property, or an unknown one.
func inherits(property string) bool {
	switch strings.ToLower(strings.TrimSpace(comment.ReplaceAllString(property, ""))) {
	case "clip-path", "mask", "filter":
		return false
	}
	return true
}

// everything is the label of all elements.
const everything = "*"

// sheet records what a stylesheet's rules refer to by the label of the elements that they may select: ".class", "#id"
// or the name of an element. Where the rules cannot be told apart reliably, they count for everything.
func (g *graph) sheet(css string) error {
	css = opaque.ReplaceAllStringFunc(css, func(part string) string { // "/*" in quotes begins no comment.
		if part[0] == '/' {
			return " "
		}
		return part
	})
	odd := strings.Contains(css, `\`)
	for _, text := range quoted.FindAllString(css, -1) {
		odd = odd || strings.ContainsAny(text, "{};")
	}
	for part := range strings.SplitSeq(css, "}") {
		before, body, ok := cutLast(part, "{")
		if err := g.block(before, body, odd || !ok); err != nil {
			return err
		}
	}
	return nil
}

// cutLast cuts text around the last of the separators; without one, all of it is after.
func cutLast(text, separators string) (before, after string, found bool) {
	at := strings.LastIndexAny(text, separators)
	return text[:max(at, 0)], text[at+1:], at >= 0
}

// block records the rule of one block of declarations, and what stands before it. odd means that its selectors cannot
// be told.
func (g *graph) block(before, body string, odd bool) error {
	_, selectors, _ := cutLast(before, "{;")
	if odd || strings.ContainsAny(selectors, `("'`) {
		selectors = everything
	}
	for _, x := range []struct{ css, selectors string }{{body, selectors}, {before, everything}} {
		refers, err := declarations(x.css)
		if err != nil {
			return err
		}
		for selector := range strings.SplitSeq(x.selectors, ",") {
			if err := g.rule(labelOf(selector), refers...); err != nil {
				return err
			}
		}
	}
	return nil
}

// simple is the first simple selector of a compound one.
var simple = regexp.MustCompile(`^[.#]?[\pL\pN_-]+`)

// labelOf is the label of the elements that a selector may select: the first part of its last compound.
func labelOf(selector string) string {
	compounds := strings.FieldsFunc(selector, func(c rune) bool { return strings.ContainsRune(" \t\r\n\f>+~", c) })
	if len(compounds) == 0 {
		return everything
	}
	if label := simple.FindString(compounds[len(compounds)-1]); label != "" {
		return label
	}
	return everything
}
