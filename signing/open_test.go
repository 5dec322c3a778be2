package signing

import (
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

const trusted = "a-trusted-word-of-ours"

func openRing(tb testing.TB, c Config) *Keyring {
	tb.Helper()
	k, err := New(c, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// A trusted word opens every path, a key's signature still counts as the key's, and everything else is refused.
func TestTrustedSignatures(t *testing.T) {
	k := openRing(t, Config{
		Keys: []Key{{Key: strings.Repeat("ab", 32), Sources: []string{"a"}}}, TrustedSignatures: []string{"another-word-of-ours", trusted},
	})
	signed, err := k.Sign("", "/w:5/plain/http://a/b")
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]struct{ path, id string }{
		signed:                                  {"/w:5/plain/http://a/b", ""},
		"/" + trusted + "/w:5/plain/http://a/b": {"/w:5/plain/http://a/b", TrustedID},
		"/" + trusted + "/w:5/plain/http://a/b?c=d":  {"/w:5/plain/http://a/b?c=d", TrustedID},
		"/" + trusted + "/w%3A5/eA?utm=1":            {"/w:5/eA", TrustedID},
		"/another-word-of-ours/w:5/plain/http://a/b": {"/w:5/plain/http://a/b", TrustedID},
	} {
		if v, err := k.Verify(target); err != nil || v.Path != want.path || v.Key.ID() != want.id {
			t.Errorf("%s: %+v, %v", target, v, err)
		}
	}
	for _, target := range []string{
		"/unsafe/w:5/eA", "//w:5/eA", "/" + trusted, trusted + "/w:5/eA", "/" + trusted + "x/w:5/eA", "/a." + trusted + "/w:5/eA",
		"/" + trusted[1:] + "/w:5/eA", "",
	} {
		if v, err := k.Verify(target); fault.KindOf(err) != fault.BadSignature || v.Key != nil {
			t.Errorf("%s: %+v, %v", target, v, err)
		}
	}
}

// In development no key is needed, and what a key has signed still has the key's rights.
func TestUnsigned(t *testing.T) {
	k := openRing(t, Config{Unsigned: true})
	signed, err := k.Sign("", "/w:5/eA")
	if err != nil {
		t.Fatal(err)
	}
	if other, err := openRing(t, Config{Unsigned: true}).Sign("", "/w:5/eA"); err != nil || other == signed {
		t.Error("the key that is made up is always the same")
	}
	for target, id := range map[string]string{signed: "", "/unsafe/w:5/eA": UnsignedID, "/_/w:5/eA": UnsignedID} {
		if v, err := k.Verify(target); err != nil || v.Path != "/w:5/eA" || v.Key.ID() != id {
			t.Errorf("%s: %+v, %v", target, v, err)
		}
	}
	for _, target := range []string{"", "/", "/unsafe", "//w:5/eA", "unsafe/w:5/eA"} {
		if v, err := k.Verify(target); err == nil {
			t.Errorf("%q: %+v", target, v)
		}
	}
	if _, err := New(Config{}, nil); err == nil {
		t.Error("without a key and without unsigned")
	}
}

func TestOpenConfig(t *testing.T) {
	key := strings.Repeat("ab", 32)
	for want, c := range map[string]Config{
		"trusted_signatures[1]": {TrustedSignatures: []string{trusted, "short"}},
		"trusted_signatures[0]": {TrustedSignatures: []string{"a word that holds blanks"}},
		`"trusted" is taken`:    {TrustedSignatures: []string{trusted}, Keys: []Key{{ID: TrustedID, Key: key}}},
		`"unsigned" is taken`:   {Unsigned: true, Keys: []Key{{ID: UnsignedID, Key: key}}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "short") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func FuzzAdmit(f *testing.F) {
	for _, seed := range []string{"/" + trusted + "/w:5/plain/http://a/b?c", "//", "/x/%3A/plain/http:/a"} {
		f.Add(seed)
	}
	o := open{trusted: []string{trusted}}
	f.Fuzz(func(t *testing.T, target string) {
		v, ok := o.admit(target)
		if ok != strings.HasPrefix(strings.SplitN(target, "?", 2)[0], "/"+trusted+"/") {
			t.Errorf("%q: %+v, %v", target, v, ok)
		}
		if ok && !strings.HasPrefix(v.Path, "/") {
			t.Errorf("%q: the path is %q", target, v.Path)
		}
	})
}
