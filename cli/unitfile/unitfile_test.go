package unitfile

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// A file of units may be written in any layout of JSON: one unit on a line, over several lines, or in arrays. An
// invalid unit is reported by its line and does not affect others.
func TestUnitFiles(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string // the start of each unit
	}{
		{"a unit a line", "{\"a\":1}\n\n{\"a\":2}\r\n{\"a\":3}", []string{`1:{"a":1}`, `3:{"a":2}`, `4:{"a":3}`}},
		{"a broken line", "{\"a\":1}\n{bad\n{\"a\":2}\n", []string{`1:{"a":1}`, `2:it is not valid JSON`, `3:{"a":2}`}},
		{"a line that was cut off", "{\"a\":\n{\"a\":2}\n{\"a\":3}\n", []string{`1:it is not valid JSON`, `2:{"a":2}`, `3:{"a":3}`}},
		{"a last line that was cut off", "{\"a\":1}\n{\"a\":", []string{`1:{"a":1}`, `2:it is not valid JSON`}},
		{"an object over lines", "{\n \"a\": [1,\n 2]\n}\n{\n \"a\": 2\n}", []string{`1:{"a":[1,2]}`, `5:{"a":2}`}},
		{"an object behind another", "{\n \"a\": 1\n} {\"a\": 2}\n{\"a\":3}", []string{`1:{"a":1}`, `3:{"a": 2}`, `4:{"a":3}`}},
		{"an array", "[\n {\"a\": 1},\n {\n  \"a\": 2}, 3\n]\n", []string{`2:{"a":1}`, `3:{"a":2}`, `4:a unit is a JSON object`}},
		{"arrays a line", "[{\"a\":1},{\"a\":2}]\n[{\"a\":3}]\n[]\n", []string{`1:{"a":1}`, `1:{"a":2}`, `2:{"a":3}`}},
		{"units behind an array", "[\n{\"a\":1}\n]\n{\"a\":2}\n{x\n", []string{`2:{"a":1}`, `4:{"a":2}`, `5:it is not valid JSON`}},
		{"an array that is cut off", "[\n{\"a\":1},\n{\"a\":2},\n", []string{`2:{"a":1}`, `3:{"a":2}`, `line 3: the array is not valid JSON`}},
		{"a whole call", `{"data_units":[{"a":1}],"variants":["lite"]}`, []string{`1:it is the body of a call`}},
		{"nothing", "\n \n", []string{}},
		{"a text", "a,b\n", []string{`1:it is not valid JSON`}},
	} {
		// One byte at a time: the result must not depend on where a read ends.
		for _, in := range []io.Reader{strings.NewReader(tt.text), oneByte{strings.NewReader(tt.text)}} {
			var got []string
			for r := NewReader(in); ; {
				u, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					got = append(got, err.Error())
					break
				}
				text := string(u.Text)
				if u.Bad != "" {
					text = u.Bad
				}
				got = append(got, fmt.Sprintf("%d:%s", u.Line, text))
			}
			fits := func(got, want string) bool { return strings.HasPrefix(got, want) }
			if !slices.EqualFunc(got, tt.want, fits) {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		}
	}
}

// oneByte reads byte by byte.
type oneByte struct{ from io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.from.Read(p[:min(1, len(p))]) }
