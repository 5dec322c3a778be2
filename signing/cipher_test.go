package signing

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const cipherKey = "1eb5b0e971ad7f45324c1bb15c947cb207c43152fa5c6c7f35c4f36e0c18e0f1"

func cipherOf(t *testing.T, key string) *SourceCipher {
	t.Helper()
	c, err := NewSourceCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSourceCipher(t *testing.T) {
	for _, key := range []string{cipherKey, cipherKey[:48], cipherKey[:32]} {
		c := cipherOf(t, key)
		for _, source := range []string{"", "https://a/b?c=ü", strings.Repeat("x", 16), strings.Repeat("y", 3000)} {
			text := c.Encrypt(source)
			if text != c.Encrypt(source) {
				t.Errorf("%q: two texts for one source", source)
			}
			raw, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			kept := bytes.Clone(raw)
			if got, ok := c.Decrypt(raw); !ok || got != source || !bytes.Equal(raw, kept) {
				t.Errorf("decrypted %q, %v; want %q", got, ok, source)
			}
		}
	}
}

// Two sources that begin alike share no block: the IV depends on the whole source.
func TestSourceCipherHidesCommonBeginnings(t *testing.T) {
	c := cipherOf(t, cipherKey)
	a, b := c.Encrypt("https://example.com/photos/a.jpg"), c.Encrypt("https://example.com/photos/b.jpg")
	if a[:22] == b[:22] || a[22:40] == b[22:40] {
		t.Errorf("%s and %s begin alike", a, b)
	}
}

func TestSourceCipherRefusals(t *testing.T) {
	c := cipherOf(t, cipherKey)
	for _, raw := range [][]byte{nil, make([]byte, 16), make([]byte, 31), make([]byte, 33)} {
		if _, ok := c.Decrypt(raw); ok {
			t.Errorf("%d bytes of 0 were opened", len(raw))
		}
	}
	raw, _ := base64.RawURLEncoding.DecodeString(c.Encrypt("http://example.com/a"))
	opened := 0
	for i := range 256 { // of which one alone has a padding that is right, and one may look so by chance
		raw[len(raw)-17] = byte(i)
		if _, ok := c.Decrypt(raw); ok {
			opened++
		}
	}
	if opened == 0 || opened > 2 {
		t.Errorf("%d of 256 paddings were taken", opened)
	}
	for _, key := range []string{"zz", "00", cipherKey[:62], cipherKey + "00"} {
		if _, err := NewSourceCipher(key); err == nil || strings.Contains(err.Error(), key) && key != "00" {
			t.Errorf("key of %d digits: %v", len(key), err)
		}
	}
}

func TestEncryptionKeyConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(cipherKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := cipherOf(t, cipherKey).Encrypt("http://a")
	for _, c := range []Config{{EncryptionKey: cipherKey}, {EncryptionKeyFile: file}} {
		got, err := c.SourceCipher()
		if err != nil || c.Validate() != nil || got.Encrypt("http://a") != want {
			t.Errorf("%+v: %v, %v", c, err, c.Validate())
		}
	}
	if got, err := (Config{}).SourceCipher(); got != nil || err != nil {
		t.Errorf("no key: %v, %v", got, err)
	}
	if _, err := (Config{EncryptionKeyFile: file + "x"}).SourceCipher(); err == nil {
		t.Error("a missing file is no error")
	}
	for _, c := range []Config{{EncryptionKey: "00"}, {EncryptionKey: cipherKey, EncryptionKeyFile: file}} {
		if err := c.Validate(); err == nil || strings.Contains(err.Error(), cipherKey) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
