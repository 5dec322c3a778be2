package fault

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Plain is a text from outside as a terminal may show it on one line: characters that control the terminal, or reorder
// the text around them, are written as escapes.
func Plain(text string) string {
	odd := func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) }
	if utf8.ValidString(text) && !strings.ContainsFunc(text, odd) {
		return text
	}
	var b strings.Builder
	for _, r := range text { // a byte that is not UTF-8 becomes U+FFFD
		if odd(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
