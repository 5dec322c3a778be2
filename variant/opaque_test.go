package variant

import (
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

// Links to one original have one opaque source, and its variants have the keys of the link's.
func TestOpaque(t *testing.T) {
	p := parser(t, nil, false, "X-Amz-*", "sig")
	links := []string{
		"https://b.example/a/b.jpg?v=1&X-Amz-Date=1&X-Amz-Signature=1", "HTTPS://B.example:443/a/b.jpg?sig=3&v=1#x",
		"https://b.example/a/b.jpg?v=1&X-Amz-Signature=2",
	}
	want, shown := p.Opaque(links[0])
	id, ok := OpaqueID(want)
	if !ok || shown != "https://b.example/a/b.jpg" {
		t.Fatalf("%q shown as %q", want, shown)
	}
	for _, link := range links {
		if got, as := p.Opaque(link); got != want || as != shown {
			t.Errorf("%s is %s, shown as %s, want %s", link, got, as, want)
		}
		spec := Spec{Width: 7, Format: WebP}
		plain, _ := p.Ref(link, spec)
		byID, _, err := p.ParsePath("/w:7/ref/" + id + ".webp")
		if err != nil || byID.Key() != plain.Key() || byID.Source != want {
			t.Errorf("%+v, %v: key %s, want %s", byID, err, byID.Key(), plain.Key())
		}
	}
	other, _ := p.Opaque("https://b.example/a/b.jpg?v=2&sig=1")
	if other == want {
		t.Error("another original has the same id")
	}
	for _, lasting := range []string{"https://b.example/a/b.jpg?v=1", "https://a/", "x?sig=1", "ftp://a/b?sig=1", want} {
		if got, as := p.Opaque(lasting); got != "" || as != "" {
			t.Errorf("%s is %q, shown as %q", lasting, got, as)
		}
	}
}

func TestOpaquePaths(t *testing.T) {
	p := parser(t, nil, false)
	id := strings.Repeat("0a", 16)
	for _, path := range []string{"/ref/" + id, "/w:5/cb:2/ref/" + id + ".jpg"} {
		ref, _, err := p.ParsePath(path)
		if err != nil || ref.Source != "ref:"+id {
			t.Errorf("%s: %+v, %v", path, ref, err)
			continue
		}
		again, _, err := p.ParsePath(ref.Path())
		if err != nil || again != ref {
			t.Errorf("%s comes back from %s as %+v, %v", path, ref.Path(), again, err)
		}
	}
	a, _ := p.Ref("ref:"+id, Spec{CacheBuster: "1"})
	b, _ := p.Ref("ref:"+id, Spec{CacheBuster: "2"})
	if a.SourceHash() == b.SourceHash() || a.SourceHash() == id {
		t.Error("a cachebuster makes no other source of an id")
	}
	for _, path := range []string{
		"/ref", "/ref/", "/ref/" + id[:30], "/ref/" + id + "00", "/ref/" + strings.ToUpper(id), "/ref/" + id + ".",
		"/ref/" + id[:4] + "/" + id[4:], "/ref/" + id + "/x", "/ref/" + id + ".jpg/x",
	} {
		if ref, _, err := p.ParsePath(path); err == nil {
			t.Errorf("%s is read as %+v", path, ref)
		} else if k := fault.KindOf(err); k != fault.BadPath && k != fault.BadOption {
			t.Errorf("%s: %v", path, err)
		}
	}
}
