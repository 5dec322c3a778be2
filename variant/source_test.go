package variant

import (
	"bufio"
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant/naming"
)

// vectors reads a table of the corpus: a row as a map from column to text.
func vectors(t *testing.T, name string) []map[string]string {
	t.Helper()
	corpus := os.Getenv("GOLDCREST_CORPUS")
	if corpus == "" {
		corpus = filepath.Join("..", "..", "shared", "corpus")
	}
	file, err := os.Open(filepath.Join(corpus, "vectors", name))
	if err != nil {
		t.Skipf("no corpus (set GOLDCREST_CORPUS): %v", err)
	}
	defer file.Close()
	var rows []map[string]string
	var columns []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Split(lines.Text(), "\t")
		if columns == nil {
			columns = fields
			continue
		}
		row := map[string]string{}
		for i, column := range columns {
			row[column] = fields[i]
		}
		rows = append(rows, row)
	}
	return rows
}

func TestParseSource(t *testing.T) {
	for _, test := range []struct{ raw, want string }{
		{"http://example.com", "http://example.com"},
		{"HTTPS://Example.com:8443/A%2fb?x=%zz&y=é", "HTTPS://Example.com:8443/A%2fb?x=%zz&y=%C3%A9"},
		{"http://example.com/a b?c d", "http://example.com/a%20b?c%20d"},
		{"http://example.com/100%/x", "http://example.com/100%25/x"},
		{"http://example.com/a#b", "http://example.com/a"},
		{"http://example.com/a\\b\"<>^`{|}", "http://example.com/a%5Cb%22%3C%3E%5E%60%7B%7C%7D"},
		{"http://[2001:db8::1]:80/a", "http://[2001:db8::1]:80/a"},
		{"http://a_b.example.com./x", "http://a_b.example.com./x"},
		{"http://127.0.0.1:9/x", "http://127.0.0.1:9/x"}, // blocked elsewhere, by its address
		{"s3://bucket/a key?versionId=x", "s3://bucket/a%20key?versionId=x"},
		{"gs://a.b-c/d", "gs://a.b-c/d"},
		{"local:///a b/c.jpg", "local:///a%20b/c.jpg"},
	} {
		got, err := ParseSource(test.raw)
		if err != nil || got != test.want {
			t.Errorf("ParseSource(%q) = %q, %v, want %q", test.raw, got, err, test.want)
		}
		if u, err := url.Parse(got); err != nil || u.Host == "" && u.Scheme != "local" {
			t.Errorf("%q: a URL that cannot be fetched: %v", got, err)
		}
		if again, err := ParseSource(got); again != got || err != nil {
			t.Errorf("ParseSource(%q) = %q, %v: not itself", got, again, err)
		}
	}
}

func TestParseSourceRefusals(t *testing.T) {
	for _, raw := range []string{
		"", "a", "/a.jpg", "//example.com/x.png", "http:", "http:/a", "http://", "http:///x.png", "http://?x", "http://#", "http://:80/", "http://.",
		"file:///etc/passwd", "ftp://example.com/x.png", "data:image/png;base64,iVBORw0KGgo=", "gopher://127.0.0.1:6379/_x", "javascript:alert(1)",
		"http://user:pass@127.0.0.1/x.png", "http://example.com@127.0.0.1/x.png", "http://@example.com/",
		"local://host/x", "local:///", "local://", "local:/x", "s3://bucket", "s3://bucket/", "s3:///key",
		"s3://b:9/key", "s3://a@b/key", "gs://[::1]/key",
		"swift://a/b/c", "abs://a/b",
		" http://example.com/", "http://exa mple.com/", "http://example.com/\n", "http://example.com/\r\nHost: x", "http://example.com/\x00",
		"http://example.com/\x7f", "http://example.com\\@127.0.0.1/", "http://①②⑦.0.0.1/", "http://exämple.com/", "http://example.com:99999/",
		"http://example.com:0/", "http://example.com:8a/", "http://[::1/", "http://[fe80::1%25eth0]/", "http://::1/", "http://a:b:80/",
		"http://example%2ecom/", "http://" + strings.Repeat("a", 254) + "/",
		"http://a/" + strings.Repeat("b", naming.MaxAddress),
	} {
		if got, err := ParseSource(raw); fault.KindOf(err) != fault.BadSource {
			t.Errorf("ParseSource(%.60q) = %q, %v, want %s", raw, got, err, fault.BadSource)
		}
	}
}

// TestURLEncodingVectors asks for each source in base64 and, escaped, in plain: the origin must see the same target.
func TestURLEncodingVectors(t *testing.T) {
	p := parser(t, nil, false)
	for _, row := range vectors(t, "url-encoding.tsv") {
		if b, err := base64.RawURLEncoding.DecodeString(row["base64url_unpadded"]); err != nil || string(b) != row["source_url"] {
			t.Errorf("%s: the vector does not agree with itself: %q, %v", row["id"], b, err)
		}
		source := strings.ReplaceAll(row["source_url"], "{{ORIGIN}}", "http://127.0.0.1:8000")
		for _, path := range []string{Path("w:5", source, PNG), "/w:5/plain/" + url.QueryEscape(source) + "@png"} {
			ref, _, err := p.ParsePath(path)
			if err != nil {
				t.Errorf("%s: ParsePath(%q): %v", row["id"], path, err)
				continue
			}
			u, err := url.Parse(ref.Source)
			want, _, _ := strings.Cut(row["origin_must_see"], " ")
			if err != nil || u.RequestURI() != want {
				t.Errorf("%s: the origin would see %q, %v, want %q", row["id"], u.RequestURI(), err, want)
			}
		}
	}
}

// TestSSRFVectors checks the rows that are refused without a look at addresses.
func TestSSRFVectors(t *testing.T) {
	for _, row := range vectors(t, "ssrf.tsv") {
		switch row["why"] {
		case "scheme", "no scheme", "no host", "userinfo", "userinfo confusion":
			if _, err := ParseSource(row["url"]); fault.KindOf(err) != fault.BadSource {
				t.Errorf("%s: ParseSource(%q): %v, want %s", row["id"], row["url"], err, fault.BadSource)
			}
		}
	}
}
