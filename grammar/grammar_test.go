package grammar

import (
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

func rig(tb testing.TB, t signing.Thumbor) (*signing.Keyring, *variant.Parser) {
	tb.Helper()
	keys, err := signing.New(signing.Config{Keys: []signing.Key{{Key: strings.Repeat("ab", 32)}}, Thumbor: t}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := variant.NewParser(map[string]string{"default": "w:10", "lite": "w:20"}, true)
	if err != nil {
		tb.Fatal(err)
	}
	return keys, p
}

var thumborKey = signing.Thumbor{Key: "a-secret-of-20-chars", Algorithm: "sha1"}

// Each prefix has its own grammar and its own signature, and none opens what another signed.
func TestVerify(t *testing.T) {
	keys, p := rig(t, thumborKey)
	ours, err := keys.Sign("", "/lite/plain/http://a/b.jpg")
	if err != nil {
		t.Fatal(err)
	}
	about, err := keys.Sign("", "/s:1/plain/http://a/b.jpg")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := keys.SignThumbor("300x200/http://a/b.jpg")
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]variant.Spec{
		ours:                {Width: 20},
		"/info" + about:     {Format: variant.Info},
		"/thumbor" + theirs: {Resize: variant.Fill, Width: 300, Height: 200, Enlarge: true},
	} {
		v, parse, err := Verify(keys, p, target)
		if err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		if ref, _, err := parse(v.Path); err != nil || ref.Spec != want || ref.Source != "http://a/b.jpg" {
			t.Errorf("%s: %+v, %v; want %+v", target, ref, err, want)
		}
	}
	for _, target := range []string{
		theirs, "/info" + theirs, "/thumbor" + ours, "/thumbor/info" + about, "/thumbor", "/info", "/thumborx" + theirs,
		"/thumbor/unsafe/300x200/http://a/b.jpg",
	} {
		if _, _, err := Verify(keys, p, target); fault.KindOf(err) != fault.BadSignature {
			t.Errorf("%s: %v", target, err)
		}
	}
	none, _ := rig(t, signing.Thumbor{})
	if _, _, err := Verify(none, p, "/thumbor"+theirs); fault.KindOf(err) != fault.BadSignature {
		t.Errorf("without a key: %v", err)
	}
}

// A URL whose signature is wrong is read as the one whose signature is right.
func TestUnverified(t *testing.T) {
	_, p := rig(t, thumborKey)
	for target, want := range map[string]variant.Spec{
		"/x/lite/plain/http://a/b.jpg?c=d":       {Width: 20},
		"/info/x/s:1/plain/http://a/b.jpg?c=d":   {Format: variant.Info},
		"/thumbor/x=/300x200/http://a/b.jpg?c=d": {Resize: variant.Fill, Width: 300, Height: 200, Enlarge: true},
	} {
		path, parse := Unverified(p, target)
		if ref, _, err := parse(path); err != nil || ref.Spec != want || ref.Source != "http://a/b.jpg?c=d" {
			t.Errorf("%s: %+v, %v; want %+v", target, ref, err, want)
		}
	}
	path, parse := Unverified(p, "/x/lite/aHR0cDovL2EvYi5qcGc?c=d")
	if ref, _, err := parse(path); err != nil || ref.Source != "http://a/b.jpg" {
		t.Errorf("a query behind base64: %+v, %v", ref, err)
	}
}

func TestParseThumborRefusesByName(t *testing.T) {
	_, p := rig(t, thumborKey)
	for path, want := range map[string]string{
		"filters:grayscale()/http://a/b.jpg":  "grayscale()",
		"filters:quality(500)/http://a/b.jpg": "quality",
		"300x200/ftp://a/b.jpg":               "http",
	} {
		if _, _, err := ParseThumbor(p, path); err == nil || !strings.Contains(fault.Of(err).Public, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	keys, p := rig(f, thumborKey)
	theirs, err := keys.SignThumbor("300x200/smart/filters:quality(80)/http://a/b.jpg?x=y")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"/thumbor" + theirs, "/info/x/plain/http://a", "/thumbor/=/%2F", "/a.b/w:1/eA"} {
		f.Add(seed, "300x200/http://a/b.jpg")
	}
	f.Fuzz(func(t *testing.T, target, path string) {
		if v, _, err := Verify(keys, p, target); err == nil && target != "/thumbor"+theirs && v.Key == nil {
			t.Errorf("%q is verified by nobody", target)
		}
		unsigned, parse := Unverified(p, target)
		if ref, _, err := parse(unsigned); err == nil && ref.Source == "" {
			t.Errorf("%q has no source", target)
		}
		if ref, _, err := ParseThumbor(p, path); err == nil && (ref.Source == "" || ref.Spec.Format == variant.Info) {
			t.Errorf("%q: %+v", path, ref)
		}
		signed, err := keys.SignThumbor(path)
		if err != nil {
			t.Fatal(err)
		}
		if v, _, err := Verify(keys, p, "/thumbor"+signed); err != nil || v.Path != path {
			t.Errorf("%q: %+v, %v", signed, v, err)
		}
	})
}
