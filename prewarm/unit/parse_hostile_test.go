package unit

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

// An endless body is read only up to the limit, whatever its type.
func TestHostileBodiesAreNotReadToTheirEnd(t *testing.T) {
	const block = 32 << 10
	tests := []struct {
		name, contentType string
		body              *endless
	}{
		{"a string of 1 GB", "", &endless{head: `{"a":"`, text: strings.Repeat("a", block)}},
		{"brackets", "", &endless{text: strings.Repeat("[", block)}},
		{"blanks", "", &endless{text: strings.Repeat(" ", block)}},
		{"empty lines", lines, &endless{text: strings.Repeat("\n", block)}},
		{"units", "", &endless{head: "[", text: strings.Repeat("{},", block)}},
		{"zeros", "", &endless{text: strings.Repeat("\x00", block)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseCall(tt.body, tt.contentType, "", nil, Rules{})
			if fault.KindOf(err) != fault.BodyTooLarge {
				t.Errorf("error %v", err)
			}
			if most := int(DefaultLimits().Body) + 128<<10; tt.body.at > most {
				t.Errorf("%d bytes were read, more than %d", tt.body.at, most)
			}
		})
	}
}

// repeat joins n texts with commas.
func repeat(n int, each func(i int) string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(each(i))
	}
	return b.String()
}

func same(s string) func(int) string { return func(int) string { return s } }

// Bodies within the limit that are built to cost as much as possible need bounded memory. The total allocated, not only
// the peak, stays within some tens of times the body.
func TestHostileBodiesCostBoundedMemory(t *testing.T) {
	urls := repeat(1000, func(i int) string { return fmt.Sprintf(`"http://h/%d.jpg"`, i) })
	key := strings.Repeat("k", 1<<20)
	tests := []struct {
		name, body, contentType string
		kind                    fault.Kind // of the call
		unit                    string     // part of the first unit's error
		images                  int        // of the first unit
	}{
		{"many URLs", `{"a":[` + repeat(10_000, func(i int) string { return fmt.Sprintf(`"http://h/%d.jpg"`, i) }) + `]}`, lines, "", "", 10_000},
		{"more values than may be", `{"id":"u","a":[` + repeat(400_000, same(`""`)) + "]}\n{}", lines, "", "250000 values", 0},
		{"200,000 URLs in units", "[" + repeat(200, same("["+`{"a":[`+urls+"]}"+"]")) + "]", "", fault.BadUnit, "", 0},
		{"200,000 URLs", "[" + repeat(200, same(`{"a":[`+urls+`]}`)) + "]", "", fault.BodyTooLarge, "", 0},
		{"one URL a hundred thousand times", `{"a":[` + repeat(100_000, same(`"http://h/a.jpg"`)) + `]}`, lines, "", "", 1},
		{"one key a hundred thousand times", `{` + repeat(100_000, same(`"image":"http://h/a.jpg"`)) + `}`, lines, "", "", 1},
		{"long pointers", `{"` + key + `":[` + urls + `]}` + "\n{}", lines, "", "the pointer to an image", 0},
		{"two million levels", strings.Repeat("[", 2_000_000), "", fault.BadUnit, "", 0},
		{"as many objects", "[" + strings.Repeat(`{"":`, 1_000_000) + "]", "", fault.BadUnit, "", 0},
		{"levels in a string", `{"a":"` + strings.Repeat("[", 2_000_000) + strings.Repeat("]", 2_000_000) + `"}`, lines, "", "", 0},
		{"backslashes", `{"a":"` + strings.Repeat(`\\`, 2_000_000) + `"}`, lines, "", "", 0},
		{"quotes", `{"a":"` + strings.Repeat(`\"`, 2_000_000) + `"}`, lines, "", "", 0},
		{"values in a string", `{"a":"[` + repeat(400_000, same("0")) + `]"}` + "\n{}", lines, "", "too many values", 0},
		{"an open string on every line", strings.Repeat("\"\n", 5000) + "{}", lines, fault.BodyTooLarge, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			call, err := parseCall(strings.NewReader(tt.body), tt.contentType, "", nil, Rules{})
			runtime.ReadMemStats(&after)
			if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 256 {
				t.Errorf("%d MiB were allocated for a body of %d MiB", took, len(tt.body)>>20)
			}
			if fault.KindOf(err) != tt.kind {
				t.Fatalf("error %v, want %q", err, tt.kind)
			}
			if err != nil {
				return
			}
			u := call.Units[0]
			if (u.Err == nil) != (tt.unit == "") || u.Err != nil && !strings.Contains(u.Err.Detail, tt.unit) || len(u.Images) != tt.images {
				t.Errorf("%d images, error %+v; want %d, %q", len(u.Images), u.Err, tt.images, tt.unit)
			}
			to, err := replaced(u, map[string]string{"http://h/a.jpg": "https://i/1"})
			if err != nil || tt.images == 1 && (bytes.Contains(to, []byte("http://h/a.jpg")) != strings.Contains(tt.name, "key")) {
				t.Errorf("rewritten: %v", err)
			}
		})
	}
}

// The values that filters visit are bounded as well.
func TestHostileSelectors(t *testing.T) {
	unit := `{"a":[` + repeat(30_000, same(`{"b":{"c":0}}`)) + `]}`
	for _, selector := range []string{"$..*..*..*..*..*..*", "$" + strings.Repeat("[*,*]", 10), "$..[?@.b == $.a]", "$..[?@.*.*.*]..x", "$..[?@.b]..[?@.c]..[?@.d]"} {
		t.Run(selector, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := parseCall(strings.NewReader("["+unit+",{}]"), "", "", nil, Rules{Select: []string{selector}})
			runtime.ReadMemStats(&after)
			if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 512 {
				t.Errorf("%d MiB were allocated", took)
			}
			if kind := fault.KindOf(err); err != nil && kind != fault.BodyTooLarge {
				t.Errorf("error %v", err)
			}
		})
	}
}
