// Package decode opens originals: it reads their properties, their colours and their pixels. An original that it cannot
// read is a fault of the original.
package decode

import (
	"cmp"
	"fmt"
	"math"
	"runtime"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/transform/codec/svg"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// maxScans is the largest number of scans of a JPEG to decode. Each scan costs a pass over the whole picture.
const maxScans = 100

// Source is an opened original. It can be decoded once for each way in which the variants need it.
type Source struct {
	Original []byte
	Master   *variant.Master // set if Original is a master of another original; nil = it is an original
	Info     sniff.Info
	Exif     geometry.Orientation
	Facts    vips.Facts
	Stored   geometry.Size // one frame as stored; for a master, its original upright
	decoded  geometry.Size // one frame as decoded in full; smaller than Stored for a smaller master
	Delays   []int
	samples
	ownFile
	loads
}

// samples is what the samples mean.
type samples struct {
	UseICC  bool     // the profile is not sRGB
	Colours *colours // colours of a file without a profile; nil = sRGB
}

// loads are the pixels decoded from the source.
type loads struct {
	body   []byte // the bytes to decode: the original, or a repaired copy
	strict vips.Strictness
	pin    runtime.Pinner
	shared map[LoadKey]*vips.Image
	uses   map[LoadKey]int
}

// ownFile is a file that is decoded in Go or has a size of its own, as far as it is parsed; nil = another format.
type ownFile struct {
	gif *gifFile
	ico *sniff.Icon
	pdf float64 // pixels per point at the page's own size
	Svg *svg.Drawing

	Profile, EXIF []byte // as embedded
}

// LoadKey is one way of decoding a source; equal keys give equal pixels.
type LoadKey struct {
	Shrink int
	Scale  float64
	Pages  int
}

// Open reads the picture's header with the decoder and decides how strictly it is decoded.
func Open(original variant.Original, lim transform.Limits) (*Source, error) {
	info, err := original.Inspect()
	if err != nil {
		return nil, err
	}
	if err := admit(info, lim); err != nil {
		return nil, err
	}
	s := &Source{
		Original: original.Body, Master: original.Master, Info: info,
		loads: loads{body: original.Body, strict: vips.Whole, shared: map[LoadKey]*vips.Image{}, uses: map[LoadKey]int{}},
	}
	if err := s.prepare(lim); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Source) prepare(lim transform.Limits) error {
	if s.Info.Format == "png" {
		if err := checkPNG(s.body); err != nil {
			return err
		}
		s.strict = vips.WithoutError
		if s.Info.LacksEnd {
			return cmp.Or(s.mendPNG(), s.probe(lim))
		}
	}
	if s.Info.Format == "gif" {
		return cmp.Or(s.openGIF(), s.probe(lim))
	}
	if s.Info.Format == "svg" {
		var err error
		s.Svg, err = svg.Read(s.body)
		return cmp.Or(err, s.probe(lim))
	}
	if s.Info.Format == "ico" {
		return cmp.Or(s.openICO(), s.probe(lim))
	}
	err := s.probe(lim)
	if fault.KindOf(err) == fault.DecodeFailed && s.Vouch() {
		err = s.probe(lim)
	}
	if err != nil || !s.Info.LacksEnd {
		return err
	}
	return s.mend()
}

// Close frees decoded pictures.
func (s *Source) Close() {
	for _, im := range s.shared {
		im.Free()
	}
	s.pin.Unpin()
}

// probe opens the picture without decoding it. It also checks the size that the decoder reports, since that is what the
// decoder allocates.
func (s *Source) probe(lim transform.Limits) error {
	var im *vips.Image
	if s.decodedInGo() {
		in := s.Info
		s.Facts = vips.Facts{Width: in.Width, Height: in.Height, Bands: 4, Bits: 8, Alpha: in.Format == "gif" || in.Alpha, Rgb: true}
		if !s.Facts.Alpha {
			s.Facts.Bands = 3
		}
		if s.gif != nil {
			s.Facts.Loop, s.Delays = s.gif.loop, s.gif.delays()
		}
	} else {
		var err error
		if im, err = s.Load(LoadKey{}); err != nil {
			return err
		}
		defer im.Free()
		s.Facts = im.Facts()
	}
	s.decoded = geometry.Size{W: s.Facts.Width, H: s.Facts.Height}
	s.Stored = s.decoded
	if m := s.Master; m != nil {
		s.Stored = geometry.Size{W: m.Width, H: m.Height}
	}
	if s.Stored.Area() > lim.Pixels {
		return fault.New(fault.TooManyPixels, "codec.open", fmt.Sprintf("the picture has %d x %d pixels, more than is allowed", s.Stored.W, s.Stored.H), nil)
	}
	s.Exif = geometry.EXIF(s.Info.Orientation)
	if im == nil {
		return nil
	}
	s.Delays = im.Delays()
	s.Profile, s.EXIF = im.Profile(), im.EXIF()
	s.setColours(s.Profile)
	return nil
}

// Bytes is the size of the original.
func (s *Source) Bytes() int64 { return variant.Original{Body: s.Original, Master: s.Master}.Bytes() }

// Format is the format of the original, also for a master.
func (s *Source) Format() string {
	if s.Master != nil {
		return s.Master.Format
	}
	return s.Info.Format
}

// Reduced is the ratio of a master's size to its original's; 1 for an original.
func (s *Source) Reduced() float64 {
	return math.Min(float64(s.decoded.W)/float64(s.Stored.W), float64(s.decoded.H)/float64(s.Stored.H))
}

// Load opens the picture in one way. The pixels are decoded when they are first read.
func (s *Source) Load(k LoadKey) (*vips.Image, error) {
	if im := s.shared[k]; im != nil {
		return im.Clone(), nil
	}
	im, err := s.decode(k)
	if err != nil {
		return nil, err
	}
	if s.uses[k] > 1 {
		if err := s.Keep(im); err != nil {
			im.Free()
			return nil, vips.Undecodable("codec.load", err)
		}
		s.shared[k] = im
		return im.Clone(), nil
	}
	return im, nil
}

// decodedInGo reports whether the file is decoded in Go instead of libvips.
func (s *Source) decodedInGo() bool {
	switch s.Info.Format {
	case "bmp", "gif", "svg":
		return true
	}
	return s.ico != nil && !s.ico.PNG
}

// Keep copies loaded pixels into memory. Those decoded in Go are in memory already.
func (s *Source) Keep(im *vips.Image) error {
	if s.decodedInGo() {
		return nil
	}
	return im.Memory()
}

func (s *Source) decode(k LoadKey) (*vips.Image, error) {
	switch s.Info.Format {
	case "bmp":
		return s.loadBMP()
	case "gif":
		return s.loadGIF(max(k.Pages, 1))
	case "svg":
		return s.drawSVG(k.Scale)
	case "pdf":
		return s.drawPDF(k.Scale)
	case "ico":
		if !s.ico.PNG {
			return s.drawICO()
		}
	case "jxl":
		if !vips.HasOperation("jxlload_buffer") {
			return nil, fault.New(fault.UnsupportedFormat, "codec.load", "JPEG XL is not read by this server", nil)
		}
	}
	im, err := vips.Load(&s.pin, s.body, vips.Loading{Format: s.Info.Format, Shrink: k.Shrink, Scale: k.Scale, Pages: k.Pages, Strict: s.strict})
	if err == nil {
		if err = im.Plain(s.Info.Premultiplied); err != nil {
			im.Free()
		}
	}
	if err != nil {
		return nil, vips.Undecodable("codec.load", err)
	}
	return im, nil
}

// Share counts the pictures that use one way of decoding, so that it is done once if several need it. Decoding to
// memory first gives the same pixels, so no variant changes. A picture that needs more bytes than memory is decoded
// each time.
func (s *Source) Share(k LoadKey, memory int64) {
	bytes := s.decoded.Area() * int64(k.Pages) * int64(s.Facts.Bands*s.Facts.Bits/8)
	if memory <= 0 || bytes <= memory {
		s.uses[k]++
	}
}

// mend accepts a JPEG that lacks only its end marker, if at least 99 % of its rows decode without a complaint.
func (s *Source) mend() error {
	s.body = append(append(make([]byte, 0, len(s.Original)+2), s.Original...), 0xff, 0xd9)
	cut := func(cause error) error {
		return fault.New(fault.TruncatedSource, "codec.mend", "the picture is cut off", cause)
	}
	s.strict = vips.WithoutWarning
	im, err := s.Load(LoadKey{})
	if err != nil {
		return cut(err)
	}
	defer im.Free()
	rows := int(math.Ceil(float64(s.Stored.H) * 0.99))
	if err := im.Extract(geometry.Rect{X: 0, Y: 0, W: s.Stored.W, H: rows}); err != nil {
		return cut(err)
	}
	if err := im.Touch(); err != nil {
		return cut(err)
	}
	s.strict = vips.Forgiving
	return nil
}

// admit checks the header. It refuses truncated files, whatever size they declare, and files that cost too much to
// decode.
func admit(info sniff.Info, lim transform.Limits) error {
	const op = "codec.admit"
	if !info.Complete && !info.LacksEnd {
		return fault.New(fault.TruncatedSource, op, "the picture is cut off", nil)
	}
	if info.Pixels() > lim.Pixels {
		return fault.New(fault.TooManyPixels, op, fmt.Sprintf("the picture has %d x %d pixels, more than is allowed", info.Width, info.Height), nil)
	}
	if info.Scans > maxScans {
		return fault.New(fault.TooCostly, op, fmt.Sprintf("the JPEG has %d scans, at most %d are decoded", info.Scans, maxScans), nil)
	}
	return nil
}
