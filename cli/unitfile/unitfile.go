// Package unitfile reads the Data Units of a file.
package unitfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
)

// MaxBytes is the maximum size of a unit: a larger one does not fit into a call.
const MaxBytes = 15 << 20

var errTooLong = fmt.Errorf("it has more than %d MiB, which no call can hold; split the unit", MaxBytes>>20)

// Unit is one Data Unit of a file.
type Unit struct {
	Text []byte // JSON on one line
	Line int    // of its start
	Bad  string // why it is not a valid unit; "" = it may be
}

// Reader reads the Data Units of a file: one a line, an object over several lines, or the elements of an array.
type Reader struct {
	in    *bufio.Reader
	line  int        // of the last line read
	ahead []Unit     // units that were parsed already
	again []textLine // lines to be read again
	array *array     // the current array; nil = none
}

// textLine is a line and its number.
type textLine struct {
	text   []byte
	number int
}

// NewReader returns a Reader.
func NewReader(in io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(in, 64<<10)}
}

// Next returns the next unit; io.EOF = there is none. After any other error nothing more can be read.
func (r *Reader) Next() (Unit, error) {
	for {
		if len(r.ahead) > 0 {
			u := r.ahead[0]
			r.ahead = r.ahead[1:]
			return u.judged(), nil
		}
		if r.array != nil {
			u, err := r.array.next()
			if !errors.Is(err, io.EOF) {
				return u.judged(), err
			}
			r.in, r.line, r.array = r.array.rest()
		}
		l, err := r.readLine()
		if err != nil {
			return Unit{}, err
		}
		if err := r.take(l); err != nil {
			return Unit{}, err
		}
	}
}

// take parses the unit or units that begin on a line, into ahead or array.
func (r *Reader) take(l textLine) (err error) {
	text := bytes.TrimSpace(l.text)
	switch {
	case len(text) == 0:
	case text[0] == '[' && json.Valid(text):
		r.unfold(text, l.number)
	case text[0] == '[':
		r.array, err = r.openArray(l)
	case text[0] == '{' && !json.Valid(text):
		r.ahead = append(r.ahead, r.spread(textLine{text, l.number}))
	default:
		r.ahead = append(r.ahead, Unit{Text: text, Line: l.number})
	}
	return err
}

// judged checks a unit, as far as that is possible without the server.
func (u Unit) judged() Unit {
	switch {
	case u.Bad != "" || len(u.Text) == 0:
	case !json.Valid(u.Text):
		var any json.RawMessage
		u.Bad = fmt.Sprintf("it is not valid JSON: %v", json.Unmarshal(u.Text, &any))
	case u.Text[0] != '{':
		u.Bad = "a unit is a JSON object"
	case isEnvelope(u.Text):
		u.Bad = "it is the body of a call (it has data_units): the file takes the units alone, one a line or as an array; the call's fields are flags"
	}
	return u
}

// isEnvelope reports whether an object is a whole call, not a unit.
func isEnvelope(text []byte) bool {
	if !bytes.Contains(text, []byte(`"data_units"`)) {
		return false
	}
	var call struct {
		Units []json.RawMessage `json:"data_units"`
	}
	return json.Unmarshal(text, &call) == nil && call.Units != nil
}

// readLine reads a line without its line end, which the last line may lack. io.EOF = there is no more.
func (r *Reader) readLine() (textLine, error) {
	if len(r.again) > 0 {
		l := r.again[0]
		r.again = r.again[1:]
		return l, nil
	}
	r.line++
	var line []byte
	for {
		part, err := r.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > MaxBytes:
			return textLine{}, fmt.Errorf("line %d: %w", r.line, errTooLong)
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0, err == nil:
			return textLine{bytes.TrimRight(line, "\r\n"), r.line}, nil
		case errors.Is(err, io.EOF):
			return textLine{}, io.EOF
		default:
			return textLine{}, fmt.Errorf("line %d: %w", r.line, err)
		}
	}
}

// unfold splits an array on one line into its elements.
func (r *Reader) unfold(text []byte, line int) {
	var elements []json.RawMessage
	_ = json.Unmarshal(text, &elements) // checked before
	for _, e := range elements {
		r.ahead = append(r.ahead, Unit{Text: e, Line: line})
	}
}

// spread reads an object over several lines. If the lines are not an object, the first one is a unit that cannot be
// parsed, and the following ones are read again.
func (r *Reader) spread(first textLine) Unit {
	lines := &lineFeed{from: r, taken: []textLine{first}, rest: append(slices.Clone(first.text), '\n')}
	d := json.NewDecoder(lines)
	var text json.RawMessage
	if err := d.Decode(&text); err != nil {
		r.again = append(slices.Clone(lines.taken[1:]), r.again...)
		return Unit{Text: first.text, Line: first.number}
	}
	behind, _ := io.ReadAll(d.Buffered()) // it reads from memory
	if behind = bytes.TrimSpace(append(behind, lines.rest...)); len(behind) > 0 {
		last := lines.taken[len(lines.taken)-1].number
		r.again = append([]textLine{{behind, last}}, r.again...)
	}
	return Unit{Text: compact(text), Line: first.number}
}

// compact puts valid JSON on one line.
func compact(text []byte) []byte {
	var b bytes.Buffer
	_ = json.Compact(&b, text) // checked before
	return b.Bytes()
}

// lineFeed passes one line at a time to a decoder, so that it reads no further than the value.
type lineFeed struct {
	from  *Reader
	taken []textLine
	rest  []byte // of the last line taken
	size  int
}

// Read implements io.Reader.
func (f *lineFeed) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		l, err := f.from.readLine()
		if err != nil {
			return 0, err
		}
		f.taken, f.rest = append(f.taken, l), append(slices.Clone(l.text), '\n')
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	if f.size += n; f.size > MaxBytes {
		return 0, errTooLong
	}
	return n, nil
}

// array reads the elements of an array over several lines.
type array struct {
	d     *json.Decoder
	text  *newlines
	first int // its first line
}

// openArray begins an array on a line.
func (r *Reader) openArray(l textLine) (*array, error) {
	var text []byte
	for _, line := range append([]textLine{l}, r.again...) {
		text = append(append(text, line.text...), '\n')
	}
	r.again = nil
	a := &array{text: &newlines{from: io.MultiReader(bytes.NewReader(text), r.in)}, first: l.number}
	a.d = json.NewDecoder(a.text)
	_, err := a.d.Token() // the bracket
	return a, err
}

// next gives the next element; io.EOF: the array has ended.
func (a *array) next() (Unit, error) {
	var text json.RawMessage
	if a.d.More() {
		if err := a.d.Decode(&text); err != nil {
			return Unit{}, a.broken(err)
		}
		line := a.first + a.text.before(a.d.InputOffset()-int64(len(text)))
		if len(text) > MaxBytes {
			return Unit{}, fmt.Errorf("line %d: %w", line, errTooLong)
		}
		return Unit{Text: compact(text), Line: line}, nil
	}
	if _, err := a.d.Token(); err != nil {
		return Unit{}, a.broken(err)
	}
	return Unit{}, io.EOF
}

// broken is the error for an array that cannot be read further.
func (a *array) broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("line %d: the array is not valid JSON from there on: %w", a.first+a.text.before(a.d.InputOffset()), err)
}

// rest returns the text after the array, and the number of the line before it.
func (a *array) rest() (in *bufio.Reader, line int, none *array) {
	line = a.first + a.text.before(a.d.InputOffset()) - 1
	return bufio.NewReaderSize(io.MultiReader(a.d.Buffered(), a.text.from), 64<<10), line, nil
}

// newlines records the offsets of line ends in what is read through it.
type newlines struct {
	from io.Reader
	read int64
	gone int // dropped line ends
	ends []int64
}

// Read implements io.Reader.
func (n *newlines) Read(p []byte) (int, error) {
	size, err := n.from.Read(p)
	for i, c := range p[:size] {
		if c == '\n' {
			n.ends = append(n.ends, n.read+int64(i))
		}
	}
	n.read += int64(size)
	return size, err
}

// before counts the line ends before an offset. Offsets must not decrease: counted ones are dropped.
func (n *newlines) before(offset int64) int {
	at := sort.Search(len(n.ends), func(i int) bool { return n.ends[i] >= offset })
	n.gone, n.ends = n.gone+at, n.ends[at:]
	return n.gone
}
