package signing

import (
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

// ascii is a pair in the hexadecimal digits of its ASCII text.
func ascii(id, key, salt string) Key {
	return Key{ID: id, Key: hex.EncodeToString([]byte(key)), Salt: hex.EncodeToString([]byte(salt))}
}

const (
	keyA = "0123456789abcdef0123456789abcdef"
	keyB = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func keyring(t testing.TB, cfg Config) *Keyring {
	t.Helper()
	k, err := New(cfg, func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, k *Keyring, kid, path string) string {
	t.Helper()
	url, err := k.Sign(kid, path)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// vectors reads a table of the corpus: a row as a map from column to text.
func vectors(t *testing.T, name string) []map[string]string {
	t.Helper()
	corpus := os.Getenv("GOLDCREST_CORPUS")
	if corpus == "" {
		corpus = filepath.Join("..", "..", "shared", "corpus")
	}
	text, err := os.ReadFile(filepath.Join(corpus, "vectors", name))
	if err != nil {
		t.Skipf("no corpus (set GOLDCREST_CORPUS): %v", err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	columns := strings.Split(lines[0], "\t")
	var rows []map[string]string
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, field := range strings.Split(line, "\t") {
			row[columns[i]] = field
		}
		rows = append(rows, row)
	}
	return rows
}

func TestSignatureVectors(t *testing.T) {
	for _, row := range vectors(t, "signature.tsv") {
		if row["hash"] != "sha256" {
			continue // of other schemes than ours
		}
		key, err1 := hex.DecodeString(row["key_hex"])
		salt, err2 := hex.DecodeString(row["salt_hex"])
		if err1 != nil || err2 != nil {
			t.Fatal(row["id"], err1, err2)
		}
		mac := (&Pair{key: key, salt: salt}).mac(row["message"])
		if row["cut_to"] == "8" {
			mac = mac[:8]
		}
		encoding := base64.RawURLEncoding
		if row["base64url"] == "padded" {
			encoding = base64.URLEncoding
		}
		if got := encoding.EncodeToString(mac); got != row["signature"] {
			t.Errorf("%s: %s, want %s", row["id"], got, row["signature"])
		}
	}
}

// TestPublishedExample is the documented example of the grammar, through the door.
func TestPublishedExample(t *testing.T) {
	const path = "/rs:fill:300:400:0/g:sm/aHR0cDovL2V4YW1w/bGUuY29tL2ltYWdl/cy9jdXJpb3NpdHku/anBn.png"
	const want = "/oKfUtW34Dvo2BGQehJFR4Nr0_rIjOtdtzJ3QFsUcXH8" + path
	k := keyring(t, Config{Keys: []Key{ascii("", "secret", "hello")}, AllowShortKeys: true})
	if got := sign(t, k, "", path); got != want {
		t.Errorf("Sign = %q, want %q", got, want)
	}
	if v, err := k.Verify(want); err != nil || v.Path != path {
		t.Errorf("Verify = %+v, %v", v, err)
	}
}

// TestSignatureNegativeVectors makes the change of each row to a good URL. Expiry, which is in the path, is not the
// keyring's.
func TestSignatureNegativeVectors(t *testing.T) {
	k := keyring(t, Config{Keys: []Key{ascii("", keyA, "salt")}})
	const path = "/w:300/exp:1700000000/plain/http://example.com/a.jpg"
	good := sign(t, k, "", path)
	signature := strings.TrimSuffix(strings.TrimPrefix(good, "/"), path)
	flipped := []byte(signature)
	flipped[7] ^= 1
	other := strings.TrimSuffix(sign(t, keyring(t, Config{Keys: []Key{ascii("", keyB, "salt")}}), "", path), path)
	changes := map[string]string{
		"n01": "/" + string(flipped) + path,
		"n02": "/" + signature[:len(signature)-1] + path,
		"n03": "/" + path,
		"n04": strings.TrimSuffix(sign(t, k, "", path+"x"), path+"x") + path,
		"n05": other + path,
		"n06": strings.Replace(good, "w:300", "w:301", 1),
		"n07": strings.Replace(good, "a.jpg", "b.jpg", 1),
		"n09": good + "/",
		"n13": strings.Replace(good, "/exp:1700000000", "", 1),
		"n14": strings.Replace(good, signature, strings.ToUpper(signature), 1),
	}
	for _, row := range vectors(t, "signature-negative.tsv") {
		switch id := row["id"]; id {
		case "n08":
			if v, err := k.Verify(good + "?x=1"); err != nil || v.Path != path {
				t.Errorf("%s: %+v, %v, want the path without the query", id, v, err)
			}
		case "n10", "n11", "n12":
			if !strings.Contains(row["change"], "expiry") {
				t.Errorf("%s: %q is not about expiry", id, row["change"])
			}
		default:
			url, ok := changes[id]
			if !ok || url == good {
				t.Errorf("%s: no test for %q", id, row["change"])
			}
			if v, err := k.Verify(url); fault.KindOf(err) != fault.BadSignature {
				t.Errorf("%s: %q: %+v, %v, want %s", id, url, v, err, fault.BadSignature)
			}
		}
	}
}

func TestStrictSpelling(t *testing.T) {
	k := keyring(t, Config{Keys: []Key{ascii("", keyA, "salt"), ascii("web", keyB, "salt")}})
	const path = "/w:300/aHR0cDovL2E"
	good := strings.TrimSuffix(sign(t, k, "", path), path)[1:]
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", good[len(good)-1])
	stray := good[:len(good)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last+1])
	for _, target := range []string{
		"", "/", "//", good + path, "/" + good, "/" + good + "=" + path, "/" + stray + path, "/" + good + "\n" + path, "/" + good[:9] + "\r\n" + good[9:] + path,
		"/." + good + path, "/web." + good + path, "/nobody." + good + path, "/" + good + "." + path, "/ " + good + path, "//" + good + path,
		"/unsafe" + path, "/_" + path, "/" + good + "?" + path,
	} {
		if v, err := k.Verify(target); fault.KindOf(err) != fault.BadSignature {
			t.Errorf("Verify(%q) = %+v, %v, want %s", target, v, err, fault.BadSignature)
		}
	}
	if _, err := k.Verify("/" + good + path); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func TestCandidates(t *testing.T) {
	k := keyring(t, Config{Keys: []Key{ascii("", keyA, "salt")}})
	for _, test := range []struct{ name, signed, asked string }{
		{"as signed", "/w:5/plain/http://a/b%20c.jpg@png", "/w:5/plain/http://a/b%20c.jpg@png"},
		{"query added to plain", "/w:5/plain/http://a/b.jpg", "/w:5/plain/http://a/b.jpg?utm=1"},
		{"query added to base64", "/w:5/aHR0cDovL2E.png", "/w:5/aHR0cDovL2E.png?utm=1"},
		{"colons escaped", "/rs:fit:5:5/f:png/plain/http://a/b:c.jpg", "/rs%3Afit%3a5:5/f%3Apng/plain/http://a/b:c.jpg"},
		{"colons escaped, base64", "/rs:fit:5:5/aHR0cDovL2E", "/rs%3Afit:5:5/aHR0cDovL2E"},
		{"slashes merged", "/w:5/plain/https://a/b.jpg", "/w:5/plain/https:/a/b.jpg"},
		{"both", "/w:5/plain/http://a/b.jpg", "/w%3A5/plain/http:/a/b.jpg?x"},
		{"query signed", "/w:5/plain/http://a/b.jpg?x=1&y=%2B", "/w:5/plain/http://a/b.jpg?x=1&y=%2B"},
		{"query signed, with extension", "/w:5/plain/http://a/b.jpg?x=1@png", "/w:5/plain/http://a/b.jpg?x=1@png"},
		{"signed before escaping", "/w:5/plain/http://a/b c.jpg?x=é", "/w:5/plain/http://a/b%20c.jpg?x=%C3%A9"},
		{"signed before escaping, no query", "/w:5/plain/http://a/b c.jpg", "/w:5/plain/http://a/b%20c.jpg"},
		{"empty query signed", "/w:5/plain/http://a/b.jpg?", "/w:5/plain/http://a/b.jpg?"},
	} {
		signature := strings.TrimSuffix(sign(t, k, "", test.signed), test.signed)
		if v, err := k.Verify(signature + test.asked); err != nil || v.Path != test.signed {
			t.Errorf("%s: Verify(%q) = %q, %v, want %q", test.name, test.asked, v.Path, err, test.signed)
		}
	}
	for _, test := range []struct{ name, signed, asked string }{
		{"query changed", "/w:5/plain/http://a/b.jpg?x=1", "/w:5/plain/http://a/b.jpg?x=2"},
		{"query signed, base64", "/w:5/aHR0cDovL2E?x=1", "/w:5/aHR0cDovL2E?x=1"},
		{"decoded twice", "/w:5/plain/http://a/b c.jpg", "/w:5/plain/http://a/b%2520c.jpg"},
		{"escaped base64", "/w:5/aHR0cDovL2E", "/w:5/aHR0cDovL2%45"},
		{"broken escape", "/w:5/plain/http://a/b%zz", "/w:5/plain/http://a/b%zz%20"},
	} {
		signature := strings.TrimSuffix(sign(t, k, "", test.signed), test.signed)
		if v, err := k.Verify(signature + test.asked); fault.KindOf(err) != fault.BadSignature {
			t.Errorf("%s: Verify(%q) = %q, %v, want %s", test.name, test.asked, v.Path, err, fault.BadSignature)
		}
	}
}

func TestRotation(t *testing.T) {
	const path = "/w:300/aHR0cDovL2E"
	old, current, next, named := ascii("", keyA, "1"), ascii("", keyB, "2"), ascii("", keyA, "3"), ascii("web", keyB, "4")
	old.NotAfter, next.NotBefore, named.NotAfter = "2026-03-10T12:00:00Z", "2026-03-11", "2026-03-10"
	soon := old
	soon.NotAfter = "2026-03-10T12:00:01Z"
	for _, test := range []struct {
		name   string
		signer Key
		keys   []Key
		want   fault.Kind
	}{
		{"old within its time", old, []Key{current, soon}, ""},
		{"old after its time", old, []Key{current, old}, fault.KeyNotValid},
		{"old removed", old, []Key{current}, fault.BadSignature},
		{"next before its time", next, []Key{current, next}, fault.KeyNotValid},
		{"named on its last day", named, []Key{current, named}, ""},
		{"named under another id", named, []Key{current, ascii("app", keyB, "4")}, fault.BadSignature},
		{"same pair twice, once valid", old, []Key{old, soon}, ""},
	} {
		signer := test.signer
		signer.NotBefore, signer.NotAfter = "", ""
		url := sign(t, keyring(t, Config{Keys: []Key{signer}}), "", path)
		v, err := keyring(t, Config{Keys: test.keys}).Verify(url)
		if fault.KindOf(err) != test.want || err == nil && (v.Path != path || v.Key.ID() != signer.ID) {
			t.Errorf("%s: %+v, %v, want %q", test.name, v, err, test.want)
		}
	}
}

func TestSign(t *testing.T) {
	old, current, named := ascii("", keyA, "1"), ascii("", keyB, "2"), ascii("web", keyB, "4")
	old.NotAfter = "2026-03-09"
	k := keyring(t, Config{Keys: []Key{old, current, named}})
	for _, kid := range []string{"", "web"} {
		url := sign(t, k, kid, "/w:1/aHR0cDovL2E")
		if v, err := k.Verify(url); err != nil || v.Key.ID() != kid {
			t.Errorf("kid %q: Verify(%q) = %+v, %v", kid, url, v, err)
		}
	}
	if first := sign(t, keyring(t, Config{Keys: []Key{old, named}}), "", "/x"); !strings.HasPrefix(first, "/web.") {
		t.Errorf("the first valid pair of all did not sign: %q", first)
	}
	for _, test := range []struct {
		kid, path string
		want      fault.Kind
	}{{"nobody", "/x", fault.KeyNotValid}, {"", "x", fault.BadPath}} {
		if _, err := k.Sign(test.kid, test.path); fault.KindOf(err) != test.want {
			t.Errorf("Sign(%q, %q): %v, want %s", test.kid, test.path, err, test.want)
		}
	}
}

func TestSignatureSize(t *testing.T) {
	const path = "/w:300/aHR0cDovL2E"
	short := keyring(t, Config{Keys: []Key{ascii("", keyA, "")}, SignatureSize: 16})
	full := keyring(t, Config{Keys: []Key{ascii("", keyA, "")}})
	url := sign(t, short, "", path)
	if want := 1 + 22 + len(path); len(url) != want {
		t.Errorf("%q has %d bytes, want %d", url, len(url), want)
	}
	if _, err := short.Verify(url); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{"short": second(full.Verify(url)), "long": second(short.Verify(sign(t, full, "", path)))} {
		if fault.KindOf(err) != fault.BadSignature {
			t.Errorf("a %s signature: %v, want %s", name, err, fault.BadSignature)
		}
	}
}

func second(_ Verified, err error) error { return err }

// FuzzVerify holds that what is accepted is what Sign makes.
func FuzzVerify(f *testing.F) {
	k := keyring(f, Config{Keys: []Key{ascii("", keyA, "1"), ascii("web", keyB, "2")}})
	for _, path := range []string{"/w:5/plain/http://a/b%20c?x=1@png", "/rs:fit:5/aHR0cDovL2E.jpg", "/plain/https://a/é"} {
		f.Add(sign(f, k, "", path), "")
		f.Add(sign(f, k, "web", path), path)
	}
	f.Fuzz(func(t *testing.T, target, path string) {
		if strings.HasPrefix(path, "/") && !strings.Contains(path, "?") {
			for _, kid := range []string{"", "web"} {
				if v, err := k.Verify(sign(t, k, kid, path)); err != nil || v.Path != path {
					t.Fatalf("signed %q: verified %+v, %v", path, v, err)
				}
			}
		}
		v, err := k.Verify(target)
		if err != nil {
			if kind := fault.KindOf(err); kind != fault.BadSignature {
				t.Fatalf("%q: %v", target, err)
			}
			return
		}
		signed := sign(t, k, v.Key.ID(), v.Path)
		got, _, _ := strings.Cut(signed[1:], "/")
		want, _, _ := strings.Cut(target[1:], "/")
		if got != want {
			t.Fatalf("%q was accepted as %q, which is signed %q", target, v.Path, signed)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	k := keyring(b, Config{Keys: []Key{ascii("", keyA, "salt")}})
	url := sign(b, k, "", "/rs:fill:300:400:0/g:sm/aHR0cDovL2V4YW1wbGUuY29tL2ltYWdlcy9jdXJpb3NpdHkuanBn.png")
	for b.Loop() {
		if _, err := k.Verify(url); err != nil {
			b.Fatal(err)
		}
	}
}

func TestMarkersBelongToTheKeys(t *testing.T) {
	ring := func(keys ...string) *Keyring {
		var cfg Config
		for i, key := range keys {
			cfg.Keys = append(cfg.Keys, Key{ID: strings.Repeat("k", i), Key: strings.Repeat(key, 32), Salt: "00"})
		}
		k, err := New(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	old, both, other := ring("ab").Markers(), ring("cd", "ab").Markers(), ring("ef").Markers()
	if len(old) != 1 || len(both) != 2 || both[1] != old[0] || both[0] == old[0] || other[0] == old[0] {
		t.Errorf("got %v, %v and %v: a pair has one marker, wherever it stands, and no other has it", old, both, other)
	}
	if !regexp.MustCompile(`^goldcrest-[0-9a-f]{16}$`).MatchString(old[0]) {
		t.Errorf("%q is no pseudonym for Via", old[0])
	}
}
