package unit

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/goldcrest/goldcrest/fault"
)

// parseCall reads and parses a call, as the server does.
func parseCall(body io.Reader, contentType, encoding string, query url.Values, rules Rules) (Call, error) {
	text, err := ReadBody(body, encoding, rules.Limits.orDefault().Body, nil)
	if err != nil {
		return Call{}, err
	}
	return ParseText(context.Background(), text, contentType, query, rules)
}

const image = `"https://c.example/a.jpg"`

// The shape of a body decides what it is: an envelope, a bare unit, or several.
func TestEnvelopeOrUnit(t *testing.T) {
	tests := []struct {
		name, body, contentType string
		want                    []string // one per unit: its data, or "!" and part of its error
	}{
		{"a bare unit", `{"id":"u"}`, "application/json", []string{`{"id":"u"}`}},
		{"no type", `{"id":"u"}`, "", []string{`{"id":"u"}`}},
		{"a bare unit with fields of our names", `{"variants":[],"data":{"a":1},"select":"x","urls":"no list","data_units":{}}`, "", []string{`{"variants":[],"data":{"a":1},"select":"x","urls":"no list","data_units":{}}`}},
		{"what is wrapped only inside data_units", `{"id":"u","data":{"a":1}}`, "", []string{`{"id":"u","data":{"a":1}}`}},
		{"nor in an array", `[{"id":"u","data":{"a":1}}]`, "", []string{`{"id":"u","data":{"a":1}}`}},
		{"nor on a line", `{"data_units":[{"a":1}]}`, lines, []string{`{"data_units":[{"a":1}]}`}},
		{"an array", " [ {\"a\":1} ,\n{} ] ", "application/json; charset=utf-8", []string{`{"a":1}`, `{}`}},
		{"an empty array", `[]`, "", nil},
		{"an envelope", `{"data_units":[{"a":1},{"id":"u","data":{"b":2},"select":[],"variants":["lite"]}]}`, "", []string{`{"a":1}`, `{"b":2}`}},
		{"an envelope of none", `{"data_units":[]}`, "", nil},
		{"a unit with data and another key", `{"data_units":[{"id":"u","data":{"b":2},"title":"x"}]}`, "", []string{`{"id":"u","data":{"b":2},"title":"x"}`}},
		{"a unit with data that is no object", `{"data_units":[{"id":"u","data":[1]}]}`, "", []string{`{"id":"u","data":[1]}`}},
		{"a unit with a select but no data", `{"data_units":[{"id":"u","select":"$.a"}]}`, "", []string{`{"id":"u","select":"$.a"}`}},
		{"a name twice: the last one", `{"data_units":[{}],"data_units":[{"a":1}]}`, "", []string{`{"a":1}`}},
		{"an escaped name", `{"data\u005funits":[{"a":1}]}`, "", []string{`{"a":1}`}},
		{"plain URLs", `{"urls":[` + image + `,null,7,"no url"]}`, "", []string{image, "null", "!a list of strings", `"no url"`}},
		{"units and URLs", `{"urls":[` + image + `],"data_units":[{}]}`, "", []string{"{}", image}},
		{"a unit that is none among others", `[{"a":1},{"x":NaN},"s",null,[1],{"b":2}]`, "", []string{`{"a":1}`, "!invalid character 'N'", "!a JSON object", "!a JSON object", "!a JSON object", `{"b":2}`}},
		{"an array cut off", `[{"a":1},{"b":`, "", []string{`{"a":1}`, "!cut off"}},
		{"an array with a comma too many", `[{"a":1},]`, "", []string{`{"a":1}`, "!not valid JSON", "!cut off"}},
		{"an array that goes on", `[{"a":1}] {"b":2}`, "", []string{`{"a":1}`, "!more follows"}},
		{"brackets of the wrong kind", `[{"a":[}},{"b":2}]`, "", []string{"!not valid JSON", `{"b":2}`}},
		{"lines", "{\"a\":1}\r\n\n \n{\"b\":2} x\n{\"c\":3}", lines, []string{`{"a":1}`, "!after top-level value", `{"c":3}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			call, err := parse(t, tt.body, tt.contentType, "")
			if err != nil {
				t.Fatal(err)
			}
			if len(call.Units) != len(tt.want) {
				t.Fatalf("units %+v", call.Units)
			}
			for i, want := range tt.want {
				u := call.Units[i]
				if u.Index != i || (u.Line > 0) != (tt.contentType == lines) || u.ID == "" && u.Data != nil {
					t.Errorf("unit %d: index %d, line %d, id %q", i, u.Index, u.Line, u.ID)
				}
				if detail, bad := strings.CutPrefix(want, "!"); bad {
					if u.Err == nil || u.Err.Code != fault.BadUnit || !strings.Contains(u.Err.Detail, detail) {
						t.Errorf("unit %d: error %+v, want %q", i, u.Err, detail)
					}
				} else if u.Err != nil || string(u.Data) != want {
					t.Errorf("unit %d: %s %+v, want %s", i, u.Data, u.Err, want)
				}
			}
		})
	}
}

// A whole call is refused only if nothing could be parsed, if it exceeds a limit, or for its own fields.
func TestCallsRefusedWhole(t *testing.T) {
	tests := []struct {
		name, body, contentType, query string
		kind                           fault.Kind
		public                         string
	}{
		{"empty", " \n", "", "", fault.BadUnit, "empty"},
		{"empty lines", " \n", lines, "", fault.BadUnit, "empty"},
		{"a string", image, "", "", fault.BadUnit, "neither a JSON object nor an array"},
		{"cut off", `{"data_units":[{}]`, "", "", fault.BadUnit, "not valid JSON"},
		{"a byte order mark", "\xef\xbb\xbf{}", "", "", fault.BadUnit, "byte order mark"},
		{"two units", "{}\n{}", "", "", fault.BadUnit, "application/x-ndjson"},
		{"the only unit", `{"x":NaN}`, "", "", fault.BadUnit, "could not be read"},
		{"invalid UTF-8", "{\"x\":\"\xff\"}", "", "", fault.BadUnit, "UTF-8"},
		{"no unit of several", "null\n1", lines, "", fault.BadUnit, "line 1"},
		{"no unit of an array", "[null,1]", "", "", fault.BadUnit, "index 0"},
		{"too deep", strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000), "", "", fault.BadUnit, "deeper than 100"},
		{"too many units", "[" + strings.Repeat("{},", 5000) + "{}]", "", "", fault.BodyTooLarge, "5000 units"},
		{"too many values", `{"a":[` + strings.Repeat("0,", 250_000) + "0]}", "", "", fault.BadUnit, "250000 values"},
		{"a bad selector", `{"data_units":[{}],"select":["$.["]}`, "", "", fault.BadSelector, "select: "},
		{"a bad selector of the query", `{}`, "", "select=a", fault.BadSelector, `begins with "$"`},
		{"a bad priority", `{"data_units":[{}],"priority":"urgent"}`, "", "", fault.BadOption, "priority: none of low, normal, high"},
		{"a bad return", `{}`, "", "return=all", fault.BadOption, "return: "},
		{"a bad deadline", `{"data_units":[],"deadline":"tomorrow"}`, "", "", fault.BadOption, "deadline: "},
		{"a bad ttl", `{"data_units":[],"ttl":"-1h"}`, "", "", fault.BadOption, "ttl: "},
		{"a bad round", `{"data_units":[],"round":7}`, "", "", fault.BadOption, "round: "},
		{"bad tags", `{"data_units":[],"tags":["a\nb"]}`, "", "", fault.BadOption, "tags: "},
		{"bad variants", `{"data_units":[],"variants":[1]}`, "", "", fault.BadOption, "variants: "},
		{"a bad budget", `{"data_units":[],"budget":0}`, "", "", fault.BadOption, "budget: no number of bytes"},
		{"a budget that is no number", `{}`, "", "budget=200KB", fault.BadOption, "budget: "},
		{"a bad callback", `{"data_units":[],"callback":{"url":"https://b.example/","events":["all"]}}`, "", "", fault.BadOption, "callback: "},
		{"an unknown field", `{"data_units":[{}],"varaints":["lite"]}`, "", "", fault.BadOption, `"varaints" is no field of a call (an object with data_units or urls as an array is one); did you mean "variants"?`},
		{"a field of nobody", `{"urls":[],"headline_text":"x"}`, "", "", fault.BadOption, "those are data_units, urls, variants"},
		{"an unknown field of the query", `{}`, "", "tags=a", fault.BadOption, `"tags" is no field of the query; did you mean "tag"?`},
		{"an unknown field of a variant", `{"data_units":[],"variants":[{"name":"a","option":"w:9"}]}`, "", "", fault.BadOption, "name and options and nothing else"},
		{"an unknown field of a callback", `{"data_units":[],"callback":{"url":"https://b.example/","event":["job.done"]}}`, "", "", fault.BadOption, "and nothing else"},
		{"a field that is no JSON", `{"data_units":[{}],"priority":NaN}`, "", "", fault.BadOption, "priority: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(t, tt.body, tt.contentType, tt.query)
			if f := fault.Of(err); err == nil || f.Kind != tt.kind || !strings.Contains(f.Public, tt.public) {
				t.Errorf("error %v, want %s: %s", err, tt.kind, tt.public)
			}
		})
	}
}

func TestCallFields(t *testing.T) {
	full := Call{
		Variants: []VariantAsk{{Name: "lite"}, {Name: "std", Options: "rs:fit:720:0/f:webp"}, {Name: "w:9", Options: "w:9"}},
		Select:   []string{"$.images[*].url", "/cover"}, Priority: "low", Deadline: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		TTL: 168 * time.Hour, Round: 24 * time.Hour, Tags: []string{"campaign-7"}, Return: "enriched", Budget: 200_000,
		Callback: &Callback{URL: "https://b.example/hooks", Events: []string{"job.done", "image.broken"}},
	}
	short := Call{Variants: []VariantAsk{{Name: "lite"}, {Name: "std"}, {Name: "third"}}, Select: []string{"$.a[0,1]", "/b"}, Priority: "high", Return: "none", Tags: []string{"a", "b"}, Budget: 9000}
	both := short
	both.Priority, both.Tags = "low", []string{"c"}
	const query = "variants=lite,std&variants=third&select=$.a[0,1]&select=/b&return=none&priority=high&budget=9000&tag=a&tag=b"
	tests := []struct {
		name, body, query string
		want              Call
	}{
		{"none", `{}`, "", Call{}},
		{"empty ones", `{"data_units":[],"select":null,"tags":null,"priority":null}`, "select=&variants=&priority=", Call{}},
		{"all of an envelope", `{"variants":["lite",{"name":"std","options":"rs:fit:720:0/f:webp"},"w:9"],"select":["$.images[*].url","/cover"],"priority":"low",
			"deadline":"2026-11-23T12:00:00Z","ttl":"168h","round":"24h","tags":["campaign-7"],"return":"enriched","budget":200000,
			"callback":{"url":"https://b.example/hooks","events":["job.done","image.broken"]},"data_units":[]}`, "", full},
		{"the query of a bare body", `{"priority":"low","tags":["c"]}`, query, short},
		{"an envelope goes before the query", `{"urls":[],"priority":"low","tags":["c"]}`, query, both},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			call, err := parse(t, tt.body, "", tt.query)
			if err != nil {
				t.Fatal(err)
			}
			call.Units = nil
			if !reflect.DeepEqual(call, tt.want) {
				t.Errorf("got  %+v\nwant %+v", call, tt.want)
			}
		})
	}
}

func TestUnitIDs(t *testing.T) {
	long := strings.Repeat("x", 257)
	tests := []struct{ name, body, pointer, want string }{
		{"id", `[{"uuid":"c","unit_id":"b","id":"a"}]`, "", "a"},
		{"unit_id", `[{"uuid":"c","unit_id":"b","id":null}]`, "", "b"},
		{"uuid", `[{"uuid":"c","unit_id":"","id":{"a":1}}]`, "", "c"},
		{"a number as it stands", `[{"id":12345678901234567890}]`, "", "12345678901234567890"},
		{"a negative one", `[{"id":-1}]`, "", "-1"},
		{"the wrapping", `{"data_units":[{"id":"w","data":{"id":"d"}}]}`, "", "w"},
		{"a wrapping without", `{"data_units":[{"data":{"id":"d"}}]}`, "", "d"},
		{"the configured pointer", `[{"id":"a","meta":[{"key":"p"}]}]`, "/meta/0/key", "p"},
		{"a configured pointer to nothing", `[{"id":"a"}]`, "/meta/0/key", "a"},
		{"twice", `[{"id":"a","id":"b"}]`, "", "b"},
		{"true", `[{"id":true}]`, "", "sha256-9f391e5c3a1fb729a36c8b9d"},
		{"unreadable", `[{},{"id":nope}]`, "", "sha256-44136fa355b3678a1146ad16"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			call, err := parseCall(strings.NewReader(tt.body), "", "", nil, Rules{IDPointer: tt.pointer})
			if err != nil {
				t.Fatal(err)
			}
			if got := call.Units[0].ID; got != tt.want {
				t.Errorf("id %q, want %q", got, tt.want)
			}
		})
	}
	call, err := parse(t, `[{"id":"`+long+`"},{}]`, "", "")
	if u := call.Units[0]; err != nil || u.Err == nil || u.Err.Pointer != "/id" || len(u.ID) > 40 {
		t.Errorf("a long id: %+v, %v", call.Units, err)
	}
}

func TestCompressedBodies(t *testing.T) {
	packed := func(encoding, text string) string {
		var b bytes.Buffer
		var w io.WriteCloser = gzip.NewWriter(&b)
		if encoding == "zstd" {
			w, _ = zstd.NewWriter(&b)
		}
		_, _ = io.WriteString(w, text)
		_ = w.Close()
		return b.String()
	}
	bomb := `{"a":"` + strings.Repeat("a", 2<<20) + `"}`
	broken := errors.New("reset by peer")
	tests := []struct {
		name, encoding string
		body           io.Reader
		kind           fault.Kind
	}{
		{"gzip", "gzip", strings.NewReader(packed("gzip", "{}")), ""},
		{"two gzip members", "GZIP", strings.NewReader(packed("gzip", "{") + packed("gzip", "}")), ""},
		{"zstd", "zstd", strings.NewReader(packed("zstd", "{}")), ""},
		{"identity", "identity", strings.NewReader("{}"), ""},
		{"another", "br", strings.NewReader("{}"), fault.BadUnit},
		{"no gzip", "gzip", strings.NewReader("{}"), fault.BadUnit},
		{"no zstd", "zstd", strings.NewReader("{}{}{}"), fault.BadUnit},
		{"gzip cut off", "gzip", strings.NewReader(packed("gzip", "{}")[:20]), fault.BadUnit},
		{"zstd cut off", "zstd", strings.NewReader(packed("zstd", bomb)[:20]), fault.BadUnit},
		{"a gzip bomb", "gzip", strings.NewReader(packed("gzip", bomb)), fault.BodyTooLarge},
		{"a zstd bomb", "zstd", strings.NewReader(packed("zstd", bomb)), fault.BodyTooLarge},
		{"empty gzip members for ever", "gzip", &endless{text: strings.Repeat(packed("gzip", ""), 1000)}, fault.BodyTooLarge},
		{"a caller that leaves", "", io.MultiReader(strings.NewReader("{}"), failing{broken}), fault.Canceled},
		{"a caller that leaves in gzip", "gzip", io.MultiReader(strings.NewReader(packed("gzip", "{}")[:20]), failing{broken}), fault.Canceled},
		{"a caller that leaves before gzip", "gzip", failing{broken}, fault.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			call, err := parseCall(tt.body, "", tt.encoding, nil, Rules{Limits: Limits{Body: 1 << 20}})
			if fault.KindOf(err) != tt.kind || tt.kind == "" && len(call.Units) != 1 {
				t.Errorf("%d units, error %v; want %q", len(call.Units), err, tt.kind)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// endless repeats a text, and counts the bytes read.
type endless struct {
	head, text string
	at         int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		from := e.head
		if e.at < len(e.head) {
			from = from[e.at:]
		} else {
			from = e.text[(e.at-len(e.head))%len(e.text):]
		}
		took := copy(p[n:], from)
		n, e.at = n+took, e.at+took
	}
	return n, nil
}

// A unit without images has a note that says why.
func TestUnitNotes(t *testing.T) {
	for _, tt := range []struct{ body, query, code string }{
		{`{"photo":"https://c.example/a.jpg"}`, "", ""},
		{`{"title":"x"}`, "", "no_images"},
		{`{"photo":"https://c.example/a.jpg"}`, "select=/pictures", "nothing_selected"},
		{`{"photo":null}`, "select=/photo", "nothing_selected"},
	} {
		call, err := parse(t, tt.body, "", tt.query)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if n := call.Units[0].Note(); n != nil {
			got = n.Code
		}
		if got != tt.code {
			t.Errorf("%s?%s: %q, want %q", tt.body, tt.query, got, tt.code)
		}
	}
}
