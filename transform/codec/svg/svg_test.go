package svg

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

// root wraps the content of a document.
func root(inside string) string {
	return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ` +
		`width="40" height="20">` + inside + `</svg>`
}

// A document that refers outside, or costs too much, is refused by its kind.
func TestReadRefuses(t *testing.T) {
	laughs := `<g id="a0"><rect/></g>`
	for i := range 20 {
		laughs += fmt.Sprintf(`<g id="a%d">%s</g>`, i+1, strings.Repeat(fmt.Sprintf(`<use xlink:href="#a%d"/>`, i), 10))
	}
	// patterns draws a pattern whose elements are painted with the next one, and so on; N is its number.
	patterns := func(css, paint string) string {
		var b, sheet strings.Builder
		for i := range 9 {
			sheet.WriteString(strings.ReplaceAll(css, "N", strconv.Itoa(i)))
			fmt.Fprintf(&b, `<pattern id="p%d">%s</pattern>`, i, strings.ReplaceAll(paint, "N", strconv.Itoa(i+1)))
		}
		return root("<style>" + sheet.String() + "</style>" + b.String() + strings.ReplaceAll(paint, "N", "0"))
	}
	many := func(text string) string { return strings.Repeat(text, 2000) }
	for name, tt := range map[string]struct {
		document string
		want     fault.Kind
	}{
		"paints by attribute": {patterns("", strings.Repeat(`<rect fill="url(#pN)"/>`, 10)), fault.TooCostly},
		"paints in escapes":   {patterns("", strings.Repeat(`<rect style="fill:u\72l(#pN)"/>`, 10)), fault.TooCostly},
		"paints for children": {patterns("", `<g fill="url(#pN)">`+
			strings.Repeat("<rect/>", 10)+"</g>"), fault.TooCostly},
		"paints by class": {patterns(".cN{fill:url(#pN)}",
			strings.Repeat(`<rect class="a cN"/>`, 10)), fault.TooCostly},
		"paints by two classes": {patterns("@media all{g > .a.cN, .b{fill:url( '#pN')}}",
			strings.Repeat(`<rect class="a cN"/>`, 10)), fault.TooCostly},
		"paints by a quoted brace": {patterns(".cN{marker:'{.z{';fill:url(#pN)}",
			strings.Repeat(`<rect class="cN"/>`, 10)), fault.TooCostly},
		"paints by an attribute's value": {patterns("[x='N']{fill:url(#pN)}",
			strings.Repeat(`<rect x="N"/>`, 10)), fault.TooCostly},
		"paints behind a comment in quotes": {root(`<style>a{marker:"/*"} .r{fill:url(#p)} a{marker:"*/"}</style>` +
			`<pattern id="p">` + many("<rect/>") + `</pattern>` + many(`<rect class="r"/>`)), fault.TooCostly},
		"uses of a cycle": {root(`<g id="x"><use href="#y"/>` + many("<rect/>") + `</g><g id="y"><use href="#x"/></g>` +
			many(`<use href="#y"/>`)), fault.TooCostly},
		"selectors times references": {root(`<style>` + many("a,") + "a{" + many("fill:url(#a);") + `}</style><g/>`),
			fault.TooCostly},
		"classes times references": {root(`<style>.a{` + many("fill:url(#a);") + `}</style>` +
			`<g class="` + many("a ") + `"/>`), fault.TooCostly},
		"elements times rules": {root(`<style>` + many("*{fill:url(#a)}") + `</style>` + many("<g/>")),
			fault.TooCostly},
		"escaped import": {root(`<style>@\69mport "http://a/b.css";</style>`), fault.UnsupportedFormat},
		"escaped url":    {root(`<rect style="filter:\u\000072 l(b.svg#a)"/>`), fault.UnsupportedFormat},
		"entity": {`<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + root(`<text>&x;</text>`),
			fault.UnsupportedFormat},
		"unknown entity":    {root(`<text>&x;</text>`), fault.DecodeFailed},
		"remote picture":    {root(`<image href="http://127.0.0.1/a.png"/>`), fault.UnsupportedFormat},
		"picture of a file": {root(`<image xlink:href="file:///etc/passwd"/>`), fault.UnsupportedFormat},
		"picture as data":   {root(`<image href="data:image/png;base64,AAAA"/>`), fault.UnsupportedFormat},
		"picture in filter": {root(`<filter id="f"><feImage href="a.png"/></filter>`), fault.UnsupportedFormat},
		"another prefix":    {`<svg xmlns="http://www.w3.org/2000/svg" xmlns:l="http://www.w3.org/1999/xlink"><use l:href="b.svg#a"/></svg>`, fault.UnsupportedFormat},
		"use of a file":     {root(`<use href="/b.svg#a"/>`), fault.UnsupportedFormat},
		"import":            {root(`<style>@IMPORT "http://a/b.css";</style>`), fault.UnsupportedFormat},
		"font": {root(`<style>@font-face{font-family:x;src:url('http://a/b.ttf')}</style>`),
			fault.UnsupportedFormat},
		"fill from a file":  {root(`<rect fill="URL( &quot;b.svg#a&quot;)"/>`), fault.UnsupportedFormat},
		"style from a file": {root(`<rect style="fill:red;filter:url(b.svg#a)"/>`), fault.UnsupportedFormat},
		"style behind İ":    {root(`<style>.İİİİ{fill:red;filter:url(b.svg#a)}</style>`), fault.UnsupportedFormat},
		"uses of uses":      {root(laughs), fault.TooCostly},
		"depth":             {root(strings.Repeat("<g>", 70) + strings.Repeat("</g>", 70)), fault.TooCostly},
		"elements":          {root(strings.Repeat("<g/>", maxElements)), fault.TooCostly},
		"filters": {root(`<filter>` + strings.Repeat("<feFlood/>", maxFilters+1) + `</filter>`),
			fault.TooCostly},
		"bytes":          {root(strings.Repeat(" ", maxBytes)), fault.TooCostly},
		"cut off":        {root("")[:60], fault.TruncatedSource},
		"not closed":     {strings.TrimSuffix(root("<g/>"), "</svg>"), fault.TruncatedSource},
		"wrongly closed": {root("<g></h>"), fault.DecodeFailed},
		"two roots":      {root("") + root(""), fault.DecodeFailed},
		"UTF-16":         {"\xff\xfe<\x00s\x00v\x00g\x00", fault.DecodeFailed},
		"other encoding": {`<?xml version="1.0" encoding="utf-7"?>` + root(""), fault.DecodeFailed},
		"nothing":        {"", fault.TruncatedSource},
		"script alone":   {`<script xmlns="http://www.w3.org/2000/svg"/>`, fault.DecodeFailed},
	} {
		if _, err := Read([]byte(tt.document)); fault.KindOf(err) != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

// The input of librsvg contains the elements that draw, and nothing that runs or refers outside.
func TestSVGKeepsOnlyElementsThatDraw(t *testing.T) {
	document := `<?xml version="1.0"?><?xml-stylesheet href="a.css"?><!DOCTYPE svg PUBLIC "a" "b"><!-- c -->` +
		`<s:svg xmlns:s="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xlink" ` +
		`width="1in" viewBox="0 0 4 2" onload="a()" xml:base="http://a/">` +
		`<s:script>alert("&lt;")</s:script><s:metadata><r:RDF xmlns:r="r"><r:g/></r:RDF></s:metadata>` +
		`<s:foreignObject><body xmlns="http://www.w3.org/1999/xhtml"/></s:foreignObject>` +
		`<s:a x:href="javascript:a()"><s:text onclick="b()" xml:space="preserve">a &amp; <![CDATA[<b>]]></s:text></s:a>` +
		`<s:use x:href="#q"/><g/></s:svg>`
	want := `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ` +
		`width="96" height="48" viewBox="0 0 4 2">` +
		`<a><text xml:space="preserve">a &amp; &lt;b&gt;</text></a><use xlink:href="#q"></use></svg>`
	d, err := Read([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	if string(d.text) != want || d.Width != 96 || d.Height != 48 || !d.lettered {
		t.Errorf("%+v: %s\nwant %s", d, d.text, want)
	}
	again, err := Read(d.text)
	if err != nil || string(again.text) != want {
		t.Errorf("read again: %s, %v", again.text, err)
	}
}

// The more buffers a document may need, the smaller it is drawn.
func TestMaxPixels(t *testing.T) {
	plain, err := Read([]byte(root("<rect/>")))
	if err != nil {
		t.Fatal(err)
	}
	heavy, err := Read([]byte(root(`<filter>` + strings.Repeat("<feFlood/>", maxFilters) + `</filter>`)))
	if err != nil {
		t.Fatal(err)
	}
	if plain.MaxPixels() != drawPixels || heavy.MaxPixels()*4*(maxFilters+3) > drawMemory ||
		heavy.MaxPixels() < 300_000 {
		t.Errorf("%d and %d pixels", plain.MaxPixels(), heavy.MaxPixels())
	}
}

// Colours and alpha are correct, and text is drawn in fontFiles.
func TestDraw(t *testing.T) {
	p := Open()
	documents, text := p.Usable()
	if !documents {
		t.Skip("librsvg is not installed")
	}
	d, err := Read([]byte(root(`<rect width="20" height="20" fill="#804020" fill-opacity="0.5"/>`)))
	if err != nil {
		t.Fatal(err)
	}
	pixels := make([]byte, 80*40*4)
	if err := p.Draw(d, pixels, 80, 40); err != nil {
		t.Fatal(err)
	}
	near := func(got, want byte) bool { return got-want+1 <= 2 }
	if at := pixels[4*39:]; !near(at[0], 0x80) || !near(at[1], 0x40) || !near(at[2], 0x20) || !near(at[3], 0x80) ||
		pixels[4*40+3] != 0 {
		t.Errorf("the left half is %v, the right %v", at[:4], pixels[4*40:4*41])
	}
	if !text {
		t.Skip("no font is installed")
	}
	var last []byte
	for _, style := range []string{"", `font-weight="bold"`, `font-family="DejaVu Sans Mono"`,
		`font-family="Nobody's" font-style="italic"`} {
		d, err := Read([]byte(root(`<text y="15" ` + style + `>ab</text>`)))
		if err != nil {
			t.Fatal(err)
		}
		pixels := make([]byte, 80*40*4)
		if err := p.Draw(d, pixels, 80, 40); err != nil || !inked(pixels) || string(pixels) == string(last) {
			t.Errorf("%s: no text, or that of another font: %v", style, err)
		}
		last = pixels
	}
}

// Every accepted document is rewritten to XML that reads as itself, and draws without a crash.
func FuzzRead(f *testing.F) {
	f.Add([]byte(warmText))
	f.Add([]byte(root(`<style>.a{fill:url(#g)}</style><linearGradient id="g"/>` +
		`<use href="#u"/><g id="u"><use href="#u"/></g>`)))
	if dir := os.Getenv("GOLDCREST_CORPUS"); dir != "" {
		files, _ := filepath.Glob(filepath.Join(dir, "hostile", "*.svg"))
		for _, name := range files {
			if b, err := os.ReadFile(name); err == nil {
				f.Add(b)
			}
		}
	}
	p := Open()
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Read(b)
		if err != nil {
			if fault.Of(err) == nil || fault.KindOf(err) == fault.Internal {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := Read(d.text)
		if err != nil || string(again.text) != string(d.text) {
			t.Fatalf("%q is read again as %v, %v", d.text, again, err)
		}
		for _, never := range []string{"<script", "<!", "<?"} {
			if strings.Contains(string(d.text), never) {
				t.Fatalf("%q holds %s", d.text, never)
			}
		}
		if ok, _ := p.Usable(); ok && len(b) < 2000 {
			_ = p.Draw(d, make([]byte, 16*16*4), 16, 16)
		}
	})
}

// Elements that refer back to themselves are drawn without that reference, and are no reason to refuse a document.
func TestReadAllowsCycles(t *testing.T) {
	for _, inside := range []string{
		`<style>*{fill:url(#p)}</style><pattern id="p"><rect/></pattern><rect/>`,
		`<g fill="url(#p)"><pattern id="p"><rect/></pattern><rect/></g>`,
		`<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>`,
	} {
		if _, err := Read([]byte(root(inside))); err != nil {
			t.Errorf("%s: %v", inside, err)
		}
	}
}
