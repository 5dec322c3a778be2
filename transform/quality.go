package transform

import "github.com/goldcrest/goldcrest/invalid"

// Quality holds the targets of the automatic quality, as scores of SSIMULACRA2: 90 cannot be distinguished from the
// original, 70 is high, 50 medium, 30 low.
type Quality struct {
	// High is the target of net:wifi.
	High float64 `yaml:"high"`
	// Normal is the target of net:4g, of net:3g and of URLs without a network option.
	Normal float64 `yaml:"normal"`
	// Saver is the target of net:2g and of clients that save data.
	Saver float64 `yaml:"saver"`
	// TextFloor is the minimum for pictures with print in any class.
	TextFloor float64 `yaml:"text_floor"`
}

// DefaultQuality is the default. People judged pictures with these scores to be high and medium; the floor is where
// recognition of small print begins to fail.
func DefaultQuality() Quality { return Quality{High: 80, Normal: 70, Saver: 50, TextFloor: 60} }

// OrDefault returns q, or the default if q is the zero value.
func (q Quality) OrDefault() Quality {
	if q == (Quality{}) {
		return DefaultQuality()
	}
	return q
}

// Validate reports every invalid target.
func (q Quality) Validate() error {
	var bad invalid.Values
	for _, t := range []struct {
		name  string
		value float64
	}{{"high", q.High}, {"normal", q.Normal}, {"saver", q.Saver}, {"text_floor", q.TextFloor}} {
		bad.If(t.value < 40 || t.value > 85, "quality.%s: %g is not between 40 and 85, "+
			"the scores that the automatic quality can aim at", t.name, t.value)
	}
	bad.If(q.Saver > q.Normal || q.Normal > q.High, "quality: saver, normal and high must rise in this order")
	return bad.Err()
}
