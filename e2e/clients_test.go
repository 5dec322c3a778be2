package e2e

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// URLs signed by published clients of imgproxy work: four packages, plain and base64 sources, with and without a query
// that needs escaping, and encrypted ones. All of them name the same variant of each source.
func TestImgproxyClients(t *testing.T) {
	corpus(t)
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	dir := os.Getenv("IMGPROXY_CLIENTS")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "imgproxy")); dir == "" || err != nil {
		t.Skip("the published clients are not installed (make test installs them; or set IMGPROXY_CLIENTS)")
	}
	const encryptionKey = "52afbff0ffc4f13aa2a8e6d6d0b1e7c94c1b95b8e4bd6cc0b8d1d1e1c9b5f9a1"
	o, s := startOrigin(t), start(t, "GOLDCREST_SIGNING_ENCRYPTION_KEY="+encryptionKey)
	sources := []string{o.URL + "/photos/groceries.jpg", o.URL + "/alias/a b/groceries.jpg?size=1&name=ü"}
	args := []string{"testdata/imgproxy-clients.mjs", dir, s.public}
	args = append(args, hex.EncodeToString(key), hex.EncodeToString(salt), encryptionKey)
	cmd := exec.Command(node, append(args, sources...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var urls []struct{ Client, Source, URL string }
	if err := json.Unmarshal(out, &urls); err != nil || len(urls) != 20 {
		t.Fatalf("%d URLs, %v: %s", len(urls), err, out)
	}
	for _, u := range urls {
		a := s.do("GET", u.URL)
		if a.StatusCode != 200 || a.Header.Get("Content-Type") != "image/webp" {
			t.Errorf("%s: %d %s %s\n%s", u.Client, a.StatusCode, a.Header.Get("Content-Type"), a.Header.Get("X-Error"), u.URL)
		}
		broken := strings.Replace(u.URL, "w:120", "w:121", 1)
		broken = strings.Replace(broken, "fit:120", "fit:121", 1)
		if a := s.do("GET", broken); a.StatusCode != 403 {
			t.Errorf("%s: a changed URL gets %d, want 403\n%s", u.Client, a.StatusCode, broken)
		}
	}
	if got := o.total(); got != len(sources) {
		t.Errorf("the origin was asked %d times for %d sources, %v: the clients name different variants", got, len(sources), o.paths())
	}
}
