// Package console is the operators' page: its files, its sessions, and the pictures that it shows. Everything the page
// does goes through the API.
package console

import (
	"embed"
	"html/template"
	"io"
)

// The files that are shown without login.
const (
	Style = "console.css"
	Icon  = "icon.svg"
)

//go:embed index.html login.html console.css console.js icon.svg uplot
var files embed.FS

const script = "text/javascript; charset=utf-8"

// pages are the files that File returns, by their name in the URL.
var pages = map[string]struct{ file, contentType string }{
	"index.html": {"index.html", "text/html; charset=utf-8"},
	"console.js": {"console.js", script},
	"uplot.js":   {"uplot/uPlot.iife.min.js", script},
	"uplot.css":  {"uplot/uPlot.min.css", "text/css; charset=utf-8"},
	Style:        {Style, "text/css; charset=utf-8"},
	Icon:         {Icon, "image/svg+xml"},
}

// File returns a file and its media type. The caller must not change the bytes.
func File(name string) (body []byte, contentType string, ok bool) {
	p, ok := pages[name]
	if !ok {
		return nil, "", false
	}
	body, err := files.ReadFile(p.file)
	return body, p.contentType, err == nil
}

// Login writes the login page; message says why the last attempt failed, "" = it is the first.
func Login(w io.Writer, message string) error {
	page, err := template.ParseFS(files, "login.html")
	if err != nil {
		return err
	}
	return page.Execute(w, message)
}
