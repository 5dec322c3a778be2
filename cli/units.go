package cli

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

// maxLineBytes is the longest unit of a file: a longer one does not fit into any call.
const maxLineBytes = 15 << 20

var errTooLong = fmt.Errorf("it has more than %d MiB, which no call can hold; split the unit", maxLineBytes>>20)

// fileUnit is one Data Unit of a file.
type fileUnit struct {
	text []byte // JSON on one line
	line int    // where it begins
	bad  string // why it cannot be a unit; "" = it may be one
}

// unitReader reads the Data Units of a file: one a line, an object spread over several lines, or the elements of an array.
type unitReader struct {
	in    *bufio.Reader
	line  int        // the last one read
	ahead []fileUnit // units that were read already
	again []textLine // lines that were read and are to be read once more
	array *unitArray // the array that is being read; nil = none
}

// textLine is a line and its number.
type textLine struct {
	text   []byte
	number int
}

func newUnitReader(in io.Reader) *unitReader {
	return &unitReader{in: bufio.NewReaderSize(in, 64<<10)}
}

// next gives the next unit; io.EOF: there is none. After any other error nothing more can be read.
func (r *unitReader) next() (fileUnit, error) {
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
			return fileUnit{}, err
		}
		text := bytes.TrimSpace(l.text)
		switch {
		case len(text) == 0:
		case text[0] == '[' && json.Valid(text):
			r.unfold(text, l.number)
		case text[0] == '[':
			if r.array, err = r.openArray(l); err != nil {
				return fileUnit{}, err
			}
		case text[0] == '{' && !json.Valid(text):
			r.ahead = append(r.ahead, r.spread(textLine{text, l.number}))
		default:
			return fileUnit{text: text, line: l.number}.judged(), nil
		}
	}
}

// judged says why a unit cannot be one, as far as that shows without the server.
func (u fileUnit) judged() fileUnit {
	switch {
	case u.bad != "" || len(u.text) == 0:
	case !json.Valid(u.text):
		var any json.RawMessage
		u.bad = fmt.Sprintf("it is not valid JSON: %v", json.Unmarshal(u.text, &any))
	case u.text[0] != '{':
		u.bad = "a unit is a JSON object"
	case isEnvelope(u.text):
		u.bad = "it is the body of a call (it has data_units): the file takes the units alone, one a line or as an array; the call's fields are flags"
	}
	return u
}

// isEnvelope reports whether an object is a whole call rather than a unit.
func isEnvelope(text []byte) bool {
	if !bytes.Contains(text, []byte(`"data_units"`)) {
		return false
	}
	var call struct {
		Units []json.RawMessage `json:"data_units"`
	}
	return json.Unmarshal(text, &call) == nil && call.Units != nil
}

// readLine reads a line without its end; the last one may lack it. io.EOF: there is no more.
func (r *unitReader) readLine() (textLine, error) {
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
		case len(line) > maxLineBytes:
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

// unfold takes the elements of an array that stands on one line.
func (r *unitReader) unfold(text []byte, line int) {
	var elements []json.RawMessage
	_ = json.Unmarshal(text, &elements) // It was found valid.
	for _, e := range elements {
		r.ahead = append(r.ahead, fileUnit{text: e, line: line})
	}
}

// spread reads an object that begins on a line and ends on a later one. Where none does, the line alone is a unit that cannot be read,
// and those behind it are read for themselves.
func (r *unitReader) spread(first textLine) fileUnit {
	lines := &lineFeed{from: r, taken: []textLine{first}, rest: append(slices.Clone(first.text), '\n')}
	d := json.NewDecoder(lines)
	var text json.RawMessage
	if err := d.Decode(&text); err != nil {
		r.again = append(slices.Clone(lines.taken[1:]), r.again...)
		return fileUnit{text: first.text, line: first.number}
	}
	behind, _ := io.ReadAll(d.Buffered()) // It reads from memory.
	if behind = bytes.TrimSpace(append(behind, lines.rest...)); len(behind) > 0 {
		last := lines.taken[len(lines.taken)-1].number
		r.again = append([]textLine{{behind, last}}, r.again...)
	}
	return fileUnit{text: compact(text), line: first.number}
}

// compact puts valid JSON on one line.
func compact(text []byte) []byte {
	var b bytes.Buffer
	_ = json.Compact(&b, text) // It is valid.
	return b.Bytes()
}

// lineFeed gives a decoder one line at a time, so that it reads no further than the value goes.
type lineFeed struct {
	from  *unitReader
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
	if f.size += n; f.size > maxLineBytes {
		return 0, errTooLong
	}
	return n, nil
}

// unitArray reads the elements of an array that spans lines.
type unitArray struct {
	d     *json.Decoder
	text  *newlines
	first int // the line on which it begins
}

// openArray begins an array on a line.
func (r *unitReader) openArray(l textLine) (*unitArray, error) {
	var text []byte
	for _, line := range append([]textLine{l}, r.again...) {
		text = append(append(text, line.text...), '\n')
	}
	r.again = nil
	a := &unitArray{text: &newlines{from: io.MultiReader(bytes.NewReader(text), r.in)}, first: l.number}
	a.d = json.NewDecoder(a.text)
	_, err := a.d.Token() // It is the bracket.
	return a, err
}

// next gives the next element; io.EOF: the array has ended.
func (a *unitArray) next() (fileUnit, error) {
	var text json.RawMessage
	if a.d.More() {
		if err := a.d.Decode(&text); err != nil {
			return fileUnit{}, a.broken(err)
		}
		line := a.first + a.text.before(a.d.InputOffset()-int64(len(text)))
		if len(text) > maxLineBytes {
			return fileUnit{}, fmt.Errorf("line %d: %w", line, errTooLong)
		}
		return fileUnit{text: compact(text), line: line}, nil
	}
	if _, err := a.d.Token(); err != nil {
		return fileUnit{}, a.broken(err)
	}
	return fileUnit{}, io.EOF
}

// broken says where the array cannot be read any more.
func (a *unitArray) broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("line %d: the array is no valid JSON from there on: %w", a.first+a.text.before(a.d.InputOffset()), err)
}

// rest is what follows the array, and the number of the line before it.
func (a *unitArray) rest() (in *bufio.Reader, line int, none *unitArray) {
	line = a.first + a.text.before(a.d.InputOffset()) - 1
	return bufio.NewReaderSize(io.MultiReader(a.d.Buffered(), a.text.from), 64<<10), line, nil
}

// newlines notes where the lines end in what is read through it.
type newlines struct {
	from io.Reader
	read int64
	gone int // ends that are not listed any more
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

// before counts the ends before an offset. Offsets never come down: what is counted is forgotten.
func (n *newlines) before(offset int64) int {
	at := sort.Search(len(n.ends), func(i int) bool { return n.ends[i] >= offset })
	n.gone, n.ends = n.gone+at, n.ends[at:]
	return n.gone
}
