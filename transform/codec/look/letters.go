package look

// #include "letters.h"
import "C"

// Letters is the size of the letters of print. They are measured without ascenders.
type Letters int

// The sizes. Letters of five pixels are about those of a font of 10 pixels.
const (
	LettersLarge Letters = iota // or no letters
	LettersSmall                // six pixels and less
	LettersTiny                 // five pixels and less
)

// The share of lines from which letters count as small or tiny, and a number of lines that tells little.
const (
	lettersFrom = 0.2
	fewLines    = 4
)

// letters is the size of the letters of a sample.
func (s sample) letters() Letters {
	l := C.gc_letters(at(s.rgb), C.int(s.tiles))
	from := lettersFrom * float64(l.all+fewLines)
	switch {
	case float64(l.tiny) >= from:
		return LettersTiny
	case float64(l.small) >= from:
		return LettersSmall
	}
	return LettersLarge
}
