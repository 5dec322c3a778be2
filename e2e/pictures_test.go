package e2e

import (
	"bytes"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha256"
	bytewise "encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"
	"time"
)

var (
	red    = color.NRGBA{220, 30, 30, 255}
	green  = color.NRGBA{30, 200, 30, 255}
	blue   = color.NRGBA{30, 30, 220, 255}
	yellow = color.NRGBA{230, 220, 40, 255}
	white  = color.NRGBA{255, 255, 255, 255}
)

// quarters draws red, green / blue, last.
func quarters(w, h int, last color.NRGBA) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i, c := range []color.NRGBA{red, green, blue, last} {
		x, y := i%2*w/2, i/2*h/2
		draw.Draw(img, image.Rect(x, y, x+w/2, y+h/2), image.NewUniform(c), image.Point{}, draw.Src)
	}
	return img
}

// noise draws a picture that no encoder makes small.
func noise(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	seed := uint32(1)
	for i := range img.Pix {
		seed = seed*1664525 + 1013904223
		img.Pix[i] = byte(seed >> 24)
	}
	return img
}

func near(a, b color.NRGBA, d int) bool {
	for _, v := range []int{int(a.R) - int(b.R), int(a.G) - int(b.G), int(a.B) - int(b.B)} {
		if v > d || v < -d {
			return false
		}
	}
	return true
}

// encoded returns the output of an encoder.
func encoded(t *testing.T, write func(*bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(t *testing.T, img image.Image, q int) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, img, &jpeg.Options{Quality: q}) })
}

func pngOf(t *testing.T, img image.Image) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, img) })
}

// paletted is the picture with a palette of its own colours.
func paletted(img *image.NRGBA) *image.Paletted {
	p := image.NewPaletted(img.Rect, color.Palette{red, green, blue, yellow})
	draw.Draw(p, p.Rect, img, image.Point{}, draw.Src)
	return p
}

func paletteOf(t *testing.T, img *image.NRGBA) []byte {
	t.Helper()
	return pngOf(t, paletted(img))
}

func gifOf(t *testing.T, img *image.NRGBA) []byte {
	t.Helper()
	return encoded(t, func(b *bytes.Buffer) error { return gif.Encode(b, paletted(img), nil) })
}

// deepOf is a PNG of 16 bits per channel.
func deepOf(t *testing.T, img *image.NRGBA) []byte {
	t.Helper()
	deep := image.NewNRGBA64(img.Rect)
	draw.Draw(deep, deep.Rect, img, image.Point{}, draw.Src)
	return pngOf(t, deep)
}

// laOf is a PNG of grey and alpha, which Go's encoder does not support: opaque in its left half, transparent in its
// right.
func laOf(t *testing.T, w, h int, grey byte) []byte {
	t.Helper()
	line := make([]byte, 1+2*w) // Filter 0.
	for x := range w / 2 {
		line[1+2*x], line[2+2*x] = grey, 255
	}
	pixels := encoded(t, func(b *bytes.Buffer) error {
		z := zlib.NewWriter(b)
		for range h {
			if _, err := z.Write(line); err != nil {
				return err
			}
		}
		return z.Close()
	})
	out := []byte("\x89PNG\r\n\x1a\n")
	chunk := func(name string, data []byte) {
		out = bytewise.BigEndian.AppendUint32(out, uint32(len(data)))
		from := len(out)
		out = append(append(out, name...), data...)
		out = bytewise.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[from:]))
	}
	head := bytewise.BigEndian.AppendUint32(bytewise.BigEndian.AppendUint32(nil, uint32(w)), uint32(h))
	chunk("IHDR", append(head, 8, 4, 0, 0, 0))
	chunk("IDAT", pixels)
	chunk("IEND", nil)
	return out
}

// withOrientation inserts an EXIF block with an orientation after a JPEG's start.
func withOrientation(b []byte, orientation byte) []byte {
	exif := append([]byte("Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00"), orientation, 0, 0, 0, 0, 0, 0)
	head := bytewise.BigEndian.AppendUint16([]byte{0xff, 0xd8, 0xff, 0xe1}, uint16(len(exif)+2))
	return append(append(head, exif...), b[2:]...)
}

// object reads an object of the S3 server like any client: with a signed request, returning its headers.
func (s *s3) object(t *testing.T, bucket, key string) answer {
	t.Helper()
	now := time.Now().UTC()
	date, day := now.Format("20060102T150405Z"), now.Format("20060102")
	host, path := strings.TrimPrefix(s.proxy.url, "http://"), "/"+bucket+"/"+key
	const names, payload = "host;x-amz-content-sha256;x-amz-date", "UNSIGNED-PAYLOAD"
	request := fmt.Sprintf("GET\n%s\n\nhost:%s\nx-amz-content-sha256:%s\nx-amz-date:%s\n\n%s\n%s", path, host, payload, date, names, payload)
	scope := day + "/us-east-1/s3/aws4_request"
	sum := sha256.Sum256([]byte(request))
	mac := []byte("AWS4test-secret-key")
	for _, text := range []string{day, "us-east-1", "s3", "aws4_request", "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + hex.EncodeToString(sum[:])} {
		h := hmac.New(sha256.New, mac)
		h.Write([]byte(text))
		mac = h.Sum(nil)
	}
	a, err := send("GET", s.proxy.url+path, nil, "X-Amz-Date", date, "X-Amz-Content-Sha256", payload,
		"Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=test-access/%s, SignedHeaders=%s, Signature=%x", scope, names, mac))
	if err != nil || a.StatusCode != 200 {
		t.Fatalf("%s: %v %+v", path, err, a.Response)
	}
	return a
}
