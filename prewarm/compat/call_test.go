package compat

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/goldcrest/goldcrest/fault"
)

func TestParseCompat(t *testing.T) {
	call, err := Parse(strings.NewReader(`{"key_urls_map": {"b/2.jpg": "https://c.example/2", "a/ü.jpg": "", "a\/1": "no url"}, "quality": 90, "bucket_name": "b"}`), 1<<20, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := []Image{{"b/2.jpg", "https://c.example/2"}, {"a/ü.jpg", ""}, {"a/1", "no url"}}
	if call.Bucket != "b" || call.Quality != 90 || !slices.Equal(call.Images, want) {
		t.Errorf("got %+v", call)
	}
	call, err = Parse(strings.NewReader(` {"bucket_name":"b","key_urls_map":{}} `+"\n"), 1<<20, 0)
	if err != nil || call.Quality != 90 || len(call.Images) != 0 {
		t.Errorf("without pictures: %+v, %v", call, err)
	}
}

func TestParseCompatRefuses(t *testing.T) {
	const rest = `"bucket_name": "b"}`
	for _, body := range []string{
		"", "null", "[]", `"x"`, "1", "{", "{}", "\ufeff{" + rest,
		`{` + rest, `{"key_urls_map": {}}`, `{"key_urls_map": {}, "bucket_name": ""}`,
		`{"key_urls_map": {}, ` + rest + `{}`, `{"key_urls_map": {}, ` + rest + ` x`,
		`{"key_urls_map": {}, "extra": 1, ` + rest, `{"Key_urls_map": {}, ` + rest,
		`{"key_urls_map": {}, "bucket_name": "a", ` + rest, `{"key_urls_map": {"a": "x"}, "key_urls_map": {}, ` + rest,
		`{"key_urls_map": {"a": "x", "\u0061": "y"}, ` + rest,
		`{"key_urls_map": {"a": 1}, ` + rest,
		`{"key_urls_map": {"a": null}, ` + rest, `{"key_urls_map": {"a": {}}, ` + rest,
		`{"key_urls_map": {"a": ["x"]}, ` + rest, `{"key_urls_map": [], ` + rest, `{"key_urls_map": null, ` + rest,
		`{"key_urls_map": {}, "bucket_name": 1}`, `{"key_urls_map": {}, "bucket_name": null}`,
		"{\"key_urls_map\": {\"a\xff\": \"x\"}, " + rest, `{"key_urls_map": {"a" "x"}, ` + rest,
		`{"key_urls_map":` + strings.Repeat(`{"a":`, 10_000),
	} {
		_, err := Parse(strings.NewReader(body), 1<<20, 3)
		wantFault(t, fmt.Sprintf("%.60q", body), err, fault.BadUnit)
	}
	for _, q := range []string{"0", "101", "-1", "1.5", "9e1", `"90"`, "null", "true", "{}", "99999999999999999999", "NaN", "090"} {
		_, err := Parse(strings.NewReader(`{"key_urls_map": {}, "quality": `+q+`, `+rest), 1<<20, 3)
		wantFault(t, "quality "+q, err, fault.BadUnit)
	}
	_, err := Parse(strings.NewReader(`{"key_urls_map": {"a": "1", "b": "2", "c": "3", "d": "4"}, `+rest), 1<<20, 3)
	wantFault(t, "many keys", err, fault.BodyTooLarge)
	_, err = Parse(strings.NewReader(`{"key_urls_map": {}, `+rest+strings.Repeat(" ", 100)), 100, 3)
	wantFault(t, "a long body", err, fault.BodyTooLarge)
	endless := &endlessReader{}
	_, err = Parse(endless, 1<<20, 3)
	wantFault(t, "an endless body", err, fault.BodyTooLarge)
	if endless.read > 1<<21 {
		t.Errorf("%d bytes were read", endless.read)
	}
	_, err = Parse(&endlessReader{err: errors.New("hung up")}, 1<<20, 3)
	wantFault(t, "a body that breaks off", err, fault.BadUnit)
}

type endlessReader struct {
	read int
	err  error
}

func (r *endlessReader) Read(p []byte) (int, error) { r.read += len(p); return len(p), r.err }

func TestCompatKeys(t *testing.T) {
	cfg := Config{Buckets: []Bucket{{Name: "old", Prefix: "2017/shop"}, {Name: "old", Prefix: "/extra/"}, {Name: "all"}}}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("k", maxKey)
	tests := []struct {
		bucket, key string
		ok          bool
	}{
		{"old", "2017/shop/a.jpg", true}, {"old", "2017/shop/a/b c+d?e#f%2e.jpg", true}, {"old", "extra/a", true}, {"old", "2017/shop/日本.jpg", true},
		{"old", "2017/shop/...", true}, {"old", "2017/shop/a..b", true}, {"old", "2017/shop//a", true},
		{"old", "2017/shop/", false}, {"old", "2017/shop", false}, {"old", "2017/shopping/a", false}, {"old", "a", false}, {"old", "", false},
		{"old", "/2017/shop/a", false}, {"old", "2017/shop/../../v1/a", false}, {"old", "2017/shop/./a", false}, {"old", "2017/shop/a/..", false},
		{"old", "2017/./shop/a", false}, {"all", "..", false}, {"all", "../a", false}, {"all", "a", true},
		{"all", "a\nb", false}, {"all", "a\x00", false}, {"all", "a\x7f", false}, {"all", "a\u0085b", false}, {"all", "a\tb", false},
		{"all", "a\xff", false}, {"all", "a\ufffd", false}, {"all", "\xed\xa0\x80", false},
		{"all", long, true}, {"all", long + "k", false}, {"all", strings.Repeat("é", maxKey/2), true}, {"all", strings.Repeat("é", maxKey/2) + "k", false},
		{"other", "a", false}, {"", "a", false}, {"All", "a", false},
	}
	for _, tt := range tests {
		if got := cfg.allows(tt.bucket, tt.key); got != tt.ok {
			t.Errorf("%s %.40q: allowed %v, want %v", tt.bucket, tt.key, got, tt.ok)
		}
	}
}

func TestCompatConfig(t *testing.T) {
	for _, b := range []Bucket{{}, {Name: "a/b"}, {Name: "a b"}, {Name: "ü"}, {Name: "a", Prefix: "x/../y"}, {Name: "a", Prefix: "x\n"}, {Name: "a", Prefix: "."}} {
		if (Config{Buckets: []Bucket{b}}).Validate() == nil {
			t.Errorf("%+v is taken", b)
		}
	}
}

func FuzzParseCompat(f *testing.F) {
	for _, s := range []string{
		`{"key_urls_map": {"a/1.jpg": "https://c.example/a"}, "quality": 90, "bucket_name": "b"}`, `{"quality":1e2}`, `{"key_urls_map":{"\ud800":"x"},"bucket_name":"b"}`,
	} {
		f.Add([]byte(s))
	}
	cfg := Config{Buckets: []Bucket{{Name: "b", Prefix: "a"}}}
	f.Fuzz(func(t *testing.T, body []byte) {
		call, err := Parse(strings.NewReader(string(body)), 4096, 10)
		if err != nil {
			if k := fault.KindOf(err); k != fault.BadUnit && k != fault.BodyTooLarge {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		if call.Quality < 1 || call.Quality > 100 || call.Bucket == "" || len(call.Images) > 10 {
			t.Errorf("%q: %+v", body, call)
		}
		for _, image := range call.Images {
			if cfg.allows("b", image.Key) && (!strings.HasPrefix(image.Key, "a/") || !utf8.ValidString(image.Key) || strings.Contains("/"+image.Key+"/", "/../")) {
				t.Errorf("key %q is allowed", image.Key)
			}
		}
	})
}
