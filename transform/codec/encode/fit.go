package encode

import (
	"fmt"

	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/variant"
)

// lowestQuality is the lowest q of a search for a number of bytes: below it a picture is not worth its bytes.
const lowestQuality = 10

// maxEncodes bounds such a search.
const maxEncodes = 6

// fit finds the highest q between low and high whose encode has at most limit bytes, in at most maxEncodes encodes. If
// there is none, it returns the encode of the lowest q, with a note.
func (e *Encoder) fit(f variant.Format, s choose.Settings, limit, high, low int) (Encoded, error) {
	s.Q = high
	last, err := e.save(f, s)
	if err != nil || len(last.Body) <= limit {
		return last, err
	}
	var best Encoded
	for n := 1; n < maxEncodes-1 && low < high && e.Time.More(); n++ {
		s.Q = (low + high) / 2
		if last, err = e.save(f, s); err != nil {
			return Encoded{}, err
		}
		if len(last.Body) <= limit {
			best, low = last, s.Q+1
		} else {
			high = s.Q
		}
	}
	if best.Body == nil {
		s.Q = low
		if best, err = e.save(f, s); err != nil {
			return Encoded{}, err
		}
	}
	if len(best.Body) > limit {
		best.Note = fmt.Sprintf("%d bytes are not enough even at the lowest q", limit)
	} else {
		best.Note = fmt.Sprintf("lower q to fit %d bytes", limit)
	}
	return best, nil
}
