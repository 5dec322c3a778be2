package judge

import (
	"slices"

	"github.com/goldcrest/goldcrest/transform/codec/score"
	"github.com/goldcrest/goldcrest/transform/codec/sequence"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// Film compares AVIFs of one animation with its frames: the first, the middle and the last. It belongs to one goroutine
// at a time.
type Film struct {
	frames  sequence.Frames
	watched []int
	refs    []score.Pixels
	scorer  *score.Scorer
}

// NewFilm makes a Film, which the caller must close. The samples of the frames must stay until then. It returns nil for
// frames that are too small for a score.
func NewFilm(f sequence.Frames) (*Film, error) {
	s, err := score.New(f.Width, f.Height)
	if err == score.ErrSize {
		return nil, nil
	} else if err != nil {
		return nil, vips.Internal("judge.NewFilm", err)
	}
	n, one := len(f.Delays), f.Width*f.Height*f.Bands
	j := &Film{frames: f, watched: slices.Compact([]int{0, n / 2, n - 1}), scorer: s}
	for _, i := range j.watched {
		j.refs = append(j.refs, wide(f.Samples[i*one:(i+1)*one], f.Width, f.Height, f.Bands))
	}
	return j, nil
}

// Close frees the memory.
func (j *Film) Close() { j.scorer.Close() }

// Score returns the mean SSIMULACRA2 of an AVIF's frames, and the lowest.
func (j *Film) Score(body []byte) (all, worst float64, err error) {
	samples, err := sequence.Decode(body, j.frames, j.watched)
	if err != nil {
		return 0, 0, vips.Internal("judge.Film", err)
	}
	one := len(samples) / len(j.watched)
	for i, ref := range j.refs {
		got := score.Pixels{Data: samples[i*one:], Width: ref.Width, Height: ref.Height, Bands: ref.Bands}
		v, err := j.scorer.Score(ref, got)
		if err != nil {
			return 0, 0, vips.Internal("judge.Film", err)
		}
		if all += v / float64(len(j.refs)); i == 0 || v < worst {
			worst = v
		}
	}
	return all, worst, nil
}
