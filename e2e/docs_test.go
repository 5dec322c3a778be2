package e2e

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// documents lists all documents with commands, from the root. For those that start their own server, only addresses are
// configured.
func documents(t *testing.T) (files []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "deploy/*.md", "deploy/*/*.md", "clients/*/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(filepath.Join("..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 20 {
		t.Fatalf("only %d documents: %v", len(files), files)
	}
	return files
}

// Every command in the documents is run. Each document runs from top to bottom in one shell, in a copy of the
// repository, against its own server and origin. Placeholder addresses are replaced by those of this run. A block that
// cannot be run here says why; the table of blocks is this test's log.
func TestDocs(t *testing.T) {
	ran := 0
	for _, file := range documents(t) {
		name := strings.TrimPrefix(file, "../")
		blocks, faults := docBlocks(file)
		for _, f := range faults {
			t.Error(f)
		}
		for _, b := range blocks {
			t.Logf("%s:%d: %s: %s", name, b.line, b.lang, b.state())
			if b.runs() {
				ran++
			}
		}
		if slices.ContainsFunc(blocks, docBlock.runs) {
			t.Run(strings.ReplaceAll(name, "/", "-"), func(t *testing.T) { newDocRig(t, name).run(blocks) })
		}
	}
	if ran < 20 {
		t.Errorf("only %d blocks were run", ran)
	}
}

// docRig is the environment in which one document is run.
type docRig struct {
	t        *testing.T
	name     string
	dir      string // a copy of the repository, as far as commands use it
	notes    string // the output of blocks
	env      []string
	replaced *strings.Replacer
}

// ownServer lists the documents that explain how to start a server.
var ownServer = []string{"README.md", "docs/start.md"}

const docConfig = `
server: {listen: %[1]q, admin: %[2]q, base_url: "http://%[1]s", drain: 1s}
signing: {keys: [{key: "736563726574", salt: "68656c6c6f"}], allow_short_keys: true}
api: {tokens: [{name: docs, token: docs-token-0001-0001, scopes: [prewarm, check, sign, explain, purge, admin]}]}
origin: {allow_private: ["127.0.0.0/8"]}
cache: {store: {dir: %[3]s/store, min_free: 1MiB}}
prewarm: {presets: [lite], queue: {dir: %[3]s/queue}}
presets: {lite: "rs:fit:480:0/net:2g", std: "rs:fit:800:0/net:4g"}
`

func newDocRig(t *testing.T, name string) *docRig {
	t.Helper()
	r := &docRig{t: t, name: name, dir: t.TempDir(), notes: t.TempDir()}
	public, admin, data := freePort(t), freePort(t), t.TempDir()
	origin := httptest.NewServer(http.HandlerFunc(docOrigin))
	t.Cleanup(origin.Close)
	r.replaced = strings.NewReplacer("127.0.0.1:8080", public, "localhost:8080", public, "127.0.0.1:8081", admin, "localhost:8081", admin,
		"https://img.example.com", "http://"+public, "http://goldcrest.internal:8081", "http://"+admin,
		"https://www.gstatic.com", origin.URL, "https://example.com", origin.URL, "https://c.example", origin.URL)
	r.copyRepository()
	bin := t.TempDir()
	write(t, filepath.Join(bin, "make"), docMake)
	if err := os.Chmod(filepath.Join(bin, "make"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.env = append(os.Environ(), "PATH="+bin+":"+filepath.Dir(binary)+":"+os.Getenv("PATH"), "BINARY="+binary, "PYTHONPATH=clients/python")
	if slices.Contains(ownServer, name) {
		r.env = append(r.env, "GOLDCREST_SERVER_LISTEN="+public, "GOLDCREST_SERVER_ADMIN="+admin, "GOLDCREST_SERVER_BASE_URL=http://"+public, "GOLDCREST_URL=http://"+admin,
			`GOLDCREST_ORIGIN_ALLOW_PRIVATE=["127.0.0.0/8"]`, "GOLDCREST_CACHE_STORE_MIN_FREE=1MiB")
		return r
	}
	write(t, filepath.Join(data, "config.yaml"), fmt.Sprintf(docConfig, public, admin, data))
	startIn(t, data)
	r.env = append(r.env, "GOLDCREST_CONFIG="+filepath.Join(data, "config.yaml"), "GOLDCREST_URL=http://"+admin,
		"GOLDCREST_TOKEN=docs-token-0001-0001")
	return r
}

// docMake replaces make: a document's targets must exist, but running the build, the tests and the installation would
// run this test again.
const docMake = `#!/bin/bash
set -e
if [ "$*" = build ]; then cp "$BINARY" goldcrest; fi
for a; do case $a in *=*) ;; *) grep -q "^$a:.*## " Makefile || { echo "make: there is no target $a" >&2; exit 2; } ;; esac; done
`

// docOrigin serves a picture at every path that ends like one.
func docOrigin(w http.ResponseWriter, r *http.Request) {
	if ext := filepath.Ext(r.URL.Path); ext != ".jpg" && ext != ".png" {
		http.NotFound(w, r)
		return
	}
	img := image.NewRGBA(image.Rect(0, 0, 900, 600))
	for i := range img.Pix {
		x, y := i/4%900, i/3600
		img.Pix[i] = uint8(x*y/700 + x/5 + 60*(i%4))
	}
	img.SetRGBA(0, 0, color.RGBA{A: 255})
	w.Header().Set("Content-Type", "image/jpeg")
	_ = jpeg.Encode(w, img, &jpeg.Options{Quality: 90}) // The proxy may have left.
}

// copyRepository links the files that commands read, and copies the folders into which they write.
func (r *docRig) copyRepository() {
	root, err := filepath.Abs("..")
	if err != nil {
		r.t.Fatal(err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range entries {
		from, to := filepath.Join(root, e.Name()), filepath.Join(r.dir, e.Name())
		switch e.Name() {
		case ".git", "data", "build", "goldcrest", "e2e":
		case "deploy":
			err = os.CopyFS(to, os.DirFS(from))
		default:
			err = os.Symlink(from, to)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	if clients := os.Getenv("IMGPROXY_CLIENTS"); clients != "" {
		_ = os.Symlink(filepath.Join(clients, "node_modules"), filepath.Join(r.dir, "node_modules")) // Without it some blocks are skipped.
	}
	write(r.t, filepath.Join(r.dir, "units.jsonl"), r.replaced.Replace(
		`{"id": "du_1", "title": "Red shoe", "images": [{"url": "https://example.com/shoe.jpg"}]}`+"\n"+
			`{"id": "du_2", "title": "Hat", "photo": "https://example.com/hat.jpg"}`+"\n"))
}

// script joins all blocks into one shell session. Each block reports its start, and writes its output to a separate
// file.
func (r *docRig) script(blocks []docBlock) string {
	var s strings.Builder
	s.WriteString("set -euo pipefail\n")
	for i, b := range blocks {
		if !b.runs() || r.lacks(b) != "" {
			continue
		}
		body := r.replaced.Replace(b.text)
		if runner := runners[b.lang]; runner != "" {
			text := filepath.Join(r.notes, fmt.Sprintf("text.%d", i))
			write(r.t, text, body)
			if strings.Contains(runner, "%") {
				runner = fmt.Sprintf(runner, i)
			}
			body = "TEXT=" + text + "\n" + runner + "\n"
		}
		fmt.Fprintf(&s, "echo %d >%[2]s/at\n{\n%s\n} >%[2]s/out.%[1]d 2>%[2]s/err.%[1]d\n", i, r.notes, body)
	}
	return s.String() + "echo end >" + r.notes + "/at\n"
}

// lacks is what a block needs and this machine does not have.
func (r *docRig) lacks(b docBlock) string {
	program := map[string]string{"python": "python3", "js": "node", "go": "go"}[b.lang]
	if program != "" {
		if _, err := exec.LookPath(program); err != nil {
			return program + " is not installed"
		}
	}
	if b.how == "run npm" {
		if _, err := os.Stat(filepath.Join(r.dir, "node_modules", "imgproxy")); err != nil {
			return "the published clients are not installed (make test installs them; or set IMGPROXY_CLIENTS)"
		}
	}
	return ""
}

// run runs a document and compares its output blocks with the real output.
func (r *docRig) run(blocks []docBlock) {
	r.t.Helper()
	cmd := exec.Command("bash", "-c", r.script(blocks))
	cmd.Dir, cmd.Env = r.dir, r.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	timer := time.AfterFunc(5*time.Minute, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	err := cmd.Wait()
	timer.Stop()
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // background processes of the blocks
	if err != nil {
		at := strings.TrimSpace(r.note("at"))
		if i, bad := strconv.Atoi(at); bad == nil {
			r.t.Errorf("%s:%d: %v\n%s%s", r.name, blocks[i].line, err, r.note("out."+at), r.note("err."+at))
		} else {
			r.t.Errorf("%s: %v: %s", r.name, bad, err)
		}
	}
	last := -1
	for i, b := range blocks {
		switch why := r.lacks(b); {
		case b.runs() && why != "":
			r.t.Logf("%s:%d: not run: %s", r.name, b.line, why)
			last = -1
		case b.runs():
			last = i
		case b.how == "output" && last >= 0:
			if got, want := r.note(fmt.Sprintf("out.%d", last)), r.replaced.Replace(b.text); !outputMatches(want, got) {
				r.t.Errorf("%s:%d: the block above printed\n%s\nwant\n%s", r.name, b.line, got, want)
			}
		}
	}
}

func (r *docRig) note(name string) string {
	text, _ := os.ReadFile(filepath.Join(r.notes, name)) // A block that did not run has no output.
	return string(bytes.TrimSpace(text)) + "\n"
}
