// Package console is the operators' page: its files, its sessions, and the pictures that it shows. The page does what
// it does by the API alone.
package console

import (
	"embed"
	"html/template"
	"io"
)

// The files that are shown before anybody has logged in.
const (
	Style = "console.css"
	Icon  = "icon.svg"
)

//go:embed index.html login.html console.css console.js icon.svg uplot
var files embed.FS

const script = "text/javascript; charset=utf-8"

// pages are the files that File gives, by the name that a URL has for them.
var pages = map[string]struct{ file, contentType string }{
	"index.html": {"index.html", "text/html; charset=utf-8"},
	"console.js": {"console.js", script},
	"uplot.js":   {"uplot/uPlot.iife.min.js", script},
	"uplot.css":  {"uplot/uPlot.min.css", "text/css; charset=utf-8"},
	Style:        {Style, "text/css; charset=utf-8"},
	Icon:         {Icon, "image/svg+xml"},
}

// File gives a file and its media type. The caller must not change the bytes.
func File(name string) (body []byte, contentType string, ok bool) {
	p, ok := pages[name]
	if !ok {
		return nil, "", false
	}
	body, err := files.ReadFile(p.file)
	return body, p.contentType, err == nil
}

// Login writes the page that asks for a token; message says why it asks again, "" = it is asked for the first time.
func Login(w io.Writer, message string) error {
	page, err := template.ParseFS(files, "login.html")
	if err != nil {
		return err
	}
	return page.Execute(w, message)
}
