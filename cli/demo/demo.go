// Package demo shows the product on real pictures: it serves them to several kinds of client and prints what was saved.
package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/app"
	"github.com/goldcrest/goldcrest/client"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
)

// photos is the directory with photos of Debian's package mate-backgrounds (GPL-2+, CC-BY-SA; see its copyright file).
const photos = "/usr/share/backgrounds/mate/nature"

// maxPictures is the maximum number of pictures of a large folder.
const maxPictures = 60

// phone is one kind of client that the demo simulates.
type phone struct{ name, options, accept string }

// clients are typical clients.
func clients() []phone {
	const avif = "image/avif,image/webp,image/apng,image/*,*/*;q=0.8"
	return []phone{
		{"new phone", "rs:fit:800:0", avif},
		{"new phone on 2G", "rs:fit:800:0/net:2g", avif},
		{"older phone", "rs:fit:800:0", "image/webp,image/*,*/*;q=0.8"},
		{"old browser", "rs:fit:800:0", "*/*"},
	}
}

// Options says what is shown, and where.
type Options struct {
	Dir     string // folder of pictures; "" = photos of Debian's mate-backgrounds and generated ones
	Listen  string // address to serve on; another port is taken if it is in use
	Once    bool   // exit after the table
	Version string // of this build
	Out     io.Writer
}

// demo is one run: a loopback origin, a server on a temporary store, and the measurements.
type demo struct {
	Options
	pictures []picture
	origin   string
	admin    string // address of the private listener
	cfg      config.Config
	signer   *client.Signer
	http     *http.Client
	totals   map[string]*total
}

// total sums up one client's requests.
type total struct{ original, served, requests int }

// Run shows the product on real pictures.
func Run(ctx context.Context, o Options) error {
	pictures, err := originals(o.Dir)
	if err != nil {
		return err
	}
	d := &demo{Options: o, pictures: pictures, http: &http.Client{Timeout: time.Minute}, totals: map[string]*total{}}
	stopOrigin, err := d.serveOrigin()
	if err != nil {
		return err
	}
	defer stopOrigin()
	store, err := os.MkdirTemp("", "goldcrest-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(store)
	if err := d.configure(store); err != nil {
		return err
	}
	if err := d.run(ctx, d.firstRound); err != nil {
		return err
	}
	return d.run(ctx, func(ctx context.Context) error {
		if err := d.secondRound(ctx); err != nil || d.Once {
			return err
		}
		fmt.Fprintf(d.Out, "\nServing on %s until Ctrl-C.\nThe console is at http://%s/console/, and the token to log in is %s\nA source for its playground: %s/%s\n",
			d.cfg.Server.BaseURL, d.admin, d.cfg.API.Tokens[0].Token, d.origin, d.pictures[0].name)
		<-ctx.Done()
		return nil
	})
}

// originals reads the originals: the user's folder, or the installed photos and the generated pictures.
func originals(dir string) ([]picture, error) {
	var out []picture
	from := dir
	if from == "" {
		from = photos
		drawn, err := drawnPictures()
		if err != nil {
			return nil, err
		}
		out = drawn
	}
	files, err := os.ReadDir(from)
	if err != nil && dir != "" {
		return nil, fmt.Errorf("the pictures cannot be read: %w", err)
	}
	for _, f := range files {
		ext := strings.ToLower(path.Ext(f.Name()))
		if !slices.Contains([]string{".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".heic", ".tif", ".tiff", ".bmp"}, ext) || len(out) == maxPictures {
			continue
		}
		body, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, picture{f.Name(), body})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there are no pictures in %s; give a folder with .jpg, .png, .webp, .gif, .avif, .heic, .tif or .bmp files", from)
	}
	slices.SortFunc(out, func(a, b picture) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// serveOrigin serves the originals on a loopback port.
func (d *demo) serveOrigin() (stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d.origin = "http://" + l.Addr().String()
	byPath := map[string][]byte{}
	for _, p := range d.pictures {
		byPath["/"+p.name] = p.body
	}
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := byPath[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", http.DetectContentType(body))
		_, _ = w.Write(body) // a client that left is not an error of the origin
	})}
	go srv.Serve(l) //nolint:errcheck // ends with Close
	return func() { _ = srv.Close() }, nil
}

// configure makes a configuration with fresh keys on a temporary store.
func (d *demo) configure(store string) error {
	l, err := net.Listen("tcp", d.Listen)
	if err != nil { // in use: take any free port
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
	}
	listen := l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	secret := make([]byte, 64)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	c := config.Default()
	c.Server.Listen, c.Server.Admin, c.Server.BaseURL = listen, "127.0.0.1:0", "http://"+listen
	c.Server.Drain = time.Second
	c.Signing.Keys = []signing.Key{{Key: hex.EncodeToString(secret[:32]), Salt: hex.EncodeToString(secret[32:])}}
	c.API.Tokens = []access.Token{{Name: "demo", Token: rand.Text(), Scopes: []string{access.ScopePrewarm, access.ScopeCheck, access.ScopeSign, access.ScopeExplain, access.ScopeAdmin}}}
	c.Presets = map[string]string{"lite": "rs:fit:480:0/net:2g", "std": "rs:fit:800:0"}
	c.Prewarm.Door.Presets = []string{"lite", "std"}
	c.Origin.AllowPrivate = []string{"127.0.0.0/8"}
	c.Cache.Store.Dir.Dir, c.Prewarm.Queue.Dir = filepath.Join(store, "pictures"), filepath.Join(store, "queue")
	d.cfg = c
	keys, err := signing.New(c.Signing, time.Now)
	if err != nil {
		return err
	}
	d.signer, err = client.FromKeyring(c.Server.PublicURL(), keys)
	return err
}

// run serves while f runs; it may be called several times on the same store.
func (d *demo) run(ctx context.Context, f func(context.Context) error) error {
	a, err := app.Open(ctx, d.Version, d.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	_, admin, err := a.Listen()
	if err != nil {
		return errors.Join(err, a.Close(ctx))
	}
	d.admin = admin.String()
	serving, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- a.Serve(serving) }()
	err = f(ctx)
	stop()
	return errors.Join(err, <-done, a.Close(context.WithoutCancel(ctx)))
}

// firstRound requests every picture as every client, twice.
func (d *demo) firstRound(ctx context.Context) error {
	from := ""
	if !d.Once { // otherwise the server is gone when the user reads the table
		from = " from " + d.origin
	}
	fmt.Fprintf(d.Out, "%d pictures%s, made 800 px wide for four kinds of client\n\n", len(d.pictures), from)
	fmt.Fprintf(d.Out, "%-22s %-16s %-5s %10s %9s %6s  %-7s %6s\n", "picture", "client", "form.", "original", "served", "saved", "from", "ms")
	for _, p := range d.pictures {
		for _, c := range clients() {
			if err := d.ask(ctx, p, c, true); err != nil {
				return err
			}
		}
	}
	for _, p := range d.pictures[:min(3, len(d.pictures))] {
		if err := d.ask(ctx, p, clients()[0], false); err != nil {
			return err
		}
	}
	return nil
}

// secondRound requests from a restarted server, and prints what was saved.
func (d *demo) secondRound(ctx context.Context) error {
	fmt.Fprintln(d.Out, "-- after a restart on the same store --")
	for _, p := range d.pictures[:min(3, len(d.pictures))] {
		if err := d.ask(ctx, p, clients()[0], false); err != nil {
			return err
		}
	}
	fmt.Fprintln(d.Out, "\nIn all:")
	for _, c := range clients() {
		if t := d.totals[c.name]; t != nil {
			fmt.Fprintf(d.Out, "  %-16s %3d pictures  %s instead of %s: %.1f %% saved\n",
				c.name, t.requests, kilobytes(t.served), kilobytes(t.original), 100*(1-float64(t.served)/float64(t.original)))
		}
	}
	if d.Once {
		fmt.Fprintln(d.Out, "\nWithout -once it goes on serving: signed URLs to open in a browser, and the console.")
		return nil
	}
	fmt.Fprintln(d.Out, "\nSigned URLs to try in a browser:")
	for _, p := range d.pictures[:min(3, len(d.pictures))] {
		url, err := d.signer.URL(d.origin+"/"+p.name, "rs:fit:800:0", 0, 0)
		if err != nil {
			return err
		}
		fmt.Fprintln(d.Out, "  "+url)
	}
	return nil
}

// ask requests one variant and prints its row.
func (d *demo) ask(ctx context.Context, p picture, c phone, count bool) error {
	url, err := d.signer.URL(d.origin+"/"+strings.ReplaceAll(p.name, " ", "%20"), c.options, 0, 0)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", c.accept)
	start := time.Now()
	res, err := d.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	ms := time.Since(start).Milliseconds()
	name := p.name
	if len(name) > 22 {
		name = name[:21] + "~"
	}
	if res.StatusCode != http.StatusOK {
		fmt.Fprintf(d.Out, "%-22s %-16s refused: %s\n", name, c.name, res.Header.Get("X-Error"))
		return nil
	}
	format := strings.TrimPrefix(res.Header.Get("Content-Type"), "image/")
	fmt.Fprintf(d.Out, "%-22s %-16s %-5s %10s %9s %5.1f%%  %-7s %6d\n", name, c.name, format,
		kilobytes(len(p.body)), kilobytes(len(body)), 100*(1-float64(len(body))/float64(len(p.body))), whereFrom(res.Header.Get("Cache-Status")), ms)
	if count {
		t := d.totals[c.name]
		if t == nil {
			t = &total{}
			d.totals[c.name] = t
		}
		t.original, t.served, t.requests = t.original+len(p.body), t.served+len(body), t.requests+1
	}
	return nil
}

// whereFrom turns a Cache-Status into a word.
func whereFrom(status string) string {
	switch {
	case strings.Contains(status, "detail=memory"):
		return "memory"
	case strings.Contains(status, "detail=store"):
		return "store"
	case strings.Contains(status, "fwd=miss"):
		return "made"
	}
	return "?"
}

// kilobytes prints a size as people read it.
func kilobytes(n int) string { return fmt.Sprintf("%.1f kB", float64(n)/1000) }
