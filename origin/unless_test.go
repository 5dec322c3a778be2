package origin

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// An origin that still has the version that the caller has sends nothing, and says for how long that holds.
func TestUnchangedVersionIsNotSentAgain(t *testing.T) {
	modified := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	notes := newNotes()
	var asked http.Header
	base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Clone()
		w.Header().Set("Cache-Control", "max-age=60")
		switch r.URL.Path {
		case "/tagged.jpg":
			w.Header().Set("ETag", `"v1"`)
		case "/odd.jpg":
			w.Header().Set("ETag", `"`+strings.Repeat("x", maxETag)+`"`)
		case "/away.jpg":
			http.Redirect(w, r, "/tagged.jpg", http.StatusFound)
			return
		case "/always.jpg":
			w.WriteHeader(http.StatusNotModified)
			return
		}
		http.ServeContent(w, r, "", modified, strings.NewReader(string(smallJPEG(t))))
	})
	c := newClient(t, Hooks{Observer: notes}, nil)
	fetch := func(path string, unless Validators) (Original, error) {
		o, err := c.Fetch(context.Background(), base+path, Limits{Unless: unless})
		if err == nil {
			o.Release()
		}
		return o, err
	}
	for path, want := range map[string]Validators{
		"/tagged.jpg": {`"v1"`, modified}, "/dated.jpg": {"", modified}, "/odd.jpg": {"", modified}, "/away.jpg": {},
	} {
		first, err := fetch(path, Validators{})
		if err != nil || first.Version != want || first.Same ||
			asked.Get("If-None-Match")+asked.Get("If-Modified-Since") != "" {
			t.Fatalf("%s: version %+v, %v", path, first.Version, err)
		}
		again, err := fetch(path, first.Version)
		if err != nil || again.Same == want.None() || again.Same && (again.Body != nil ||
			again.Fresh.TTL != time.Minute || again.Version != want) {
			t.Errorf("%s: %+v, %v", path, again, err)
		}
		if changed, err := fetch(path, Validators{`"v0"`, modified.Add(-time.Hour)}); err != nil || changed.Same ||
			len(changed.Body) == 0 {
			t.Errorf("%s after a change: %+v, %v", path, changed, err)
		}
	}
	// A redirect leads to what the caller has never seen, whatever its date.
	if o, err := fetch("/away.jpg", Validators{`"v1"`, modified}); err != nil || o.Same ||
		asked.Get("If-None-Match") != "" {
		t.Errorf("behind a redirect: %+v, %v", o, err)
	}
	// Nobody has what was not asked for.
	_, err := fetch("/always.jpg", Validators{})
	wantKind(t, err, fault.SourceError)
	if o, err := fetch("/always.jpg", Validators{ETag: `"v1"`}); err != nil || !o.Same {
		t.Errorf("%+v, %v", o, err)
	}
	if n := notes.of("not_modified"); n != 4 {
		t.Errorf("%d answers were noted", n)
	}
}

func TestEntityTagSyntax(t *testing.T) {
	for tag, want := range map[string]bool{
		`"a"`: true, `W/"a"`: true, `""`: true, `a`: false, `"a`: false, `"`: false, `"a b"`: false, `"é"`: false,
		`"a"b"`: false, ``: false, `W/`: false,
	} {
		if isTag(tag) != want {
			t.Errorf("isTag(%s) = %t", tag, !want)
		}
	}
}

// An entry keeps the version as it was told, and nothing where none was.
func TestVersionsAreKept(t *testing.T) {
	for _, v := range []Validators{{}, {ETag: `W/"a"`}, {LastModified: time.Unix(1e9, 0).UTC()}, {`"b"`, time.Unix(1,
		0).UTC()}} {
		attrs := map[string]string{}
		if v.Keep(attrs); Kept(attrs) != v || len(attrs) > 0 == v.None() {
			t.Errorf("%+v is kept as %v", v, attrs)
		}
	}
	if got := Kept(map[string]string{"om": "x"}); !got.None() {
		t.Errorf("nonsense is read as %+v", got)
	}
}
