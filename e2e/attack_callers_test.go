package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestAttackErrorsByHeaders is attack 3.1: a stranger's header causes an error that a cache in front would serve to
// everybody. Behind the shipped nginx and Varnish the picture is unaffected, and the server itself lets no cache keep
// such an error.
func TestAttackErrorsByHeaders(t *testing.T) {
	corpus(t)
	headers := [][]string{
		{"Via", "1.1 goldcrest"}, {"Via", "1.0 a, 1.1 goldcrest, 1.1 b"}, {"Range", "bytes=999999999-"}, {"If-Match", `"no"`}, {"Cache-Control", "only-if-cached"},
		{"X-Forwarded-Host", "evil.example"}, {"If-Range", `"no"`}, {"Origin", "https://evil.example"},
	}
	for name, front := range edges {
		t.Run(name, func(t *testing.T) {
			o, s := startOrigin(t), start(t)
			cached := front(t, strings.TrimPrefix(s.public, "http://"))
			for i, header := range headers {
				path := signed(fmt.Sprintf("w:%d/f:jpg", 60+i), o.URL+"/photos/groceries.jpg")
				// The attacker is the first to request it.
				if a, err := request("GET", s.public+path, header...); err == nil && a.StatusCode >= 400 && !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
					t.Errorf("%v: %d may be kept: %s", header, a.StatusCode, a.Header.Get("Cache-Control"))
				}
				path = signed(fmt.Sprintf("w:%d/f:jpg", 90+i), o.URL+"/photos/groceries.jpg")
				_, _ = request("GET", cached+path, header...)
				if a, err := request("GET", cached+path); err != nil || a.StatusCode != 200 || !strings.HasPrefix(a.Header.Get("Content-Type"), "image/") {
					t.Errorf("after %v by a stranger others get %v, %v", header, a.Response, err)
				}
			}
		})
	}
}

// TestAttackDocumentsThatInstruct is attack 3.4: a user's text that looks like a call sets variants, priority,
// lifetimes and a callback. Posted as a unit it is only a document: the call's own variants are made, and no callback
// is sent.
func TestAttackDocumentsThatInstruct(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	var called atomic.Int64
	o.on("/called", func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost { // It is also fetched, since it may be a picture.
			called.Add(1)
		}
	})
	s := start(t, append(prewarmEnv, "GOLDCREST_PREWARM_CALLBACKS_ALLOW=[\""+o.URL+"\"]",
		"GOLDCREST_PREWARM_CALLBACKS_SECRETS=[{id: a, secret_file: "+callbackSecret(t)+"}]")...)
	photo := o.URL + "/photos/groceries.jpg"
	instructions := `"variants":["rs:fit:777:0/f:png"],"priority":"high","ttl":"87600h","callback":{"url":"` + o.URL + `/called","events":["job.done"]}`
	for name, document := range map[string]string{
		"urls":       `{"urls":["` + photo + `"],` + instructions + `}`,
		"data_units": `{"data_units":[{"id":"x","data":{"photo":"` + photo + `"},"select":["$.photo"],"variants":["rs:fit:778:0/f:png"]}],` + instructions + `}`,
		"wrapped":    `{"id":"x","data":{"photo":"` + photo + `"},"variants":["rs:fit:779:0/f:png"]}`,
	} {
		a := s.prewarm("?body=unit&variants=rs:fit:60:0%2Ff:jpg", document)
		s.ended(a.Job)
		got := s.verdicts(a.Job)
		if len(got) == 0 {
			t.Errorf("%s: no image was found", name)
		}
		for _, v := range got {
			if strings.Contains(v.Name, ":77") || v.Format == "png" {
				t.Errorf("%s: the document had %+v made", name, v)
			}
		}
		for _, u := range a.Units {
			for _, image := range u.Images {
				for _, v := range image.Variants {
					if strings.Contains(v.URL, "/exp:") {
						t.Errorf("%s: the document set a lifetime: %s", name, v.URL)
					}
				}
			}
		}
	}
	if n := called.Load(); n != 0 {
		t.Errorf("documents had %d callbacks sent", n)
	}
}

// TestAttackTamperedEntries is attack 3.5 in its simplest form: someone with write access to the store replaces a body
// by a page and keeps the rest. The page is not served, and the entry is made again.
func TestAttackTamperedEntries(t *testing.T) {
	corpus(t)
	const page = "<html><script>alert(1)</script></html>"
	dir, o := t.TempDir(), startOrigin(t)
	env := "GOLDCREST_CACHE_SEAL_KEY=[{key: " + strings.Repeat("sealed-", 8) + "}]"
	path := signed("rs:fit:100:0/f:jpg", o.URL+"/photos/groceries.jpg")
	s := startIn(t, dir, env)
	whole := s.get(path)
	s.stop()
	tampered := 0
	for name, tamper := range map[string]func(entry []byte) []byte{
		"body":  func(e []byte) []byte { return append(e[:len(e)-len(whole.body):len(e)-len(whole.body)], page...) },
		"bytes": func(e []byte) []byte { return append(e[:len(e)-len(page):len(e)-len(page)], page...) },
		"type": func(e []byte) []byte {
			return []byte(strings.Replace(string(e), "image/jpeg", "text/html\n", 1))
		},
		"all": func([]byte) []byte { return []byte(page) },
	} {
		err := filepath.WalkDir(filepath.Join(dir, "store", "v1"), func(file string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			entry, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			tampered++
			return os.WriteFile(file, tamper(entry), 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
		s := startIn(t, dir, env)
		a := s.get(path)
		a.want(t, "Content-Type", "image/jpeg")
		a.want(t, "Cache-Status", "goldcrest; fwd=miss")
		if a.StatusCode != 200 || strings.Contains(string(a.body), "<script>") {
			t.Errorf("%s: %d %.100s", name, a.StatusCode, a.body)
		}
		s.stop()
	}
	if tampered != 4 {
		t.Errorf("%d entries were tampered with", tampered)
	}
}

// TestAttackGuessers is attack 3.6: many wrong logins and wrong bearer tokens from one address. They are refused, while
// a client with the right one at the same address is accepted at once.
func TestAttackGuessers(t *testing.T) {
	s := start(t, consoleEnv...)
	login := func(token string) int {
		a, err := send("POST", s.admin+"/console/login", strings.NewReader(url.Values{"token": {token}}.Encode()),
			"Content-Type", "application/x-www-form-urlencoded", "Origin", s.admin, "Sec-Fetch-Site", "same-origin")
		if err != nil {
			t.Fatal(err)
		}
		return a.StatusCode
	}
	statuses := map[int]int{}
	for i := range 20 {
		statuses[login(fmt.Sprintf("a-guess-of-the-token-%02d", i))]++
	}
	if statuses[429] < 15 {
		t.Errorf("twenty wrong logins: %v", statuses)
	}
	if got := login(backendToken); got != http.StatusSeeOther {
		t.Errorf("the right token after them: got %d", got)
	}
	clear(statuses)
	for i := range 200 {
		a, err := request("GET", s.admin+"/v1/stats", "Authorization", fmt.Sprintf("Bearer a-guess-of-the-token-%03d", i))
		if err != nil {
			t.Fatal(err)
		}
		statuses[a.StatusCode]++
	}
	if statuses[401]+statuses[429] != 200 || statuses[429] < 135 {
		t.Errorf("two hundred wrong bearer tokens: %v", statuses)
	}
	if a := s.call("GET", "/v1/stats", ""); a.StatusCode != 200 {
		t.Errorf("the right token after them: got %d", a.StatusCode)
	}
}
