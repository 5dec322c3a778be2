package choose

import (
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/variant"
)

// Target is the score for a weight class; legible kinds have a minimum.
func Target(w Wish, kind look.Kind) float64 {
	q := w.Targets.OrDefault()
	t := q.Normal
	switch w.Spec.Class {
	case variant.ClassHigh:
		t = q.High
	case variant.ClassSaver:
		t = q.Saver
	}
	if kind.Legible() {
		t = max(t, q.TextFloor)
	}
	return t
}

// The smaller letters are, the more of them is lost at the same score. At 60, a machine reads a fifth fewer words of
// tiny letters than without loss, and 5 to 20 % fewer of small ones. At 70 it reads as many of small ones, and 4 to 7 %
// fewer of tiny ones. Tuned by iq, libaom scores about 4 points higher for as many words.
const (
	tinyMore   = 2 // above the target of the class normal
	tinyMoreIQ = 5
)

// target is the Target of a picture that was probed. Print in small letters has that of the class normal at least,
// and no more than that of the class high.
func (a *Chooser) target(w Wish, kind look.Kind, v *look.View) float64 {
	t := Target(w, kind)
	if !kind.Legible() || v.Letters == look.LettersLarge {
		return t
	}
	q := w.Targets.OrDefault()
	least := q.Normal
	switch {
	case v.Letters == look.LettersSmall:
	case w.Format == variant.AVIF && a.iq:
		least += tinyMoreIQ
	default:
		least += tinyMore
	}
	return max(t, min(least, q.High))
}
