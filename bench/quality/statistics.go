package main

import (
	"bytes"
	"math"
	"regexp"
	"slices"

	"github.com/goldcrest/goldcrest/transform/codec/look"
)

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

func deviation(v []float64) float64 {
	m, sum := mean(v), 0.0
	for _, x := range v {
		sum += (x - m) * (x - m)
	}
	return math.Sqrt(sum / float64(len(v)))
}

// percentile interpolates between the two nearest values.
func percentile(v []float64, p float64) float64 {
	s := slices.Sorted(slices.Values(v))
	at := p / 100 * float64(len(s)-1)
	i := min(int(at), len(s)-2)
	if i < 0 {
		return s[0]
	}
	return s[i] + (at-float64(i))*(s[i+1]-s[i])
}

// rounded keeps four decimals of every coefficient: more add nothing, and people can read these.
func rounded(m *look.Model) *look.Model {
	cut := func(v float64) float64 { return math.Round(v*1e4) / 1e4 }
	list := func(v []float64) {
		for i := range v {
			v[i] = cut(v[i])
		}
	}
	list(m.Mean)
	for i, v := range m.Spread {
		m.Spread[i] = math.Max(cut(v), 1e-4)
	}
	for i := range m.Kinds {
		m.Kinds[i].Base = cut(m.Kinds[i].Base)
		list(m.Kinds[i].Weights)
	}
	for _, s := range m.Sets {
		for i := range s.Predictors {
			s.Predictors[i].Base = cut(s.Predictors[i].Base)
			list(s.Predictors[i].Weights)
		}
	}
	return m
}

var numberLists = regexp.MustCompile(`\[[-0-9.e,\s]+\]`)

// compact writes each list of numbers in one line, so that a diff of two models is a diff of lines.
func compact(b []byte) []byte {
	return numberLists.ReplaceAllFunc(b, func(list []byte) []byte {
		return bytes.ReplaceAll(bytes.Join(bytes.Fields(list), nil), []byte(","), []byte(", "))
	})
}
