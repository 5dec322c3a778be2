package bmp

import "github.com/goldcrest/goldcrest/fault"

// Icon is a picture of an icon file: a BMP without its file header, followed by a transparency mask.
type Icon struct{ file *File }

// ParseIcon reads the header. The header reader has checked that it is complete and that its size is possible.
func ParseIcon(b []byte, width, height int) (Icon, error) {
	f, err := Parse(append(make([]byte, 14), b...), width, height)
	if err != nil {
		return Icon{}, err
	}
	if f.compression != raw {
		return Icon{}, fault.New(fault.UnsupportedFormat, "bmp.ParseIcon", "this kind of icon is not supported", nil)
	}
	if f.depth == 32 {
		f.masks[3] = 0xff000000
	}
	return Icon{f}, nil
}

// Draw writes the pixels with alpha, four bytes each, from top to bottom. 32-bit icons use their own alpha, unless it
// is 0 everywhere; all others use the mask.
func (i Icon) Draw(to []byte) error {
	f := i.file
	if f.Bands() == 4 {
		if err := f.Draw(to); err != nil {
			return err
		}
		for at := 3; at < len(to); at += 4 {
			if to[at] != 0 {
				return nil
			}
		}
		i.drawMask(to)
		return nil
	}
	colours := make([]byte, 3*f.Width*f.Height)
	if err := f.Draw(colours); err != nil {
		return err
	}
	for p := range f.Width * f.Height {
		copy(to[4*p:4*p+3], colours[3*p:])
	}
	i.drawMask(to)
	return nil
}

// drawMask sets alpha from the mask. Where the mask is truncated or missing, the picture is opaque.
func (i Icon) drawMask(to []byte) {
	f := i.file
	stride := (f.Width + 31) / 32 * 4
	mask := f.pixels[(f.Width*f.depth+31)/32*4*f.Height:]
	for y := range f.Height {
		row := (f.Height - 1 - y) * stride
		for x := range f.Width {
			alpha := byte(255)
			if at := row + x/8; at < len(mask) && mask[at]>>(7-x%8)&1 == 1 {
				alpha = 0
			}
			to[4*(y*f.Width+x)+3] = alpha
		}
	}
}
