package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The text in which stores outside this process keep a Meta: readable with head(1), and at most 1,500 bytes, which fits
// the 2 KiB of user metadata of an S3 object even in base64. Its lines:
//
//	goldcrest 1
//	image/webp
//	"etag"
//	12345 1767225600 1      size, created as Unix seconds, recipe
//	<sha256 of the body>
//	.w=480                  one line per attribute, sorted
//	<sha256 of the key, a new line and all the above; an HMAC of them where the Seal has keys>
//
// The last line binds meta, body and key together, so that a truncated, flipped or misplaced entry shows, and with keys
// a forged one.
const (
	metaVersion  = "goldcrest 1"
	attrOverhead = len(".=\n")
	sealLine     = 2*sha256.Size + 1
	// MaxMeta bounds the result of MarshalMeta, in bytes.
	MaxMeta = 1500
)

// ErrChecksum says that stored bytes differ from what was put under that key. Stores count it and return ErrMiss.
var ErrChecksum = errors.New("cache: entry fails its checksum")

// MarshalMeta writes the Meta and the seal of an entry that Check has passed.
func (s Seal) MarshalMeta(key string, e Entry) []byte {
	b := fmt.Appendf(make([]byte, 0, 512), "%s\n%s\n%s\n%d %d %d\n%x\n",
		metaVersion, e.ContentType, e.ETag, len(e.Body), e.Created.Unix(), e.Recipe, sha256.Sum256(e.Body))
	for _, k := range slices.Sorted(maps.Keys(e.Attrs)) {
		b = fmt.Appendf(b, ".%s=%s\n", k, e.Attrs[k])
	}
	return append(b, s.line(key, b)...)
}

// UnmarshalMeta parses what MarshalMeta wrote for key; anything else is ErrChecksum.
func (s Seal) UnmarshalMeta(key string, b []byte) (Meta, error) {
	m, _, err := s.unmarshal(key, b)
	return m, err
}

// Unmarshal is UnmarshalMeta with the body, which is verified too.
func (s Seal) Unmarshal(key string, meta, body []byte) (Entry, error) {
	m, want, err := s.unmarshal(key, meta)
	if err != nil {
		return Entry{}, err
	}
	if got := sha256.Sum256(body); m.Size != int64(len(body)) || hex.EncodeToString(got[:]) != want {
		return Entry{}, ErrChecksum
	}
	return Entry{Meta: m, Body: body}, nil
}

func (s Seal) unmarshal(key string, b []byte) (m Meta, bodySum string, err error) {
	if len(b) > MaxMeta || len(b) < sealLine {
		return Meta{}, "", ErrChecksum
	}
	text, sum := b[:len(b)-sealLine], b[len(b)-sealLine:]
	if !s.holds(key, text, sum) {
		return Meta{}, "", ErrChecksum
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) < 5 || lines[0] != metaVersion {
		return Meta{}, "", ErrChecksum
	}
	m.ContentType, m.ETag = lines[1], lines[2]
	if err := m.numbers(lines[3]); err != nil {
		return Meta{}, "", ErrChecksum
	}
	for _, line := range lines[5:] {
		k, v, ok := strings.Cut(line, "=")
		if !ok || k == "" || k[0] != '.' {
			return Meta{}, "", ErrChecksum
		}
		if m.Attrs == nil {
			m.Attrs = make(map[string]string, len(lines)-5)
		}
		m.Attrs[k[1:]] = v
	}
	return m, lines[4], nil
}

func (m *Meta) numbers(line string) error {
	size, rest, _ := strings.Cut(line, " ")
	created, recipe, _ := strings.Cut(rest, " ")
	var err1, err2, err3 error
	var seconds int64
	m.Size, err1 = strconv.ParseInt(size, 10, 64)
	seconds, err2 = strconv.ParseInt(created, 10, 64)
	m.Recipe, err3 = strconv.Atoi(recipe)
	m.Created = time.Unix(seconds, 0).UTC()
	return errors.Join(err1, err2, err3)
}
