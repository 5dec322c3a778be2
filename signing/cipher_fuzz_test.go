package signing

import (
	"encoding/base64"
	"testing"
)

// FuzzSourceCipher holds that every source is decrypted to what it was, has one text, and that no text becomes a source
// longer than itself.
func FuzzSourceCipher(f *testing.F) {
	f.Add("http://example.com/a.jpg", []byte("0123456789abcdef0123456789abcdef"))
	f.Add("", []byte{})
	c, err := NewSourceCipher("000102030405060708090a0b0c0d0e0f")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, source string, hostile []byte) {
		text := c.Encrypt(source)
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || text != c.Encrypt(source) {
			t.Fatalf("%q becomes %q and %q, %v", source, text, c.Encrypt(source), err)
		}
		if got, ok := c.Decrypt(raw); !ok || got != source {
			t.Fatalf("%q becomes %q, %v", source, got, ok)
		}
		if got, ok := c.Decrypt(hostile); ok && (len(hostile)%16 != 0 || len(got) > len(hostile)-17) {
			t.Errorf("%d bytes become a source of %d", len(hostile), len(got))
		}
	})
}
