package signing

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

const thumborKey = "MY_SECURE_KEY"

func thumborRing(tb testing.TB, t Thumbor) *Keyring {
	tb.Helper()
	k, err := New(Config{Keys: []Key{{Key: strings.Repeat("ab", 32)}}, AllowShortKeys: true, Thumbor: t}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// The first signature is that of "openssl dgst -sha1 -hmac", the second stands in the README of imagor.
func TestVerifyThumbor(t *testing.T) {
	const path = "300x200/smart/my.server.com/some/path/to/image.jpg"
	sha1 := Thumbor{Key: thumborKey, Algorithm: "sha1"}
	for target, with := range map[string]Thumbor{
		"/OHHMqHwGrH1gubkMMveC8Ireg7A=/" + path: sha1,
		"/cST4Ko5_FqwT3BDn-Wf4gO3RFSk=/500x500/top/raw.githubusercontent.com/cshum/imagor/master/testdata/gopher.png": {
			Key: "mysecret", Algorithm: "sha1"},
		"/OHHMqHwGrH1gubkMMveC8Ireg7A%3D/" + path:                                       sha1,
		"/OHHMqHwGrH1gubkMMveC8Ireg7A=/" + strings.ReplaceAll(path, "smart", "%73mart"): sha1,
	} {
		v, err := thumborRing(t, with).VerifyThumbor(target)
		escaped := strings.Contains(target, "%73")
		if err != nil || v.Key.ID() != ThumborID || !escaped && !strings.HasSuffix(target, "/"+v.Path) {
			t.Errorf("%s: %+v, %v", target, v, err)
		}
	}
	for _, algorithm := range []string{"sha1", "sha256", "sha512"} {
		for truncate, length := range map[int]int{0: 28, 16: 16, 24: 24} {
			k := thumborRing(t, Thumbor{Key: thumborKey, Algorithm: algorithm, Truncate: truncate})
			signed, err := k.SignThumbor(path + "?a=b%20c")
			if err != nil {
				t.Fatal(err)
			}
			if v, err := k.VerifyThumbor(signed); err != nil || v.Path != path+"?a=b%20c" {
				t.Errorf("%s: %+v, %v", signed, v, err)
			}
			if got := strings.Index(signed[1:], "/"); got != length && (truncate > 0 || algorithm == "sha1") {
				t.Errorf("%s, %d: %d characters", algorithm, truncate, got)
			}
		}
	}
}

func TestVerifyThumborRefusals(t *testing.T) {
	k := thumborRing(t, Thumbor{Key: thumborKey, Algorithm: "sha1"})
	for _, target := range []string{
		"/unsafe/300x200/smart/my.server.com/some/path/to/image.jpg",
		"/OHHMqHwGrH1gubkMMveC8Ireg7A/300x200/smart/my.server.com/some/path/to/image.jpg",
		"/OHHMqHwGrH1gubkMMveC8Ireg7A=/301x200/smart/my.server.com/some/path/to/image.jpg",
		"/=/300x200/smart/my.server.com/some/path/to/image.jpg",
		"//a", "/", "", "/%zz/a", "/OHHMqHwGrH1gubkMMveC8Ireg7A=",
	} {
		if _, err := k.VerifyThumbor(target); fault.KindOf(err) != fault.BadSignature {
			t.Errorf("%s: %v", target, err)
		}
	}
	none := thumborRing(t, Thumbor{Algorithm: "sha1"})
	if _, err := none.VerifyThumbor("/OHHMqHwGrH1gubkMMveC8Ireg7A=/a"); err == nil || none.HasThumbor() {
		t.Error("verified without a key")
	}
	if _, err := none.SignThumbor("a"); fault.KindOf(err) != fault.KeyNotValid {
		t.Errorf("signed without a key: %v", err)
	}
}

// Wrong settings are refused by their names, and no part of the key is told.
func TestThumborConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("  \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]Thumbor{
		"either key":            {Key: "a-secret-of-20-chars", KeyFile: file, Algorithm: "sha1"},
		"has 8 characters":      {Key: "a-secret", Algorithm: "sha1"},
		"algorithm":             {Key: "a-secret-of-20-chars", Algorithm: "md5"},
		"truncate":              {Key: "a-secret-of-20-chars", Algorithm: "sha1", Truncate: 15},
		"sources":               {Key: "a-secret-of-20-chars", Algorithm: "sha1", Sources: []string{"http://a"}},
		"key_file: it is empty": {KeyFile: file, Algorithm: "sha1"},
	} {
		_, err := New(Config{Keys: []Key{{Key: strings.Repeat("ab", 32)}}, Thumbor: c}, nil)
		if err == nil || !strings.Contains(err.Error(), "signing.thumbor") || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "a-secret") {
			t.Errorf("%s: %v", want, err)
		}
	}
	_, err := New(Config{
		Keys:    []Key{{ID: ThumborID, Key: strings.Repeat("ab", 32)}},
		Thumbor: Thumbor{Key: "a-secret-of-20-chars", Algorithm: "sha1"},
	}, nil)
	if err == nil || !strings.Contains(err.Error(), "is taken") {
		t.Errorf("two keys of one id: %v", err)
	}
	if err := os.WriteFile(file, []byte(" a-secret-of-20-chars\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := thumborRing(t, Thumbor{KeyFile: file, Algorithm: "sha1"})
	same := thumborRing(t, Thumbor{Key: "a-secret-of-20-chars", Algorithm: "sha1"})
	a, _ := k.SignThumbor("x")
	if b, _ := same.SignThumbor("x"); a != b || a == "" {
		t.Errorf("%q by the file, %q by the key", a, b)
	}
}
