package codec

import (
	"cmp"
	"fmt"
	"math"
	"runtime"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/svg"
	"github.com/goldcrest/goldcrest/variant"
)

// source is one original, ready to be decoded as often as the variants need.
type source struct {
	original []byte
	master   *variant.Master // of the original that original stands for; nil = it is one
	body     []byte          // what is decoded: the original, or a mended copy
	info     sniff.Info
	strict   strictness
	exif     orientation
	facts    facts
	stored   size     // one frame as stored; of a master, its original upright
	decoded  size     // one frame as it is decoded in full; less than stored where a master is smaller
	useICC   bool     // the profile says other than sRGB
	colours  *colours // what the file says without a profile; nil = sRGB
	ownFile
	delays []int
	pin    runtime.Pinner
	shared map[loadKey]*pixmap
	uses   map[loadKey]int
}

// ownFile is a file that is read in Go, as far as that was done; nil = another format.
type ownFile struct {
	gif *gifFile
	svg *svg.Drawing
}

// loadKey names one way of decoding a source; equal keys give equal pixels.
type loadKey struct {
	shrink int
	scale  float64
	pages  int
}

// open reads what the decoder says of the picture and decides how strictly it is decoded.
func open(original variant.Original, info sniff.Info, lim Limits) (*source, error) {
	s := &source{original: original.Body, master: original.Master, body: original.Body, info: info, strict: whole, shared: map[loadKey]*pixmap{}, uses: map[loadKey]int{}}
	if err := s.prepare(lim); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *source) prepare(lim Limits) error {
	if s.info.Format == "png" {
		if err := checkPNG(s.body); err != nil {
			return err
		}
		s.strict = withoutError
		if s.info.LacksEnd {
			return cmp.Or(s.mendPNG(), s.probe(lim))
		}
	}
	if s.info.Format == "gif" {
		return cmp.Or(s.openGIF(), s.probe(lim))
	}
	if s.info.Format == "svg" {
		var err error
		s.svg, err = svg.Read(s.body)
		return cmp.Or(err, s.probe(lim))
	}
	err := s.probe(lim)
	if fault.KindOf(err) == fault.DecodeFailed && s.vouch() {
		err = s.probe(lim)
	}
	if err != nil || !s.info.LacksEnd {
		return err
	}
	return s.mend()
}

func (s *source) close() {
	for _, im := range s.shared {
		im.free()
	}
	s.pin.Unpin()
}

// probe opens the picture without decoding it. The decoder's own idea of the size counts too: it is what it will
// allocate.
func (s *source) probe(lim Limits) error {
	var im *pixmap
	if s.decodedInGo() {
		in := s.info
		s.facts = facts{width: in.Width, height: in.Height, bands: 4, bits: 8, alpha: in.Format == "gif" || in.Alpha, rgb: true}
		if !s.facts.alpha {
			s.facts.bands = 3
		}
		if s.gif != nil {
			s.facts.loop, s.delays = s.gif.loop, s.gif.delays()
		}
	} else {
		var err error
		if im, err = s.load(loadKey{}); err != nil {
			return err
		}
		defer im.free()
		s.facts = im.facts()
	}
	s.decoded = size{s.facts.width, s.facts.height}
	s.stored = s.decoded
	if m := s.master; m != nil {
		s.stored = size{m.Width, m.Height}
	}
	if s.stored.area() > lim.Pixels {
		return fault.New(fault.TooManyPixels, "codec.open", fmt.Sprintf("the picture has %d x %d pixels, more than is allowed", s.stored.W, s.stored.H), nil)
	}
	s.exif = exifOrientation(s.info.Orientation)
	if im == nil {
		return nil
	}
	s.delays = im.delays()
	s.setColours(im.profile())
	return nil
}

// bytes is the size of the original.
func (s *source) bytes() int64 { return variant.Original{Body: s.original, Master: s.master}.Bytes() }

// format is the original's.
func (s *source) format() string {
	if s.master != nil {
		return s.master.Format
	}
	return s.info.Format
}

// reduced is how much smaller than its original a master is; 1 for an original.
func (s *source) reduced() float64 {
	return math.Min(float64(s.decoded.W)/float64(s.stored.W), float64(s.decoded.H)/float64(s.stored.H))
}

// load opens the picture in one way. The pixels are decoded when they are first wanted.
func (s *source) load(k loadKey) (*pixmap, error) {
	if im := s.shared[k]; im != nil {
		return im.clone(), nil
	}
	im, err := s.decode(k)
	if err != nil {
		return nil, err
	}
	if s.uses[k] > 1 {
		if err := s.keep(im); err != nil {
			im.free()
			return nil, undecodable("codec.load", err)
		}
		s.shared[k] = im
		return im.clone(), nil
	}
	return im, nil
}

// decodedInGo reports whether the format is one that libvips does not read for us.
func (s *source) decodedInGo() bool {
	return s.info.Format == "bmp" || s.info.Format == "gif" || s.info.Format == "svg"
}

// keep brings loaded pixels into memory, where those decoded in Go are already.
func (s *source) keep(im *pixmap) error {
	if s.decodedInGo() {
		return nil
	}
	return im.memory()
}

func (s *source) decode(k loadKey) (*pixmap, error) {
	switch s.info.Format {
	case "bmp":
		return s.loadBMP()
	case "gif":
		return s.loadGIF(max(k.pages, 1))
	case "svg":
		return s.drawSVG(k.scale)
	case "jxl":
		if !hasOperation("jxlload_buffer") {
			return nil, fault.New(fault.UnsupportedFormat, "codec.load", "JPEG XL is not read by this server", nil)
		}
	}
	im, err := load(&s.pin, s.body, loading{kind: loaders[s.info.Format], shrink: k.shrink, scale: k.scale, pages: k.pages, strict: s.strict})
	if err == nil {
		if err = im.plain(s.info.Premultiplied); err != nil {
			im.free()
		}
	}
	if err != nil {
		return nil, undecodable("codec.load", err)
	}
	return im, nil
}

// share counts how many distinct pictures each way of decoding serves, so that a way needed twice is decoded once.
// Decoding to memory first gives the same pixels, so it changes no variant. A picture that does not fit in memory bytes
// is decoded each time, and groups that follow a larger one need none.
func (s *source) share(groups [][]*job, follows []bool, memory int64) {
	for i, group := range groups {
		if follows[i] {
			continue
		}
		k := group[0].load
		bytes := s.decoded.area() * int64(k.pages) * int64(s.facts.bands*s.facts.bits/8)
		if memory <= 0 || bytes <= memory {
			s.uses[k]++
		}
	}
}

// mend accepts a JPEG that lacks only its end marker, provided that at least 99 % of its rows decode without a
// complaint.
func (s *source) mend() error {
	s.body = append(append(make([]byte, 0, len(s.original)+2), s.original...), 0xff, 0xd9)
	cut := func(cause error) error {
		return fault.New(fault.TruncatedSource, "codec.mend", "the picture is cut off", cause)
	}
	s.strict = withoutWarning
	im, err := s.load(loadKey{})
	if err != nil {
		return cut(err)
	}
	defer im.free()
	rows := int(math.Ceil(float64(s.stored.H) * 0.99))
	if err := im.extract(rect{0, 0, s.stored.W, rows}); err != nil {
		return cut(err)
	}
	if err := im.touch(); err != nil {
		return cut(err)
	}
	s.strict = forgiving
	return nil
}

// undecodable is the fault of a picture whose pixels cannot be read. Whether the file was complete is known before, so
// what remains is a broken one. The public sentence never holds the library's text: it may speak of another picture.
func undecodable(op string, cause error) error {
	return fault.New(fault.DecodeFailed, op, "the picture cannot be decoded", cause)
}
