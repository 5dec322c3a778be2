package signing

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/goldcrest/goldcrest/invalid"
	"github.com/goldcrest/goldcrest/secretfile"
)

// SourceCipher encrypts the sources of URLs as imgproxy does: AES-CBC with PKCS #7 padding, preceded by the IV. It
// hides a source from readers of the URL; only the URL's signature protects it from changes. It is immutable and safe
// for concurrent use.
type SourceCipher struct {
	block cipher.Block
	ivKey []byte
}

// NewSourceCipher makes a SourceCipher of a key of 16, 24 or 32 bytes in hexadecimal digits.
func NewSourceCipher(key string) (*SourceCipher, error) {
	raw, err := hex.DecodeString(key)
	if err != nil {
		return nil, errors.New("the encryption key is not in hexadecimal digits")
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, fmt.Errorf("the encryption key has %d bytes, not 16, 24 or 32", len(raw))
	}
	mac := hmac.New(sha256.New, raw)
	mac.Write([]byte("goldcrest source iv"))
	return &SourceCipher{block: block, ivKey: mac.Sum(nil)}, nil
}

// Encrypt returns the text after "/enc/" in a URL. The IV is a keyed hash of the source, so that one source always has
// the same URL and caches can keep it.
func (c *SourceCipher) Encrypt(source string) string {
	mac := hmac.New(sha256.New, c.ivKey)
	mac.Write([]byte(source))
	pad := aes.BlockSize - len(source)%aes.BlockSize
	text := append(mac.Sum(nil)[:aes.BlockSize], source...)
	text = append(text, bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(c.block, text[:aes.BlockSize]).CryptBlocks(text[aes.BlockSize:], text[aes.BlockSize:])
	return base64.RawURLEncoding.EncodeToString(text)
}

// Decrypt decrypts an encrypted source: an IV and at least one block. It reports whether the padding is valid, which it
// seldom is with another key.
func (c *SourceCipher) Decrypt(text []byte) (source string, ok bool) {
	if len(text) < 2*aes.BlockSize || len(text)%aes.BlockSize != 0 {
		return "", false
	}
	plain := make([]byte, len(text)-aes.BlockSize)
	cipher.NewCBCDecrypter(c.block, text[:aes.BlockSize]).CryptBlocks(plain, text[aes.BlockSize:])
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > aes.BlockSize {
		return "", false
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			return "", false
		}
	}
	return string(plain[:len(plain)-pad]), true
}

// SourceCipher makes the cipher of the configured key, and reads its file; nil if none is configured.
func (c Config) SourceCipher() (*SourceCipher, error) {
	if c.EncryptionKey+c.EncryptionKeyFile == "" {
		return nil, nil
	}
	key, err := secretfile.Value(c.EncryptionKey, c.EncryptionKeyFile)
	if err != nil {
		return nil, fmt.Errorf("signing.encryption_key_file: %w", err)
	}
	made, err := NewSourceCipher(key)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return made, nil
}

// validateEncryption keeps every part of the key out of its error.
func (c Config) validateEncryption() error {
	var bad invalid.Values
	bad.If(c.EncryptionKey != "" && c.EncryptionKeyFile != "",
		"signing: give either encryption_key or encryption_key_file")
	if c.EncryptionKey != "" {
		_, err := NewSourceCipher(c.EncryptionKey)
		bad.Add("signing.encryption_key", err)
	}
	return bad.Err()
}
