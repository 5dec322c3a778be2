// Package pages draws documents whose words are known: articles, receipts, forms, screens, terminals, tables, slides,
// scans and photographed pages, in several fonts and sizes. Equal numbers give equal documents.
package pages

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goitalic"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// Page is a drawn document.
type Page struct {
	Name  string
	Body  []byte   // a PNG or JPEG
	Words []string // all that are drawn
}

// Draw draws n pages of each layout. dir may hold more fonts (*.ttf), which are used beside Go's own.
func Draw(n int, dir string) (all []Page, err error) {
	fonts, err := load(dir)
	if err != nil {
		return nil, err
	}
	for l, name := range layouts() {
		for i := range n {
			s := &sheet{random: rand.New(rand.NewPCG(uint64(l), uint64(i))), fonts: fonts}
			s.base = fonts[(i+l)%len(fonts)]
			s.px = 20 + 2*float64(i%6)
			name.draw(s)
			p := Page{Name: fmt.Sprintf("%s-%d", name.name, i), Words: s.words}
			if p.Body, err = encode(s); err != nil {
				return nil, err
			}
			all = append(all, p)
		}
	}
	return all, nil
}

func encode(s *sheet) ([]byte, error) {
	var out bytes.Buffer
	if s.photo {
		err := jpeg.Encode(&out, s.img, &jpeg.Options{Quality: 92})
		return out.Bytes(), err
	}
	err := png.Encode(&out, s.img)
	return out.Bytes(), err
}

func load(dir string) (fonts []*opentype.Font, err error) {
	files := [][]byte{goregular.TTF, gomono.TTF, gobold.TTF, goitalic.TTF}
	more, err := filepath.Glob(filepath.Join(dir, "*.ttf"))
	if err != nil {
		return nil, err
	}
	slices.Sort(more)
	for _, file := range more {
		body, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		files = append(files, body)
	}
	for _, body := range files {
		f, err := opentype.Parse(body)
		if err != nil {
			return nil, err
		}
		fonts = append(fonts, f)
	}
	return fonts, nil
}

// sheet is a page that is being drawn.
type sheet struct {
	img    *image.NRGBA
	random *rand.Rand
	fonts  []*opentype.Font
	base   *opentype.Font
	px     float64 // of its text
	words  []string
	photo  bool // encoded as a JPEG
}

// paper starts a page of one colour.
func (s *sheet) paper(w, h int, c color.NRGBA) {
	s.img = image.NewNRGBA(image.Rect(0, 0, w, h))
	s.box(s.img.Rect, c)
}

func (s *sheet) box(r image.Rectangle, c color.NRGBA) {
	draw.Draw(s.img, r, image.NewUniform(c), image.Point{}, draw.Src)
}

// write draws a line of text from x, y (its base line) in times the page's size, and returns where it ends.
func (s *sheet) write(x, y int, times float64, c color.NRGBA, text string) int {
	face, err := opentype.NewFace(s.base, &opentype.FaceOptions{Size: s.px * times, DPI: 72})
	if err != nil {
		panic(err) // The size is above 0.
	}
	d := font.Drawer{Dst: s.img, Src: image.NewUniform(c), Face: face, Dot: fixed.P(x, y)}
	d.DrawString(text)
	s.words = append(s.words, strings.Fields(text)...)
	return d.Dot.X.Ceil()
}

// fill draws random words until a line is full.
func (s *sheet) fill(x, y, to int, times float64, c color.NRGBA) {
	for room := int(s.px * times * 5); x+room < to; {
		x = s.write(x, y, times, c, s.word()) + int(s.px*times/3)
	}
}

// line is the distance of lines of text.
func (s *sheet) line(times float64) int { return int(s.px * times * 1.5) }

func (s *sheet) word() string { return vocabulary[s.random.IntN(len(vocabulary))] }

func (s *sheet) price() string {
	return fmt.Sprintf("%d.%02d", 1+s.random.IntN(300), s.random.IntN(100))
}

// title is a word with an upper-case first letter.
func (s *sheet) title() string {
	w := s.word()
	return strings.ToUpper(w[:1]) + w[1:]
}

// grain adds noise, as of a sensor or of paper.
func (s *sheet) grain(most int) {
	for i := 0; i < len(s.img.Pix); i += 4 {
		d := s.random.IntN(2*most+1) - most
		for b := range 3 {
			s.img.Pix[i+b] = clip(int(s.img.Pix[i+b]) + d)
		}
	}
}

func clip(v int) uint8 { return uint8(max(0, min(255, v))) }

// vocabulary has words that tesseract's English model reads without doubt.
var vocabulary = strings.Fields(`
about above account address after again against agree almost along always amount animal answer April apple
around August autumn balance basket because before begin behind below between blanket bottle branch bread
bridge bright bring broken brother budget building business butter button camera candle captain carry castle
centre chance change children choose circle clean clear clothes coffee colour common company complete consider
contain cotton country cover credit cross customer danger daughter December decide deliver discount distance
doctor dollar double drawing dress during early earth either electric engine enough evening every example
expect family farmer father February field figure finger finish flower follow foreign forest forward Friday
friend front garden general gentle glass golden ground group harbour hospital husband important increase
island January journey kitchen knowledge language large letter library machine market material measure member
message metal middle minute Monday money morning mother mountain narrow natural needle network nothing
November number object October office orange order paper payment people perhaps pencil picture planet please
pocket position possible potato present pressure problem product question railway reason receipt record
regular remember repeat river Saturday school second September service several shelter shoulder silver simple
sister smooth spring station storm straight street strong sudden sugar summer Sunday surface system teacher
through Thursday ticket together tomorrow total travel trouble Tuesday under uncle until value village voice
walk water Wednesday weather weight window winter within without woman wooden yellow yesterday`)
