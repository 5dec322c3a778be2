package codec

import (
	"fmt"

	"github.com/goldcrest/goldcrest/variant"
)

// fit finds the highest q between low and high whose bytes stay within limit, in at most maxEncodes encodes. If none
// does, the lowest is the answer and says so.
func (e *encoder) fit(f variant.Format, s settings, limit, high, low int) (encoded, error) {
	s.q = high
	last, err := e.save(f, s)
	if err != nil || len(last.body) <= limit {
		return last, err
	}
	var best encoded
	for n := 1; n < maxEncodes-1 && low < high && e.time.More(); n++ {
		s.q = (low + high) / 2
		if last, err = e.save(f, s); err != nil {
			return encoded{}, err
		}
		if len(last.body) <= limit {
			best, low = last, s.q+1
		} else {
			high = s.q
		}
	}
	if best.body == nil {
		s.q = low
		if best, err = e.save(f, s); err != nil {
			return encoded{}, err
		}
	}
	if len(best.body) > limit {
		best.note = fmt.Sprintf("%d bytes are not enough even at the lowest q", limit)
	} else {
		best.note = fmt.Sprintf("lower q to fit %d bytes", limit)
	}
	return best, nil
}
